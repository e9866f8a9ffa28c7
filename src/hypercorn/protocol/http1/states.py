"""What the deadline of an HTTP/1 connection waits for. Not compiled, so that compiled modules can share the numbers."""

from __future__ import annotations

# LAST_HEAD: the next request of an idle connection, at shutdown.
NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE, LAST_HEAD = range(9)

# At shutdown, how long a client that has just connected may stay: what it has sent with its connection is read first.
ARRIVAL_SECONDS = 0.1
