"""HTTP/1.0 and 1.1 on one connection (RFC 9112): requests one after the other, each with its response.

The codec says what the bytes mean, this machine says what happens next, and `states` has its states. An exchange is
over when the request was received whole and the response was sent whole. Only then is the next head parsed, so
responses keep their order, and pipelined bytes wait in the parser, bounded because reading pauses behind them.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING

from hypercorn.errors import ProtocolError
from hypercorn.objects import same_text
from hypercorn.protocol.http1.response import ResponseWriter
from hypercorn.protocol.http1.states import (
    ARRIVAL_SECONDS,
    CHUNKED,
    CLOSED,
    CLOSING,
    CONNECTION,
    DRAIN,
    EXCHANGE,
    FIRST_HEAD,
    HANDSHAKE,
    IDLE,
    LAST_HEAD,
    LINGERING,
    NEXT_HEAD,
    NO_BODY,
    NOTHING,
    PARTIAL_HEAD,
    REQUEST_BODY,
    UNTIL_CLOSE,
    UPGRADING,
    WRITE_PROGRESS,
)
from hypercorn.protocol.http1.upgrade import check_upgrade, switch
from hypercorn.protocol.http2.upgrade import PRIOR, go_on_as_http2, upgrade
from hypercorn.protocol.ports import Connection, Context, Exchange, Transport
from hypercorn.protocol.progress import ProgressTimer, timer_of_body, timer_of_output
from hypercorn.protocol.websocket.handshake import GOING_DOWN
from hypercorn.wire.http1 import BODY, ERROR, HEAD, RequestParser
from hypercorn.wire.http1_primitives import encode_chunk

if TYPE_CHECKING:
    from hypercorn.protocol.websocket.settings import WebSocketSettings

PIPELINE_BYTES = 65536  # of later requests that are read before reading pauses
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HTTP1Connection(Connection):
    """The HTTP/1 state of one transport.

    The transport knows whether reading and writing are paused, the parser whether the request is complete, and the
    response writer whether a head was sent; none of that is kept here again.
    """

    __slots__ = (
        "advance_later",
        "advancing",
        "body_timer",
        "eof",
        "exchange",
        "expect",
        "keep_alive",
        "parser",
        "received",
        "requests",
        "response",
        "state",
        "unread",
        "unsent",
        "waiting_for",
        "write_timer",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        limits = context.limits
        self.state = IDLE
        self.parser = RequestParser(
            limits.max_request_line_size,
            limits.max_header_size,
            limits.max_header_count,
            keep_case=context.keep_case,
            memory=context.field_memory,
        )
        self.response = ResponseWriter(transport, context, self.parser)
        self.exchange: Exchange | None = None  # the exchange, until its response was sent or its peer is gone
        self.requests = 0
        self.keep_alive = True  # another request may follow this one
        self.expect = False  # the client waits for a 100 (Continue)
        self.eof = False  # the peer sends no more
        self.advancing = False  # `advance` is running
        self.advance_later = False  # an exchange ended outside of `advance`, which goes on at the end of the turn
        self.received = 0  # bytes of the request's body
        self.unread = 0  # bytes dropped: of a body after its response, or while lingering
        self.unsent = 0  # bytes of output that waited when it was last looked at
        self.body_timer: ProgressTimer | None = None
        self.write_timer: ProgressTimer | None = None
        self.wait(FIRST_HEAD, limits.header_timeout)

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        if self.state >= LINGERING:
            if self.state == LINGERING:
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

    def eof_received(self) -> None:
        self.eof = True
        state = self.state
        if state >= LINGERING:
            self.close()
        elif state == IDLE:
            self.advance()
        elif not self.parser.complete:
            if self.exchange is None:
                self.close()
            else:
                self.refuse(ProtocolError(408, "the connection ended inside the request body"))
        elif state == UPGRADING:  # half a WebSocket is none
            self.drop_exchange()
            self.close()
        elif self.exchange is not None:
            self.exchange.peer_closed()

    def connection_lost(self) -> None:
        self.state = CONNECTION.change(self.state, CLOSED)
        self.wait_for_nothing()
        self.drop_exchange()

    def drop_exchange(self) -> None:
        """Ends the exchange because the peer is gone."""
        exchange = self.exchange
        self.exchange = None
        if exchange is not None:
            exchange.disconnected(0)

    def pause_writing(self) -> None:
        if self.body_timer is not None:
            self.body_timer.pause_rate(self.context.runtime.now())
        self.wait_for_output()

    def resume_writing(self) -> None:
        if self.state >= CLOSING:
            return
        self.write_timer = None
        if self.state == LINGERING:
            self.wait(DRAIN, self.context.limits.linger_timeout)
        else:
            self.wait_for_peer()
        if self.exchange is not None:
            self.exchange.writable()
        elif self.state == IDLE and (self.eof or self.transport.reading_paused or self.parser.buffered() > 0):
            self.advance_later = True
            self.transport.end_turn_soon()

    def turn_ended(self) -> None:
        if self.advance_later:
            self.advance_later = False
            self.advance()

    # -- the request

    def advance(self) -> None:
        """Parses on: heads open exchanges, which get their bodies; stops where bytes or the response are missing."""
        if self.advancing:
            return
        self.advancing = True
        transport, parser = self.transport, self.parser
        while self.state < LINGERING:
            if self.state != IDLE:
                if parser.complete:
                    self.hold_pipelined()
                    break
            elif transport.writing_paused:
                self.hold_pipelined()
                break
            elif transport.turn_is_over():
                self.advance_later = True
                self.hold_pipelined()
                transport.turn_soon()
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
        """Keeps later requests waiting: the response is not finished, or not taken by the peer, or the turn is over.
        Reading pauses when there are many."""
        if not self.transport.reading_paused and self.parser.buffered() > PIPELINE_BYTES:
            self.transport.pause_reading()

    def need_data(self, parser: RequestParser) -> None:
        """Reads on, and sets the deadline for what is missing: all bytes are used."""
        if self.state != IDLE:
            self.wait_for_peer()
        elif self.eof and parser.idle:
            self.close()
        elif self.eof:
            self.refuse(ProtocolError(408, "the connection ended inside the request head"))
        else:
            if self.transport.reading_paused:
                self.transport.resume_reading()
            if not parser.idle and self.waiting_for != PARTIAL_HEAD and self.waiting_for != FIRST_HEAD:
                self.wait(PARTIAL_HEAD, self.context.limits.header_timeout)

    def head_received(self, parser: RequestParser) -> None:
        """Opens the exchange of a request."""
        context = self.context
        self.requests += 1
        self.keep_alive = (
            parser.keep_alive
            and self.requests < context.limits.keep_alive_max_requests
            and context.limits.keep_alive_timeout > 0
        )
        self.expect = parser.expect_continue
        self.received = 0
        self.body_timer = None
        self.unread = 0
        self.response.head_sent = False
        if not parser.host and not same_text(parser.http_version, "1.0"):
            self.refuse(ProtocolError(400, "the Host field is empty"))
            return
        if context.server_names and not context.serves(parser.host):
            self.refuse(ProtocolError(404, "no such host here"))
            return
        if not parser.complete and parser.content_length > context.limits.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        websocket = context.websocket
        if parser.upgrade == b"websocket" and websocket is not None:
            self.handshake_received(parser, websocket)
            return
        if context.h2c_upgrade and parser.upgrade == b"h2c" and context.http2 and upgrade(self, parser):
            return
        self.state = CONNECTION.change(self.state, EXCHANGE)
        self.waiting_for = NOTHING
        self.deadline = 0.0
        exchange = context.open_http(self, parser)
        self.exchange = exchange
        if not parser.complete and parser.buffered():
            # What came with the head is there before the application asks, so that it need not wait for it.
            event = parser.next_event()
            if event == BODY:
                self.piece_received(parser)
            elif event == ERROR:
                self.refuse(parser.error)
            if self.exchange is not exchange:
                return
        if not self.transport.begin_in_batch(exchange):
            exchange.begin()

    def handshake_received(self, parser: RequestParser, settings: WebSocketSettings) -> None:
        """Opens the exchange of a WebSocket handshake. What the client sends next is held until it is answered."""
        context = self.context
        self.keep_alive = False
        try:
            handshake = check_upgrade(parser, settings)
        except ProtocolError as error:
            self.refuse(error)
            return
        if context.terminating:
            self.refuse(ProtocolError(503, GOING_DOWN))
            return
        self.state = CONNECTION.change(self.state, UPGRADING)
        self.wait(HANDSHAKE, context.limits.websocket_handshake_timeout)
        self.exchange = context.open_websocket(self, parser, handshake)
        self.exchange.begin()

    def piece_received(self, parser: RequestParser) -> None:
        """Hands a piece of the body up, or drops it when the response is already complete."""
        data = parser.body
        self.expect = False
        self.received += len(data)
        if self.body_timer is not None:
            self.body_timer.moved += len(data)
        if parser.complete:
            self.wait_for_peer()
        if self.received > self.context.limits.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        exchange = self.exchange
        if exchange is not None:
            if parser.trailers:
                exchange.trailers_received(parser.trailers)
            if not exchange.body_received(data, parser.complete) and not parser.complete:
                self.transport.pause_reading()
                self.wait_for_peer()
            return
        self.unread += len(data)
        if parser.complete:
            self.response_ended()
        elif self.unread > self.context.limits.max_unread_body:
            self.linger()

    def refuse(self, error: ProtocolError) -> None:
        """Answers a request that broke the protocol, and ends the connection (RFC 9112 section 9.6)."""
        exchange = self.exchange
        status = error.status
        if exchange is not None:
            self.exchange = None
            if self.response.head_sent:
                exchange.disconnected(0)
                self.cut_off()
                return
            self.answered = self.response.send_error(status, error.reason)
            exchange.disconnected(status)
        elif self.state == IDLE:
            self.answered = self.response.send_error(status, error.reason)
            self.context.refused(self, self.parser, status, error.reason)
        # Else the response is complete already, and only its request went wrong.
        self.linger()

    def body_wanted(self, exchange: Exchange) -> None:
        if exchange is not self.exchange:
            return
        if self.expect:
            self.expect = False
            if not self.response.head_sent:
                self.transport.write(CONTINUE)
            self.wait_for_peer()
        if self.transport.reading_paused and not self.parser.complete:
            self.transport.resume_reading()
            self.wait_for_peer()

    # -- the response

    def start(self, exchange: Exchange, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        self.response.start(status, headers, trailers)
        if self.context.encoder.close:
            self.keep_alive = False
        return self.response.length

    def end_after(self, exchange: Exchange) -> None:
        self.keep_alive = False

    def writing_blocked(self, exchange: Exchange) -> bool:
        return self.transport.writing_paused

    def body(self, exchange: Exchange, data: bytes, end: bool) -> bool:
        transport, response = self.transport, self.response
        paused = transport.writing_paused
        if not response.head_sent:
            if self.context.terminating or (not self.parser.complete and self.body_stays_unread()):
                self.keep_alive = False
            self.keep_alive = response.send_head(data, end, self.keep_alive)
        elif response.framing == CHUNKED:
            last = end and not response.with_trailers
            if data or last:
                transport.write(encode_chunk(data, last))
        elif data and response.framing != NO_BODY:
            transport.write(data)
        if end and not response.with_trailers:
            self.response_ended()
            return True
        if transport.writing_paused:
            if paused:  # else it was counted when the pause began
                self.unsent += len(data)
            return False
        return True

    def announce(self, exchange: Exchange, length: int) -> None:
        self.response.announce(length)

    def send_file(self, exchange: Exchange, fd: int, offset: int, count: int, end: bool) -> bool:
        response = self.response
        if (
            response.framing == NO_BODY
            or response.length < 0
            or response.with_trailers
            or exchange is not self.exchange
        ):
            return False
        # Asked with nothing first: a head must not leave before it is known who sends the body.
        if not self.transport.send_file(fd, offset, 0):
            return False
        if not response.head_sent:
            self.body(exchange, b"", False)
        paused = self.transport.writing_paused
        self.transport.send_file(fd, offset, count)
        if paused:
            self.unsent += count
        if end:
            self.response_ended()
        return True

    def trailers(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], end: bool) -> None:
        if exchange is self.exchange and self.response.send_trailers(headers, end):
            self.response_ended()

    def hint(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response.send_hints(headers)

    def accept(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], extension: object) -> Connection:
        return switch(self.response, exchange, headers, extension)

    def reset(self, exchange: Exchange) -> int:
        if exchange is not self.exchange:
            return 0
        self.exchange = None
        if self.response.head_sent:
            self.cut_off()
            return self.response.status
        self.answered = self.response.send_error(500, "Internal Server Error")
        if self.parser.complete and not self.parser.buffered():
            self.close()
        else:
            self.linger()
        return 500

    def body_stays_unread(self) -> bool:
        """Returns True if the rest of the request is more than is read just to keep the connection."""
        if self.expect:
            return True  # a client that was never told to continue may or may not send the body
        return self.parser.body_remaining > self.context.limits.max_unread_body

    def response_ended(self) -> None:
        """Goes on after a response that was sent whole: to the next request, once this one was received whole, or to
        the end of the connection."""
        self.exchange = None
        transport, parser = self.transport, self.parser
        if self.state >= LINGERING:
            return
        if not parser.complete:
            if not self.keep_alive or self.body_stays_unread():
                self.linger()
            elif transport.reading_paused:
                transport.resume_reading()
                self.wait_for_peer()
        elif not self.keep_alive and parser.buffered() and not self.eof:
            self.linger()  # closing on unread input would reset the connection under the response
        elif not self.keep_alive or self.context.terminating:
            self.close()
        else:
            self.state = CONNECTION.change(self.state, IDLE)
            if not transport.writing_paused:
                self.wait(NEXT_HEAD, self.context.limits.keep_alive_timeout)
            if not self.advancing:
                self.advance_later = self.eof or transport.reading_paused or parser.buffered() > 0
                if self.advance_later:
                    transport.end_turn_soon()

    # -- the end

    def detached(self) -> None:
        self.exchange = None
        self.state = CONNECTION.change(self.state, CLOSED)
        self.wait_for_nothing()

    def cut_off(self) -> None:
        """Ends the connection inside a response, so that the peer cannot take it for complete."""
        if self.response.framing == UNTIL_CLOSE:
            self.abort()  # a polite end would be the end of the body
        else:
            self.close()

    def close(self) -> None:
        """Closes politely: what was written is sent first."""
        if self.state < CLOSING:
            self.state = CONNECTION.change(self.state, CLOSING)
            self.transport.close()
            self.wait_for_output()

    def linger(self) -> None:
        """Half-closes and drops what the peer still sends, so that it can read the response (RFC 9112 section 9.6)."""
        if self.state >= LINGERING:
            return
        if self.eof:
            self.close()
            return
        self.state = CONNECTION.change(self.state, LINGERING)
        self.unread = 0
        self.transport.write_eof()
        if self.transport.reading_paused:
            self.transport.resume_reading()
        if not self.transport.writing_paused:
            self.wait(DRAIN, self.context.limits.linger_timeout)

    def shutdown(self) -> None:
        self.keep_alive = False
        if self.state == UPGRADING and not self.response.head_sent and self.exchange is not None:
            self.refuse(ProtocolError(503, GOING_DOWN))
            return
        if self.state != IDLE or not self.parser.idle:
            return
        if self.waiting_for == LAST_HEAD:
            return  # it was told before
        if self.waiting_for == NEXT_HEAD or self.waiting_for == FIRST_HEAD:
            grace = self.idle_time_left()
            if grace > 0:
                self.wait(LAST_HEAD, grace)
                return
        self.close()

    def idle_time_left(self) -> float:
        """Returns the seconds that an idle connection may stay at shutdown. The next request of a client that was here
        a moment ago may be on its way; the first one of a client that has just connected may wait to be read."""
        context = self.context
        now = context.runtime.now()
        grace = context.limits.idle_grace
        usual = context.limits.keep_alive_timeout
        if self.waiting_for == FIRST_HEAD:
            grace = max(grace, ARRIVAL_SECONDS)
            usual = context.limits.header_timeout
        used = self.deadline - usual if self.deadline < inf else now
        return grace + used - now

    def notify_shutdown(self) -> None:
        if self.exchange is not None and self.parser.complete:
            self.exchange.server_stopping()

    def abort(self) -> None:
        if self.state < CLOSING:
            self.state = CONNECTION.change(self.state, CLOSING)
        self.wait_for_nothing()
        self.transport.abort()

    # -- times

    def wait_for_peer(self) -> None:
        """Sets the deadline for what the peer has to do next."""
        if self.transport.writing_paused:
            return  # it has to read, and that deadline stands
        if self.state == IDLE:
            if self.parser.idle:
                self.wait(NEXT_HEAD, self.context.limits.keep_alive_timeout)
            else:
                self.wait(PARTIAL_HEAD, self.context.limits.header_timeout)
        elif self.state < LINGERING:
            if self.parser.complete or self.transport.reading_paused or self.expect:
                if self.body_timer is not None:
                    self.body_timer.pause_rate(self.context.runtime.now())
                self.wait_for_nothing()
            else:
                self.wait_for_body()

    def wait(self, what: int, seconds: float) -> None:
        """Sets what the connection waits for, and for how long (infinity: without end)."""
        self.waiting_for = what
        self.deadline = self.context.runtime.now() + seconds
        if self.deadline < self.context.next_sweep:
            self.context.arm(self.deadline)

    def wait_for_nothing(self) -> None:
        """Removes the deadline: the peer has nothing to do, or is gone."""
        self.waiting_for = NOTHING
        self.deadline = 0.0

    def wait_for_timer(self, what: int, timer: ProgressTimer) -> None:
        """Sets the same for what the peer has to do bit by bit."""
        self.waiting_for = what
        self.deadline = timer.deadline()
        if self.deadline and self.deadline < self.context.next_sweep:
            self.context.arm(self.deadline)

    def wait_for_body(self) -> None:
        """Sets the deadline for the next piece of the body, and for its rate."""
        context = self.context
        now = context.runtime.now()
        if self.body_timer is None:
            self.body_timer = timer_of_body(context, context.limits.min_receive_rate)
        self.body_timer.expect_progress(now)
        self.body_timer.start_rate(now)
        self.wait_for_timer(REQUEST_BODY, self.body_timer)

    def wait_for_output(self) -> None:
        """Sets the deadline for the peer to take what waits: anything of it, and at its rate."""
        now = self.context.runtime.now()
        self.unsent = self.transport.unsent()
        if self.write_timer is None:
            self.write_timer = timer_of_output(self.context)
        self.write_timer.expect_progress(now)
        if self.unsent > 0:
            self.write_timer.start_rate(now)
        self.wait_for_timer(WRITE_PROGRESS, self.write_timer)

    def check_body(self, timer: ProgressTimer, now: float) -> None:
        """Ends a request whose body did not come in time, or too slowly."""
        if not timer.is_late(now):
            self.wait_for_timer(REQUEST_BODY, timer)
        elif self.exchange is None:
            self.linger()
        elif timer.timed_out(now):
            self.refuse(ProtocolError(408, "the request body did not arrive in time"))
        else:
            self.refuse(ProtocolError(408, "the request body arrived too slowly"))

    def check_progress(self, timer: ProgressTimer, now: float) -> None:
        """Cuts off a peer that has taken nothing since the output piled up, or too little."""
        left = self.transport.unsent()
        taken = self.unsent - left
        if timer.is_late_with(left, taken, now):
            self.wait_for_nothing()
            self.transport.abort()
            return
        if taken > 0:
            self.unsent = left
        self.wait_for_timer(WRITE_PROGRESS, timer)

    def expired(self, now: float) -> None:
        waiting_for = self.waiting_for
        if waiting_for == WRITE_PROGRESS and self.write_timer is not None:
            self.check_progress(self.write_timer, now)
        elif waiting_for == REQUEST_BODY and self.body_timer is not None:
            self.check_body(self.body_timer, now)
        elif (waiting_for == FIRST_HEAD or waiting_for == PARTIAL_HEAD) and not self.parser.idle:
            self.refuse(ProtocolError(408, "the request head did not arrive in time"))
        elif waiting_for == HANDSHAKE:
            self.wait_for_nothing()
            if not self.response.head_sent:
                self.refuse(ProtocolError(504, "the application did not answer the handshake in time"))
        elif waiting_for != NOTHING:
            self.close()
