"""HTTP/1.0 and 1.1 on one connection (RFC 9112): requests one after the other, each with its response.

The codec says what the bytes mean; this machine says what happens next. An exchange is over when the request was
received whole and the response was sent whole; only then is the next head parsed, so answers keep their order and
pipelined bytes wait in the parser, bounded because reading pauses behind them.

    idle -> head -> exchange (body in, response out) -> idle ...
                                                     -> closed, or lingering: half-closed, dropping what still comes
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.errors import ProtocolError
from hypercorn.objects import same_text
from hypercorn.protocol.handshake import GOING_DOWN
from hypercorn.protocol.http1_life import HTTP1Life
from hypercorn.protocol.http1_waits import FIRST_HEAD, HANDSHAKE, NEXT_HEAD, NOTHING, PARTIAL_HEAD
from hypercorn.protocol.http2.upgrade import PRIOR, go_on_as_http2, upgrade
from hypercorn.protocol.ports import Connection, Context, Stream, Transport
from hypercorn.protocol.upgrade import check_upgrade, switch
from hypercorn.wire.http1 import BODY, ERROR, HEAD, RequestParser

PIPELINE_BUFFER = 65536  # bytes of later requests that are read before reading pauses
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HTTP1Connection(HTTP1Life):
    """The HTTP/1 state of one transport."""

    __slots__ = ("advancing", "received", "requests")

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.requests = 0
        self.advancing = False
        self.received = 0  # bytes of the request's body

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        if self.lost:
            return
        if self.lingering:
            self.unread += len(data)
            if self.unread > self.context.limits.max_unread_body:
                self.close()
            return
        if not self.requests and self.context.http2 and self.parser.buffered() < len(PRIOR):
            if self.parser.buffered():
                data = self.parser.take_rest() + data
            if data[:4] == PRIOR:
                go_on_as_http2(self, data)
                return
        self.parser.feed(data)
        self.advance()

    def turn_ended(self) -> None:
        if self.resume:
            self.resume = False
            self.advance()

    # -- the request

    def advance(self) -> None:
        """Parses on: heads open streams, bodies go to them; stops where bytes or the response are missing."""
        if self.advancing or self.lost or self.lingering:
            return
        self.advancing = True
        parser = self.parser
        while not self.lost and not self.lingering:
            if self.request_done if self.open else self.writing_paused:
                self.hold_pipelined()
                break
            if not self.open and self.transport.overdue():
                self.resume = True
                self.hold_pipelined()
                self.transport.turn_soon()
                break
            event = parser.next_event()
            if event == HEAD:
                self.head_received(parser)
            elif event == BODY:
                self.piece_received(parser)
            elif event == ERROR:
                self.refuse(parser.error)
            else:
                self.need_data(parser)
                break
        self.advancing = False

    def hold_pipelined(self) -> None:
        """The response is not finished, or not taken by the peer, or the turn is over: later requests wait, and reading
        pauses when there are many."""
        if not self.reading_paused and self.parser.buffered() > PIPELINE_BUFFER:
            self.reading_paused = True
            self.transport.pause_reading()

    def need_data(self, parser: RequestParser) -> None:
        """All bytes are used: set the deadline for what is missing, and read on."""
        if self.open:
            self.wait_for_peer()
        elif self.eof:
            self.end_of_input()
        else:
            if self.reading_paused:
                self.reading_paused = False
                self.transport.resume_reading()
            if not parser.idle and self.waiting_for != PARTIAL_HEAD and self.waiting_for != FIRST_HEAD:
                self.wait(PARTIAL_HEAD, self.context.limits.header_timeout)

    def head_received(self, parser: RequestParser) -> None:
        """Opens the exchange of a request."""
        context = self.context
        self.requests += 1
        self.http10 = same_text(parser.http_version, "1.0")
        self.keep_alive = (
            parser.keep_alive
            and self.requests < context.limits.keep_alive_max_requests
            and context.limits.keep_alive_timeout > 0
        )
        self.bodyless = same_text(parser.method, "HEAD")
        self.request_done = parser.complete
        self.expect = parser.expect_continue
        self.received = 0
        self.body_pace = None
        self.unread = 0
        self.head_sent = False
        self.with_trailers = False
        if not parser.host and not self.http10:
            self.refuse(ProtocolError(400, "the Host field is empty"))
            return
        if context.server_names and not context.serves(parser.host):
            self.refuse(ProtocolError(404, "no such host here"))
            return
        if not parser.complete and parser.content_length > context.limits.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        if parser.upgrade == b"websocket" and context.websocket is not None:
            self.handshake_received(parser)
            return
        if context.h2c_upgrade and parser.upgrade == b"h2c" and context.http2 and upgrade(self, parser):
            return
        self.open = True
        self.waiting_for = NOTHING
        self.deadline = 0.0
        stream = context.open_http(self, parser)
        self.stream = stream
        if not parser.complete and parser.buffered():
            # What came with the head is there before the application asks, so that it need not wait for it.
            event = parser.next_event()
            if event == BODY:
                self.piece_received(parser)
            elif event == ERROR:
                self.refuse(parser.error)
            if self.stream is not stream:
                return
        if not self.transport.begin_with_others(stream):
            stream.begin()

    def handshake_received(self, parser: RequestParser) -> None:
        """Opens the exchange of a WebSocket handshake. What the client sends next is held until it is answered; it is
        never taken for another request."""
        self.keep_alive = False
        handshake = check_upgrade(self, parser)
        if handshake is None:
            return
        if self.context.terminating:
            self.refuse(ProtocolError(503, GOING_DOWN))
            return
        self.open = True
        self.wait(HANDSHAKE, self.context.limits.websocket_handshake_timeout)
        self.upgrading = True
        self.stream = self.context.open_websocket(self, parser, handshake)
        self.stream.begin()

    def accept(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], extension: Any) -> Connection:
        return switch(self, stream, headers, extension)

    def piece_received(self, parser: RequestParser) -> None:
        """Hands a piece of the body up, or drops it when the response is already complete."""
        data = parser.body
        self.expect = False
        self.received += len(data)
        if self.body_pace is not None:
            self.body_pace.octets += len(data)
        if parser.complete:
            self.request_done = True
            self.wait_for_peer()
        if self.received > self.context.limits.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        stream = self.stream
        if stream is not None:
            if parser.trailers:
                stream.trailers_received(parser.trailers)
            if not stream.body_received(data, parser.complete) and not self.request_done:
                self.reading_paused = True
                self.transport.pause_reading()
                self.wait_for_peer()
            return
        self.unread += len(data)
        if self.request_done:
            self.exchange_ended()
        elif self.unread > self.context.limits.max_unread_body:
            self.linger()

    def refuse(self, error: ProtocolError) -> None:
        """Answers a request that broke the protocol, and ends the connection (RFC 9112 section 9.6)."""
        stream = self.stream
        status = error.status
        if stream is not None:
            self.stream = None
            if self.head_sent:
                stream.disconnected(0)
                self.cut()
                return
            self.answer(status, error.reason)
            stream.disconnected(status)
        elif self.open:  # the response is complete already, only its request went wrong
            pass
        else:
            self.answer(status, error.reason)
            self.context.refused(self, self.parser, status, error.reason)
        self.linger()

    def wanted(self, stream: Stream) -> None:
        if stream is not self.stream:
            return
        if self.expect:
            self.expect = False
            if not self.head_sent:
                self.transport.write(CONTINUE)
            self.wait_for_peer()
        if self.reading_paused and not self.request_done:
            self.reading_paused = False
            self.transport.resume_reading()
            self.wait_for_peer()

    def response_ended(self) -> None:
        """The response was sent whole."""
        self.stream = None
        if self.request_done:
            self.exchange_ended()
        elif not self.keep_alive or self.body_stays_unread():
            self.linger()
        elif self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()
            self.wait_for_peer()

    def exchange_ended(self) -> None:
        """Request and response are complete: on to the next, or the end."""
        self.open = False
        if not self.keep_alive:
            if self.parser.buffered() and not self.eof:
                self.linger()  # closing on unread input would reset the connection under the response
            else:
                self.close()
            return
        if self.context.terminating:
            self.close()
            return
        if not self.writing_paused:
            self.wait(NEXT_HEAD, self.context.limits.keep_alive_timeout)
        if not self.advancing:
            self.resume = self.eof or self.reading_paused or self.parser.buffered() > 0
            if self.resume:
                self.transport.end_turn_soon()
