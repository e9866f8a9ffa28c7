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
from hypercorn.protocol.http1_response import ResponseWriter
from hypercorn.protocol.http2_upgrade import PRIOR, go_on_as_http2, upgrade
from hypercorn.protocol.pace import Pace, output_seconds
from hypercorn.protocol.ports import Connection, Context, Stream, Transport
from hypercorn.protocol.upgrade import check_upgrade, switch
from hypercorn.wire.http1 import BODY, ERROR, HEAD, RequestParser

# What the deadline waits for.
NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE = range(8)

PIPELINE_BUFFER = 65536  # bytes of later requests that are read before reading pauses
LINGER_BYTES = 1048576  # bytes dropped while lingering before the connection is cut
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HTTP1Connection(ResponseWriter):
    """The HTTP/1 state of one transport."""

    __slots__ = (
        "advancing",
        "body_pace",
        "eof",
        "lingering",
        "lost",
        "open",
        "reading_paused",
        "received",
        "requests",
        "resume",
        "silent_at",
        "unread",
        "upgrading",
        "waiting_for",
        "write_pace",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.requests = 0
        self.open = False  # an exchange is going on
        self.advancing = False
        self.resume = False  # the exchange ended outside `advance`: go on when the turn ends
        self.reading_paused = False
        self.eof = False
        self.lingering = False
        self.lost = False  # no more output: closed, or closing
        self.unread = 0  # bytes dropped: of a body after its response, or while lingering
        self.received = 0  # bytes of the request's body
        self.upgrading = False
        self.body_pace: Pace | None = None
        self.write_pace: Pace | None = None
        self.silent_at = 0.0  # where a pace counts, when the time without any progress is over; 0: never
        self.wait(FIRST_HEAD, context.header_timeout)

    # -- from the transport

    def data_received(self, data: bytes) -> Connection | None:
        if self.lost:
            return None
        if self.lingering:
            self.unread += len(data)
            if self.unread > LINGER_BYTES:
                self.close()
            return None
        if not self.requests and self.context.http2 and self.parser.buffered < len(PRIOR):
            if self.parser.buffered:
                data = self.parser.take_rest() + data
            if data[:4] == PRIOR:
                go_on_as_http2(self, data)
                return None
        self.parser.feed(data)
        self.advance()
        return None

    def eof_received(self) -> None:
        self.eof = True
        if self.lost:
            return
        if self.lingering:
            self.close()
        elif not self.open:
            self.advance()
        elif not self.request_done:
            if self.stream is None:
                self.close()
            else:
                self.refuse(ProtocolError(408, "the connection ended inside the request body"))
        elif self.upgrading:  # half a WebSocket is none
            self.leave()
            self.close()
        elif self.stream is not None:
            self.stream.peer_closed()

    def end_of_input(self) -> None:
        """No exchange is open and the peer sends no more."""
        if self.parser.idle:
            self.close()
        else:
            self.refuse(ProtocolError(408, "the connection ended inside the request head"))

    def connection_lost(self) -> None:
        self.lost = True
        self.wait(NOTHING, 0)
        self.leave()

    def leave(self) -> None:
        """The peer is gone: so its exchange is over."""
        stream = self.stream
        self.stream = None
        if stream is not None:
            stream.disconnected(0)

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.unsent = self.transport.unsent()
        if self.body_pace is not None:
            self.body_pace.rest(self.context.runtime.now())
        self.wait(WRITE_PROGRESS, self.context.write_timeout)
        self.pace_output()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.lost:
            return
        self.write_pace = None
        if self.lingering:
            self.wait(LINGER, self.context.linger_timeout)
        else:
            self.wait_for_peer()
        if self.stream is not None:
            self.stream.writable()
        elif not self.open and (self.eof or self.reading_paused or self.parser.buffered > 0):
            self.resume = True
            self.transport.end_turn_soon()

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
        """The response is not finished, or not taken by the peer: later requests wait, and reading pauses when there
        are many."""
        if not self.reading_paused and self.parser.buffered > PIPELINE_BUFFER:
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
                self.wait(PARTIAL_HEAD, self.context.header_timeout)

    def head_received(self, parser: RequestParser) -> None:
        """Opens the exchange of a request."""
        context = self.context
        self.requests += 1
        self.http10 = parser.http_version == "1.0"
        self.keep_alive = parser.keep_alive and (
            not context.keep_alive_max_requests or self.requests < context.keep_alive_max_requests
        )
        self.bodyless = parser.method == "HEAD"
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
        if not parser.complete and context.max_body_size and parser.content_length > context.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        if parser.upgrade == b"websocket" and context.websocket is not None:
            self.handshake_received(parser)
            return
        if parser.upgrade == b"h2c" and context.http2 and upgrade(self, parser):
            return
        self.open = True
        self.waiting_for = NOTHING
        self.deadline = 0.0
        stream = context.open_http(self, parser)
        self.stream = stream
        if not parser.complete and parser.buffered:
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
        self.open = True
        self.wait(HANDSHAKE, self.context.websocket.handshake_timeout)
        self.upgrading = True
        self.stream = self.context.open_websocket(self, parser, handshake)
        self.stream.begin()

    def retire(self) -> None:
        """Another connection goes on in its place."""
        self.stream = None
        self.lost = True  # to this connection it is
        self.wait(NOTHING, 0)

    def accept(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], extension: Any) -> Connection:
        successor = switch(self, stream, headers, extension)
        self.retire()
        return successor

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
        if self.context.max_body_size and self.received > self.context.max_body_size:
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
        elif self.unread > self.context.max_unread_body:
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
            if self.parser.buffered and not self.eof:
                self.linger()  # closing on unread input would reset the connection under the response
            else:
                self.close()
            return
        if self.context.terminating:
            self.close()
            return
        if not self.writing_paused:
            self.wait(NEXT_HEAD, self.context.keep_alive_timeout)
        if not self.advancing:
            self.resume = self.eof or self.reading_paused or self.parser.buffered > 0
            if self.resume:
                self.transport.end_turn_soon()

    # -- the end

    def cut(self) -> None:
        """Ends the connection inside a response, so that the peer cannot take it for complete."""
        if self.length < 0 and not self.chunked and not self.bodyless:
            self.abort()  # a polite end would be the end of the body
        else:
            self.close()

    def close(self) -> None:
        """Closes politely: what was written is sent first."""
        if not self.lost:
            self.lost = True
            self.wait(WRITE_PROGRESS, self.context.write_timeout)
            self.transport.close()
            self.unsent = self.transport.unsent()
            self.pace_output()

    def linger(self) -> None:
        """Half-closes and drops what the peer still sends, so that it can read the response (RFC 9112 section 9.6)."""
        if self.lost or self.lingering:
            return
        if self.eof:
            self.close()
            return
        self.lingering = True
        self.unread = 0
        self.transport.write_eof()
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()
        if not self.writing_paused:
            self.wait(LINGER, self.context.linger_timeout)

    def wait_for_peer(self) -> None:
        """Sets the deadline for what the peer has to do next."""
        if self.writing_paused:
            return  # it has to read, and that deadline stands
        if self.open:
            if self.request_done or self.reading_paused or self.expect:
                if self.body_pace is not None:
                    self.body_pace.rest(self.context.runtime.now())
                self.wait(NOTHING, 0)
            else:
                self.wait_for_body()
        elif self.parser.idle:
            self.wait(NEXT_HEAD, self.context.keep_alive_timeout)
        else:
            self.wait(PARTIAL_HEAD, self.context.header_timeout)

    def wait(self, what: int, seconds: float) -> None:
        """Sets what the connection waits for, and for how long (0: without end)."""
        self.waiting_for = what
        if seconds:
            self.deadline = self.context.runtime.now() + seconds
            if self.deadline < self.context.next_sweep:
                self.context.arm(self.deadline)
        else:
            self.deadline = 0.0

    def wait_for_body(self) -> None:
        """Sets the deadline for the next piece of the body, and for its rate."""
        context = self.context
        self.wait(REQUEST_BODY, context.body_timeout)
        if context.min_receive_rate:
            if self.body_pace is None:
                self.body_pace = Pace(context.min_receive_rate, context.min_rate_grace)
            self.body_pace.run(context.runtime.now())
            self.keep_pace(self.body_pace)

    def pace_output(self) -> None:
        """Sets the deadline for the rate at which the peer takes what waits, beside that for any progress."""
        context = self.context
        if context.min_send_rate and self.unsent > 0:
            if self.write_pace is None:
                seconds = output_seconds(context.min_send_rate, context.min_rate_grace)
                self.write_pace = Pace(context.min_send_rate, seconds)
                self.write_pace.run(context.runtime.now())
            self.keep_pace(self.write_pace)

    def keep_pace(self, pace: Pace) -> None:
        """The deadline that was set is for any progress; the peer may fall behind before it."""
        self.silent_at = self.deadline
        if not self.deadline or pace.due < self.deadline:
            self.deadline = pace.due
            if self.deadline < self.context.next_sweep:
                self.context.arm(self.deadline)

    def body_is_late(self, now: float) -> None:
        """No piece of the body came in time, or too little of it."""
        context = self.context
        pace = self.body_pace
        reason = "the request body did not arrive in time"
        if pace is not None and not 0 < self.silent_at <= now:
            if not pace.late(now, max(context.min_rate_grace, context.body_timeout)):
                self.deadline = self.silent_at
                self.keep_pace(pace)
                return
            reason = "the request body arrived too slowly"
        if self.stream is None:
            self.linger()
        else:
            self.refuse(ProtocolError(408, reason))

    def output_is_late(self, now: float) -> None:
        """Has the peer taken anything since the output piled up, and enough?"""
        context = self.context
        pace = self.write_pace
        left = self.transport.unsent()
        taken = self.unsent - left
        silent = pace is None or 0 < self.silent_at <= now
        if left > 0 and taken > 0:
            self.unsent = left
            self.wait(WRITE_PROGRESS, context.write_timeout)
            if pace is None:
                return
            pace.octets += taken
        elif silent:
            self.wait(NOTHING, 0)
            self.transport.abort()
            return
        else:
            self.deadline = self.silent_at
        if left > 0 and pace is not None:
            if pace.late(now, output_seconds(context.min_send_rate, context.min_rate_grace)):
                self.wait(NOTHING, 0)
                self.transport.abort()
            else:
                self.keep_pace(pace)
        else:
            self.write_pace = None  # all was taken, and the transport is about to say so

    def expired(self, now: float) -> None:
        waiting_for = self.waiting_for
        if waiting_for == WRITE_PROGRESS:
            self.output_is_late(now)
        elif waiting_for == REQUEST_BODY:
            self.body_is_late(now)
        elif (waiting_for == FIRST_HEAD or waiting_for == PARTIAL_HEAD) and not self.parser.idle:
            self.refuse(ProtocolError(408, "the request head did not arrive in time"))
        elif waiting_for == HANDSHAKE:
            self.wait(NOTHING, 0)
            if not self.head_sent:
                self.refuse(ProtocolError(504, "the application did not answer the handshake in time"))
        elif waiting_for != NOTHING:
            self.close()

    def shutdown(self) -> None:
        self.keep_alive = False
        if self.open or self.lingering or not self.parser.idle:
            return
        context = self.context
        grace = context.idle_grace
        if grace and not self.lost and (self.waiting_for == NEXT_HEAD or self.waiting_for == FIRST_HEAD):
            # The next request of a client that was here a moment ago may be on its way.
            usual = context.keep_alive_timeout if self.waiting_for == NEXT_HEAD else context.header_timeout
            used = self.deadline - usual if self.deadline else context.runtime.now()
            grace += used - context.runtime.now()
            if grace > 0:
                self.wait(NEXT_HEAD, grace)
                return
        self.close()

    def notify_streams(self) -> None:
        if self.stream is not None and self.request_done:
            self.stream.server_leaves()

    def abort(self) -> None:
        self.lost = True
        self.wait(NOTHING, 0)
        self.transport.abort()
