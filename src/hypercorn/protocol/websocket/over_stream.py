"""A WebSocket on one stream of HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220): DATA frames as the pipe that it needs.

    MuxStream -> Tunnel: the stream's exchange -> WebSocketConnection -> StreamTransport -> MuxStream

What comes before the handshake is answered, or while the application does not read, waits here; the peer gets credit
for it when it is taken, so the stream's window bounds it.
"""

from __future__ import annotations

from typing import Any

from hypercorn.errors import ProtocolError
from hypercorn.protocol.mux.states import CLOSED, ENDING, HALF_CLOSED_LOCAL, OPEN, TUNNEL
from hypercorn.protocol.mux.stream import MuxStream
from hypercorn.protocol.ports import Exchange, Transport
from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.protocol.websocket.handshake import GOING_DOWN, read_handshake
from hypercorn.wire.http2_head import HTTP2Head

# What the handshake has over HTTP/1.1, where many applications look for it (engine.io among them).
UPGRADE = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))


class StreamTransport(Transport):
    """A transport over the DATA of one stream. Its turn is a turn of the connection's transport too."""

    __slots__ = ("below", "ended", "held", "outer", "reading", "stream", "tunnel")

    def __init__(self, stream: MuxStream, tunnel: Exchange) -> None:
        below = stream.transport
        super().__init__(below.runtime)
        self.below: Transport = below
        self.stream = stream
        self.tunnel = tunnel
        self.client = below.client
        self.server = below.server
        self.scheme = below.scheme
        self.held = bytearray()  # what was received and not taken yet
        self.reading = False
        self.ended = False  # the peer sends no more
        self.outer = False  # this turn began the one below

    def begin_turn(self) -> bool:
        if not Transport.begin_turn(self):  # super() fails in a compiled method that overrides a C one
            return False
        self.outer = self.below.begin_turn()
        return True

    def after_write(self, began: bool, last: bool) -> None:
        outer = began and self.outer
        if outer:
            self.outer = False
        Transport.after_write(self, began, last)
        self.below.after_write(outer, last)

    def flush_early(self) -> None:
        Transport.flush_early(self)
        self.below.flush_early()

    def end_turn(self) -> None:
        outer = self.outer or self.below.begin_turn()
        self.outer = False
        Transport.end_turn(self)
        if outer:
            self.below.end_turn()

    def send_bytes(self, data: bytes) -> None:
        stream = self.stream
        if stream.state > OPEN or stream.progress == ENDING:
            return
        stream.body(self.tunnel, data, False)
        if stream.blocked and self.connection is not None:
            self.connection.pause_writing()

    def unsent(self) -> int:
        return self.stream.pending

    def write_eof(self) -> None:
        """END_STREAM, on the last of what was written."""
        stream = self.stream
        data = b"".join(self.out)
        self.out.clear()
        self.out_size = 0
        if stream.state <= OPEN and stream.progress != ENDING:
            stream.body(self.tunnel, data, True)

    def close(self) -> None:
        self.write_eof()

    def abort(self) -> None:
        stream = self.stream
        if stream.state != CLOSED:
            codes = stream.mux.codes
            stream.mux.reset_stream(stream, codes.none if stream.state == HALF_CLOSED_LOCAL else codes.cancelled)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        if not self.reading:
            self.reading = True
            if self.held or self.ended:
                self.call_soon(self.deliver)

    def set_deadline(self, when: float) -> None:
        self.stream.mux.wait_until(when)

    def call_ended(self, exchange: Exchange) -> None:
        self.stream.finished(exchange)

    def get_extra_info(self, name: str) -> object:
        return self.below.get_extra_info(name)

    # -- from the stream

    def receive(self, data: bytes, complete: bool) -> None:
        """DATA of the peer."""
        self.held += data
        self.ended = complete
        self.deliver()

    def deliver(self) -> None:
        """Hands up what may be, and gives credit for it."""
        connection = self.connection
        if not self.reading or connection is None:
            return
        began = self.begin_turn()
        if self.held:
            data = bytes(self.held)
            self.held.clear()
            self.stream.body_consumed(self.tunnel, len(data))
            connection.data_received(data)
        if self.ended and self.reading and not self.held:
            self.connection = None
            connection.eof_received()
        if began:
            self.end_turn()


class Tunnel(Exchange):
    """The exchange of an extended CONNECT: the WebSocket's handshake, then the WebSocket."""

    __slots__ = ("exchange", "socket", "stream", "transport")

    def __init__(self, stream: MuxStream, exchange: Exchange) -> None:
        super().__init__(stream)
        self.stream = stream
        self.exchange: Exchange = exchange
        self.transport = StreamTransport(stream, self)
        self.socket: WebSocketConnection | None = None

    def begin(self) -> object:
        return self.exchange.begin()

    def accept(self, extension: object) -> WebSocketConnection:
        """The handshake has succeeded: its 200 is on the way."""
        socket = WebSocketConnection(self.transport, self.stream.context, self.exchange, extension)
        socket.accepted = 200
        self.socket = self.stream.socket = socket
        self.transport.connection = socket
        self.transport.resume_reading()
        return socket

    def body_received(self, data: bytes, complete: bool) -> bool:
        self.transport.receive(data, complete)
        return True

    def disconnected(self, status: int) -> None:
        self.transport.connection = None
        if self.socket is None:
            self.exchange.disconnected(status)
        else:
            self.socket.connection_lost()

    def peer_closed(self) -> None:
        """The connection is half-closed, and so was the stream."""

    def writable(self) -> None:
        socket = self.socket
        if socket is None:
            self.exchange.writable()
        elif socket.writing_paused and not self.stream.blocked:
            socket.resume_writing()


def open_tunnel(connection: Any, stream_id: int, head: HTTP2Head) -> Any:
    """Opens the stream of an extended CONNECT, on a connection of HTTP/2 or HTTP/3 (RFC 8441, RFC 9220).

    Answers what is no WebSocket's handshake, and returns None then.
    """
    settings = connection.context.websocket
    if settings is None or not settings.extended_connect or head.protocol.lower() != b"websocket":
        connection.answer_early(stream_id, head, 501, head.complete)
        return None
    if head.complete:
        connection.answer_early(stream_id, head, 400, True, "a WebSocket needs both directions of its stream")
        return None
    try:
        handshake = read_handshake(head.headers, settings.origins, with_key=False)
    except ProtocolError as error:
        connection.answer_early(stream_id, head, error.status, False, error.reason)
        return None
    if connection.context.terminating:
        connection.answer_early(stream_id, head, 503, False, GOING_DOWN)
        return None
    head.content_length = -1
    head.expect_continue = False
    head.headers = [*head.headers, *UPGRADE]
    stream = connection.open_stream(stream_id, head)
    stream.deadline = 0.0
    stream.request = TUNNEL
    stream.deadline = connection.context.runtime.now() + connection.context.limits.websocket_handshake_timeout
    connection.wait_until(stream.deadline)
    stream.exchange = Tunnel(stream, connection.context.open_websocket(stream, head, handshake))
    return stream
