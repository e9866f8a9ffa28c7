"""Measurements: the hot path, whole servers side by side, memory. `README.md` says how to run each."""
