"""What the deadline of an HTTP/1 connection waits for. Not compiled, so that compiled modules can share the numbers."""

from __future__ import annotations

NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE = range(8)
