"""Addresses, sockets and TLS contexts: what a server needs from the system before it serves."""
