"""WebSockets."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import COMPRESSION, COMPRESSION_DEFAULTS, SWITCH, TEXTS

OPTIONS: tuple[Option, ...] = (
    Option("websockets", SWITCH, True, "WebSocket", "off: a WebSocket upgrade is an ordinary request"),
    Option(
        "websocket_extended_connect",
        SWITCH,
        True,
        "WebSocket",
        "off: no WebSockets over HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220); clients then use HTTP/1.1",
    ),
    Option("websocket_origins", TEXTS, [], "WebSocket", "allowed Origin, others get 403 (none: any); may be repeated"),
    Option(
        "websocket_compression",
        COMPRESSION,
        dict(COMPRESSION_DEFAULTS),
        "WebSocket",
        "on, off, or settings such as level=6,window_bits=12,no_context_takeover=off,threshold=256",
    ),
    Option(
        "websocket_broadcast",
        SWITCH,
        False,
        "WebSocket",
        "offer applications the ASGI extension hypercorn.websocket.broadcast: one message for many WebSockets",
    ),
)
