"""Protocols: bytes in, calls out. One state machine for each; no await, no socket, no clock of their own."""
