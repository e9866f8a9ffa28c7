"""The life of an HTTP/1 connection: what it waits for, and how it ends (RFC 9112 section 9)."""

from __future__ import annotations

from math import inf

from hypercorn.errors import ProtocolError
from hypercorn.protocol.http1.response import ResponseWriter
from hypercorn.protocol.http1.states import (
    ARRIVAL_SECONDS,
    FIRST_HEAD,
    HANDSHAKE,
    LAST_HEAD,
    LINGER,
    NEXT_HEAD,
    NOTHING,
    PARTIAL_HEAD,
    REQUEST_BODY,
    WRITE_PROGRESS,
)
from hypercorn.protocol.pace import Pace, pace_of_body, pace_of_output
from hypercorn.protocol.ports import Context, Transport
from hypercorn.protocol.websocket.handshake import GOING_DOWN


class HTTP1Life(ResponseWriter):
    """An HTTP/1 connection without its requests."""

    __slots__ = (
        "body_pace",
        "eof",
        "lingering",
        "lost",
        "open",
        "reading_paused",
        "resume",
        "unread",
        "upgrading",
        "waiting_for",
        "write_pace",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.open = False  # an exchange is going on
        self.upgrading = False  # ... that may end as a WebSocket
        self.resume = False  # the exchange ended outside `advance`: go on when the turn ends
        self.reading_paused = False
        self.eof = False
        self.lingering = False
        self.lost = False  # no more output: closed, or closing
        self.unread = 0  # bytes dropped: of a body after its response, or while lingering
        self.body_pace: Pace | None = None
        self.write_pace: Pace | None = None
        self.wait(FIRST_HEAD, context.limits.header_timeout)

    def advance(self) -> None:
        """Parses on, until bytes or the response are missing."""
        raise NotImplementedError

    def refuse(self, error: ProtocolError) -> None:
        """Answers a request that broke the protocol, and ends the connection."""
        raise NotImplementedError

    # -- from the transport

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
        self.wait_for_nothing()
        self.leave()

    def leave(self) -> None:
        """The peer is gone: so its exchange is over."""
        stream = self.stream
        self.stream = None
        if stream is not None:
            stream.disconnected(0)

    def pause_writing(self) -> None:
        self.writing_paused = True
        if self.body_pace is not None:
            self.body_pace.rest(self.context.runtime.now())
        self.wait_for_output()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.lost:
            return
        self.write_pace = None
        if self.lingering:
            self.wait(LINGER, self.context.limits.linger_timeout)
        else:
            self.wait_for_peer()
        if self.stream is not None:
            self.stream.writable()
        elif not self.open and (self.eof or self.reading_paused or self.parser.buffered() > 0):
            self.resume = True
            self.transport.end_turn_soon()

    # -- the end

    def retire(self) -> None:
        self.stream = None
        self.lost = True  # to this connection it is
        self.wait_for_nothing()

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
            self.transport.close()
            self.wait_for_output()

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
            self.wait(LINGER, self.context.limits.linger_timeout)

    def wait_for_peer(self) -> None:
        """Sets the deadline for what the peer has to do next."""
        if self.writing_paused:
            return  # it has to read, and that deadline stands
        if self.open:
            if self.request_done or self.reading_paused or self.expect:
                if self.body_pace is not None:
                    self.body_pace.rest(self.context.runtime.now())
                self.wait_for_nothing()
            else:
                self.wait_for_body()
        elif self.parser.idle:
            self.wait(NEXT_HEAD, self.context.limits.keep_alive_timeout)
        else:
            self.wait(PARTIAL_HEAD, self.context.limits.header_timeout)

    def wait(self, what: int, seconds: float) -> None:
        """Sets what the connection waits for, and for how long (infinity: without end)."""
        self.waiting_for = what
        self.deadline = self.context.runtime.now() + seconds
        if self.deadline < self.context.next_sweep:
            self.context.arm(self.deadline)

    def wait_for_nothing(self) -> None:
        """The peer has nothing to do, or is gone."""
        self.waiting_for = NOTHING
        self.deadline = 0.0

    def wait_for_pace(self, what: int, pace: Pace) -> None:
        """The same for what the peer has to do bit by bit."""
        self.waiting_for = what
        self.deadline = pace.until()
        if self.deadline and self.deadline < self.context.next_sweep:
            self.context.arm(self.deadline)

    def wait_for_body(self) -> None:
        """Sets the deadline for the next piece of the body, and for its rate."""
        context = self.context
        now = context.runtime.now()
        if self.body_pace is None:
            self.body_pace = pace_of_body(context, context.limits.min_receive_rate)
        self.body_pace.wait(now)
        self.body_pace.run(now)
        self.wait_for_pace(REQUEST_BODY, self.body_pace)

    def wait_for_output(self) -> None:
        """Sets the deadline for the peer to take what waits: anything of it, and at its rate."""
        now = self.context.runtime.now()
        self.unsent = self.transport.unsent()
        if self.write_pace is None:
            self.write_pace = pace_of_output(self.context)
        self.write_pace.wait(now)
        if self.unsent > 0:
            self.write_pace.run(now)
        self.wait_for_pace(WRITE_PROGRESS, self.write_pace)

    def check_body(self, pace: Pace, now: float) -> None:
        """Did a piece of the body come in time, and enough of it?"""
        if not pace.late(now):
            self.wait_for_pace(REQUEST_BODY, pace)
        elif self.stream is None:
            self.linger()
        elif pace.silent(now):
            self.refuse(ProtocolError(408, "the request body did not arrive in time"))
        else:
            self.refuse(ProtocolError(408, "the request body arrived too slowly"))

    def check_progress(self, pace: Pace, now: float) -> None:
        """Has the peer taken anything since the output piled up, and enough?"""
        left = self.transport.unsent()
        taken = self.unsent - left
        if pace.late_with(left, taken, now):
            self.wait_for_nothing()
            self.transport.abort()
            return
        if taken > 0:
            self.unsent = left
        self.wait_for_pace(WRITE_PROGRESS, pace)

    def expired(self, now: float) -> None:
        waiting_for = self.waiting_for
        if waiting_for == WRITE_PROGRESS and self.write_pace is not None:
            self.check_progress(self.write_pace, now)
        elif waiting_for == REQUEST_BODY and self.body_pace is not None:
            self.check_body(self.body_pace, now)
        elif (waiting_for == FIRST_HEAD or waiting_for == PARTIAL_HEAD) and not self.parser.idle:
            self.refuse(ProtocolError(408, "the request head did not arrive in time"))
        elif waiting_for == HANDSHAKE:
            self.wait_for_nothing()
            if not self.head_sent:
                self.refuse(ProtocolError(504, "the application did not answer the handshake in time"))
        elif waiting_for != NOTHING:
            self.close()

    def shutdown(self) -> None:
        self.keep_alive = False
        if self.upgrading and not self.head_sent and self.stream is not None:
            self.refuse(ProtocolError(503, GOING_DOWN))
            return
        if self.open or self.lingering or not self.parser.idle:
            return
        if self.waiting_for == LAST_HEAD:
            return  # it was told before
        if not self.lost and (self.waiting_for == NEXT_HEAD or self.waiting_for == FIRST_HEAD):
            grace = self.idle_time_left()
            if grace > 0:
                self.wait(LAST_HEAD, grace)
                return
        self.close()

    def idle_time_left(self) -> float:
        """Seconds that an idle connection may stay at shutdown. The next request of a client that was here a moment ago
        may be on its way; the first one of a client that has just connected may wait to be read."""
        context = self.context
        now = context.runtime.now()
        grace = context.limits.idle_grace
        usual = context.limits.keep_alive_timeout
        if self.waiting_for == FIRST_HEAD:
            grace = max(grace, ARRIVAL_SECONDS)
            usual = context.limits.header_timeout
        used = self.deadline - usual if self.deadline < inf else now
        return grace + used - now

    def notify_streams(self) -> None:
        if self.stream is not None and self.request_done:
            self.stream.server_leaves()

    def abort(self) -> None:
        self.lost = True
        self.wait_for_nothing()
        self.transport.abort()
