"""The limits of WebSockets as numbers, taken from the configuration once for a worker."""

from __future__ import annotations

from typing import Any


class WebSocketSettings:
    """The limits of a worker's WebSockets; 0 is no limit, sizes are bytes, times seconds.

    `compression` is a `wire.deflate.Compression`, or None.
    """

    def __init__(self) -> None:
        self.max_message_size = 16 * 1024 * 1024
        self.max_frame_size = 0
        self.max_queue = 16
        self.ping_interval = 0.0
        self.ping_timeout = 20.0
        self.close_timeout = 10.0
        self.handshake_timeout = 60.0  # for the application to answer
        self.idle_timeout = 0.0
        self.lifetime = 0.0
        self.origins: frozenset[bytes] = frozenset()
        self.compression: Any = None
