"""Traces: what a connection carries, by libraries that share no code with the server, and how people read it."""
