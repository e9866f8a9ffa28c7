"""The settings of a worker's WebSockets beside the limits."""

from __future__ import annotations

from dataclasses import dataclass

from hypercorn.wire.deflate import Compression


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """Taken from the configuration once for a worker.

    origins: the values of Origin that are served; empty: any
    compression: a `wire.deflate.Compression`, or None
    extended_connect: served over HTTP/2 and HTTP/3, too (RFC 8441, RFC 9220)
    """

    origins: frozenset[bytes] = frozenset()
    compression: Compression | None = None
    extended_connect: bool = True
