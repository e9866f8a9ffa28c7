"""Processes: a supervisor that keeps workers running, and what operators do to it."""
