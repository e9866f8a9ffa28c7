"""From HTTP/1.1 to WebSocket on one connection (RFC 6455 section 4.2, RFC 9110 section 7.8)."""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.errors import ProtocolError
from hypercorn.protocol.http1.response import ResponseWriter
from hypercorn.protocol.ports import Exchange
from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.protocol.websocket.handshake import Handshake, accept_value, read_handshake
from hypercorn.protocol.websocket.settings import WebSocketSettings
from hypercorn.wire.http1 import RequestParser

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"


def check_upgrade(head: RequestParser, settings: WebSocketSettings) -> Handshake:
    """Returns the handshake that a request asks for. Raises ProtocolError for one that is not in order."""
    if head.method != "GET":
        raise ProtocolError(400, "a WebSocket handshake is a GET request")
    if not head.complete:
        raise ProtocolError(400, "a WebSocket handshake has no body")
    return read_handshake(head.headers, settings.origins)


def switch(
    response: ResponseWriter, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], extension: object
) -> WebSocketConnection:
    """Writes the 101 (Switching Protocols), and puts a WebSocket in the place of the HTTP connection, with the bytes
    that came after the request."""
    transport, context, parser = response.transport, response.context, response.parser
    encoder = context.encoder
    fields = encoder.encode(headers, True)
    server = response.server_fields(encoder.has_date, encoder.has_server)
    key = read_handshake(parser.headers).key
    accept = b"sec-websocket-accept: %b\r\n" % accept_value(key)
    transport.write(b"".join((SWITCHING, accept, fields, server, b"\r\n")))
    successor = WebSocketConnection(transport, context, exchange, extension)
    transport.hand_over(successor, parser.take_rest())
    return successor
