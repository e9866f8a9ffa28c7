"""From HTTP/1.1 to HTTP/2 on one connection: with prior knowledge (RFC 9113 section 3.3), and by `Upgrade: h2c` (RFC
7540 section 3.2), where `h2c_upgrade` allows it.

RFC 9113 section 3.1 withdrew the upgrade. A proxy that passes it on becomes a tunnel, and what the client then asks for
passes none of the proxy's rules: so it is off by default, and never followed on a connection of a trusted proxy.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error

from hypercorn.protocol.http2.connection import HTTP2Connection
from hypercorn.protocol.ports import Connection
from hypercorn.wire.http1 import RequestParser
from hypercorn.wire.http2 import FrameParser
from hypercorn.wire.http2_events import SETTINGS
from hypercorn.wire.http2_head import HTTP2Head

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
# Fields of the connection that was HTTP/1.1: they are no part of a request over HTTP/2 (RFC 9113 section 8.2.2).
HOP_BY_HOP = frozenset((b"connection", b"upgrade", b"http2-settings", b"keep-alive", b"proxy-connection"))
PRIOR = b"PRI "  # how the preface begins, and no request does


def go_on_as_http2(connection: Connection, data: bytes) -> None:
    """Puts HTTP/2 in the place of the connection. `data`: what the peer has sent."""
    transport = connection.transport
    transport.hand_over(HTTP2Connection(transport, connection.context), data)


def upgrade(connection: Connection, parser: RequestParser) -> bool:
    """Follows `Upgrade: h2c`: the request is answered on stream 1. False where the request does not allow it, which
    is then served as HTTP/1.1: over TLS, from a proxy, with a body, or without settings that can be read."""
    if connection.transport.trusted:
        return False
    values = [value for name, value in parser.headers if name.lower() == b"http2-settings"]
    if len(values) != 1 or not parser.complete or connection.transport.scheme != "http":
        return False
    named = [value for name, value in parser.headers if name.lower() == b"connection"]
    if b"http2-settings" not in [token.strip(b" \t").lower() for token in b",".join(named).split(b",")]:
        return False
    try:
        payload = urlsafe_b64decode(values[0] + b"=" * (-len(values[0]) % 4))
    except (Error, ValueError):
        return False
    settings = FrameParser()
    if settings.settings_frame(payload, 0, len(payload), 0) != SETTINGS:
        return False
    head = HTTP2Head()
    head.method, head.path, head.headers = parser.method, parser.path, []
    for name, value in parser.headers:
        if name.lower() not in HOP_BY_HOP:
            head.headers.append((name, value))
    head.raw_target, head.raw_path, head.query_string = (
        parser.raw_target,
        parser.raw_path,
        parser.query_string,
    )
    head.host, head.complete = parser.host, True
    rest = parser.take_rest()
    transport = connection.transport
    transport.write(SWITCHING)
    successor = HTTP2Connection(transport, connection.context)
    successor.upgrade_request = (head, settings.settings)
    transport.hand_over(successor, rest)
    return True
