"""From HTTP/1.1 to WebSocket on one connection (RFC 6455 section 4.2, RFC 9110 section 7.8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypercorn.errors import ProtocolError
from hypercorn.protocol.ports import Stream
from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.protocol.websocket.handshake import Handshake, accept_value, read_handshake
from hypercorn.wire.http1 import RequestParser

if TYPE_CHECKING:
    from hypercorn.protocol.http1.connection import HTTP1Connection

UPGRADE_REQUIRED = b"upgrade: websocket\r\nsec-websocket-version: 13\r\nconnection: upgrade, close\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"


def check_upgrade(connection: HTTP1Connection, head: RequestParser) -> Handshake | None:
    """The handshake that a request asks for; one that is not in order is refused."""
    try:
        if head.method != "GET":
            raise ProtocolError(400, "a WebSocket handshake is a GET request")
        if not head.complete:
            raise ProtocolError(400, "a WebSocket handshake has no body")
        return read_handshake(head.headers, connection.context.websocket.origins)
    except ProtocolError as error:
        connection.refuse(error)
        return None


def switch(
    connection: HTTP1Connection, stream: Stream, headers: Iterable[tuple[bytes, bytes]], extension: Any
) -> WebSocketConnection:
    """Writes the 101 and puts a WebSocket in the place of the connection, with the bytes that came after its head."""
    transport, context, parser = connection.transport, connection.context, connection.parser
    encoder = context.encoder
    fields = encoder.encode(headers, True)
    server = connection.server_fields(encoder.has_date, encoder.has_server)
    key = read_handshake(parser.headers).key
    accept = b"sec-websocket-accept: %b\r\n" % accept_value(key)
    transport.write(b"".join((SWITCHING, accept, fields, server, b"\r\n")))
    successor = WebSocketConnection(transport, context, stream, extension)
    transport.hand_over(successor, parser.take_rest())
    return successor
