"""One stream of an HTTP/2 or HTTP/3 connection: to the exchange on it, it is the connection.

`states` has its states. Data that the windows, the transport or more urgent streams do not let pass waits here, and the
application behind it. What a frame looks like is the business of the protocol's own class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.objects import same_text
from hypercorn.protocol.mux.budgets import (
    CONTROLS,
    DEFAULT_URGENCY,
    EMPTY,
    GLITCHES,
    HIGH_WATER_BYTES,
    LARGEST_WINDOW,
    LOW_WATER_BYTES,
    PIECE_BYTES,
    UPDATES,
    USEFUL_BYTES,
)
from hypercorn.protocol.mux.connection import Multiplexer
from hypercorn.protocol.mux.scheduler import read_priority
from hypercorn.protocol.mux.states import (
    BODYLESS,
    CLOSED,
    DISCARDING,
    ENDED,
    ENDING,
    EXPECTING,
    HALF_CLOSED_LOCAL,
    HALF_CLOSED_REMOTE,
    IDLE,
    NO_HEAD,
    NOT_CALLED,
    OPEN,
    ORPHANED,
    PLAIN,
    RETURNED,
    RUNNING,
    STREAM,
    TUNNEL,
    WITH_BODY,
    WITH_TRAILERS,
)
from hypercorn.protocol.ports import Connection, Exchange
from hypercorn.protocol.progress import ProgressTimer, timer_of_body, timer_of_output, timer_of_unread
from hypercorn.protocol.websocket.handshake import GOING_DOWN
from hypercorn.wire.http2_head import HTTP2Head

REASONS = {
    400: "malformed request target",
    404: "no such host here",
    405: "method not supported",
    413: "the request body is larger than this server accepts",
    417: "expectation not supported",
    421: "not served on this connection",
    431: "the header fields are too large",
    501: "protocol not supported",
}

Lines = list[Any]  # fields that were checked, as the protocol's writer takes them


class MuxStream(Connection):
    """The state of one stream. A protocol's class writes its frames."""

    __slots__ = (
        "blocked",
        "body_base",
        "body_timer",
        "call",
        "call_state",
        "content",
        "content_length",
        "exchange",
        "id",
        "incremental",
        "length",
        "lines",
        "mux",
        "offset",
        "pending",
        "pieces",
        "progress",
        "queued",
        "received",
        "recv_size",
        "recv_window",
        "request",
        "send_window",
        "socket",
        "state",
        "status",
        "trailer_lines",
        "unacked",
        "unread",
        "urgency",
        "window_timer",
    )

    def __init__(self, mux: Multiplexer, stream_id: int, send_window: int, recv_window: int) -> None:
        self.open(mux, stream_id, send_window, recv_window)

    def open(self, mux: Multiplexer, stream_id: int, send_window: int, recv_window: int) -> None:
        """Sets all up. In place of `__init__` and those of the base classes, as this runs for every request."""
        self.transport = mux.transport
        self.context = mux.context
        self.deadline = 0.0
        self.answered = 0
        self.mux = mux
        self.id = stream_id
        self.state = IDLE
        self.exchange: Exchange | None = None
        self.call: object = None  # the application's call, while it runs: what the runtime cancels
        self.call_state = NOT_CALLED
        self.socket: Connection | None = None  # the WebSocket in a tunnel that was accepted
        # the request
        self.request = PLAIN
        self.content_length = -1
        self.received = 0
        self.recv_window = recv_window
        self.recv_size = recv_window  # what the window is filled up to
        self.body_timer: ProgressTimer | None = None
        self.body_base = 0  # octets of DATA on the connection that `body_timer` has counted
        self.unacked = 0  # octets that the application took, and the peer was not told of
        self.unread = 0  # octets that were dropped after the response
        # the response
        self.progress = NO_HEAD
        self.send_window = send_window
        self.urgency = DEFAULT_URGENCY
        self.incremental = True  # takes turns with others of its urgency
        self.content = WITH_BODY
        self.status = 0
        self.lines: Lines = []  # checked fields, as the protocol's writer takes them
        self.length = -1
        self.trailer_lines: Lines | None = None
        self.pieces: list[bytes] | None = None  # of the body, not sent yet
        self.offset = 0  # octets of the first one that are sent
        self.pending = 0  # octets that wait
        self.window_timer: ProgressTimer | None = None
        self.queued = False  # waits in the scheduler
        self.blocked = False  # the application waits

    # -- the frames of the protocol

    def set_fields(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> int:
        """Checks and keeps the fields of the final head. Returns the length that they announce, or -1."""
        raise NotImplementedError

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> Lines:
        """Response fields as the protocol's writer takes them. Raises TypeError or ValueError for bad ones."""
        raise NotImplementedError

    def send_head(self, end: bool) -> None:
        """Writes the final head."""
        raise NotImplementedError

    def write_piece(self, data: bytes, start: int, stop: int, end: bool) -> None:
        """Writes a DATA frame with `data[start:stop]`. `end`: it ends the message."""
        raise NotImplementedError

    def finish_queue(self) -> None:
        """Writes what ends the response once nothing is pending, whatever the windows say."""
        raise NotImplementedError

    def interim(self, status: int, lines: Lines) -> None:
        """Writes an interim head, where the final one was not sent."""
        raise NotImplementedError

    def credit(self, size: int) -> None:
        """Lets the peer send more."""
        raise NotImplementedError

    # -- from the exchange

    def start(self, exchange: Exchange, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        length = self.set_fields(headers, status == 204)
        self.length = -1 if status == 204 else length
        self.status = status
        if status == 204 or status == 304:
            self.content = BODYLESS
        elif self.content != BODYLESS:
            self.content = WITH_TRAILERS if trailers else WITH_BODY
        return self.length

    def end_after(self, exchange: Exchange) -> None:
        """Does nothing: END_STREAM ends the message, and the connection goes on."""

    def announce(self, exchange: Exchange, length: int) -> None:
        if self.length < 0 and self.progress == NO_HEAD:
            self.length = length
            self.lines = self.lines + self.check([(b"content-length", b"%d" % length)], False)

    def writing_blocked(self, exchange: Exchange) -> bool:
        return self.state != CLOSED and (self.blocked or (self.pending > 0 and self.mux.writing_paused))

    def queue_data(self, exchange: Exchange, data: bytes, size: int, last: bool) -> bool:
        """Keeps data that cannot be sent at once. Returns False when the application should wait."""
        if size:
            if self.pieces is None:
                self.pieces = []
            self.pieces.append(data)
            self.pending += size
        if last:
            self.progress = ENDING
            if not self.pending:
                self.finish_queue()
                return True
        if self.send_window > 0:
            self.enqueue()
            pump(self.mux)
        if self.state == CLOSED:
            return True
        if self.pending:
            self.wait_for_window()
            if self.pending > HIGH_WATER_BYTES:
                self.blocked = True
        return last or not self.writing_blocked(exchange)

    def enqueue(self) -> None:
        """Has the scheduler send what waits, which the windows allow."""
        if not self.queued:
            self.mux.scheduler.add(self, self.urgency)
            self.queued = True

    def dequeue(self) -> None:
        """Takes the stream out of the scheduler: nothing waits, or the window is closed."""
        if self.queued:
            self.mux.scheduler.remove(self, self.urgency)
            self.queued = False

    def send_piece(self, limit: int) -> int:
        """Writes one DATA frame of at most `limit` octets. Returns its octets."""
        pieces = self.pieces
        assert pieces is not None
        data = pieces[0]
        start = self.offset
        size = len(data) - start
        if size <= limit:
            del pieces[0]
            self.offset = 0
        else:
            size = limit
            self.offset += limit
        self.pending -= size
        self.send_window -= size
        timer = self.window_timer
        if timer is not None:
            timer.moved += size
        last = not self.pending and self.progress == ENDING
        self.write_piece(data, start, start + size, last and self.trailer_lines is None)
        if self.state == CLOSED:
            return size
        if self.pending:
            if timer is not None:  # else `queue_data` begins one with what is left
                self.wait_for_window()
        elif last:
            self.dequeue()
            if self.trailer_lines is None:
                self.response_sent()
            else:
                self.finish_queue()
        else:
            self.deadline = 0.0
            self.window_timer = None
        if self.blocked and self.pending <= LOW_WATER_BYTES:
            self.blocked = False
            if self.exchange is not None:
                self.exchange.writable()
        return size

    def trailers(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], end: bool) -> None:
        lines = self.check(headers, True)
        if self.state > OPEN or self.content != WITH_TRAILERS:
            return
        self.trailer_lines = lines if self.trailer_lines is None else self.trailer_lines + lines
        if end:
            self.progress = ENDING
            if not self.pending:
                self.finish_queue()

    def hint(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.interim(103, self.check(headers, True))

    def push(self, exchange: Exchange, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.mux.promise(self, authority, path, headers)

    def body_wanted(self, exchange: Exchange) -> None:
        if self.request == EXPECTING and self.state != CLOSED:
            self.request = PLAIN
            self.interim(100, [])
            self.wait_for_body()

    def body_consumed(self, exchange: Exchange, size: int) -> None:
        if self.state < OPEN or self.state == CLOSED:
            return
        self.unacked += size
        if self.unacked * 2 >= self.recv_size:
            more = self.grow()
            increment = self.unacked + more
            self.recv_size += more
            self.recv_window += increment
            self.unacked = 0
            self.credit(increment)
            self.wait_for_body()

    def grow(self) -> int:
        """Returns the octets by which the receive window may grow, as the application keeps up."""
        limits = self.context.limits
        more = min(self.recv_size, limits.h2_max_stream_window - self.recv_size)
        more = min(more, limits.h2_connection_window - self.mux.grown)
        if more <= 0:
            return 0
        self.mux.grown += more
        return int(more)

    def shrink(self) -> None:
        """Gives back what the receive window had grown by, for other streams."""
        first = self.context.limits.h2_stream_window
        if self.recv_size > first:
            self.mux.grown -= self.recv_size - first

    def reset(self, exchange: Exchange) -> int:
        if self.state > OPEN:
            return 0
        if self.progress != NO_HEAD:
            self.mux.reset_stream(self, self.mux.codes.internal)
            return self.status
        self.answer(500, "Internal Server Error")
        return 500

    def accept(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], extension: object) -> Connection:
        tunnel: Any = self.exchange
        self.start(exchange, 200, headers, False)
        self.send_head(False)
        accepted: Connection = tunnel.accept(extension)
        return accepted

    def is_multiplexed(self) -> bool:
        return True

    def finished(self, exchange: Exchange) -> None:
        if self.call_state == ORPHANED:
            self.mux.orphans.count -= 1
        self.call_state = RETURNED
        self.call = None

    # -- the request, from the connection

    def take_head(self, head: HTTP2Head) -> None:
        """Opens the stream for a request."""
        self.state = STREAM.change(self.state, HALF_CLOSED_REMOTE if head.complete else OPEN)
        if same_text(head.method, "HEAD"):
            self.content = BODYLESS
        if not head.complete:
            self.content_length = head.content_length
            if head.expect_continue:
                self.request = EXPECTING
            self.wait_for_body()
        priorities = self.mux.priorities
        if priorities:
            update = priorities.pop(self.id, None)
            if update is not None:
                head.priority = update
        if head.priority:
            # A client that knows of priorities means the default too: one after the other.
            self.urgency, self.incremental = read_priority(head.priority, self.urgency, False)

    def begin_call(self) -> None:
        """Starts the application. It had to wait for one event: a request that is taken back in the same breath costs
        no call."""
        if self.state == CLOSED:
            return
        self.call_state = RUNNING
        exchange: Any = self.exchange
        call = exchange.begin()
        if self.call_state != RETURNED:
            self.call = call

    def answer_early(self, head: HTTP2Head, status: int, complete: bool, reason: str) -> None:
        """Answers a request that no application sees."""
        head.complete = complete
        self.state = STREAM.change(self.state, HALF_CLOSED_REMOTE if complete else OPEN)
        self.content_length = head.content_length
        if same_text(head.method, "HEAD"):
            self.content = BODYLESS
        reason = reason or REASONS.get(status, "refused")
        self.answer(status, reason)
        mux = self.mux
        mux.answered = self.answered
        self.context.refused(mux, head, status, reason)
        mux.spend(GLITCHES)

    def piece_received(self, data: bytes, end: bool) -> None:
        """A piece of the request's body, whose octets the windows let pass."""
        mux = self.mux
        size = len(data)
        if not size and not end:
            mux.spend(EMPTY)
            return
        if size >= USEFUL_BYTES:
            mux.allowance.refund(CONTROLS, 1)
        if self.request == EXPECTING:
            self.request = PLAIN
        self.received += size
        announced = self.content_length
        if announced >= 0 and (self.received > announced or (end and self.received < announced)):
            mux.fault(self, mux.codes.malformed)
        elif self.received > self.context.limits.max_body_size and self.request != TUNNEL:
            self.too_large()
        elif end:
            self.request_complete(data)
        elif self.exchange is not None:
            self.exchange.body_received(data, False)
            self.wait_for_body()

    def request_complete(self, data: bytes) -> None:
        """Takes the last piece of the request."""
        opened = self.state == OPEN
        if opened:
            self.state = STREAM.change(self.state, HALF_CLOSED_REMOTE)
        if not self.pending:
            self.deadline = 0.0
        exchange = self.exchange
        if exchange is not None:
            exchange.body_received(data, True)
        if not opened and self.state != CLOSED:
            self.end()  # a WebSocket, whose other side has ended before

    def too_large(self) -> None:
        """Answers 413: the body is longer than `max_body_size`."""
        mux = self.mux
        if self.progress != NO_HEAD or self.exchange is None:
            mux.fault(self, mux.codes.cancelled)
            return
        mux.cancel_start(self)
        self.answer_instead(413, REASONS[413])

    # -- from the connection

    def peer_ended(self) -> None:
        """The peer has closed its half of the connection, and may still read."""
        if self.state < OPEN:
            if self.exchange is not None:
                self.exchange.peer_closed()
        else:
            self.drop()
            self.mux.close_if_done()

    def wake_writer(self) -> None:
        """Lets the application send again, as the transport takes more."""
        if self.exchange is not None and not self.blocked:
            self.exchange.writable()

    def server_stopping(self) -> None:
        """The server stops: ends a response that the application streams."""
        if self.exchange is not None and self.state < OPEN:
            self.exchange.server_stopping()

    def change_window(self, delta: int) -> None:
        """Changes the send window by `delta` octets (RFC 9113 sections 6.9 and 6.9.2)."""
        self.send_window += delta
        if self.send_window <= 0:
            self.dequeue()
        elif self.pending:
            self.enqueue()

    def prioritize(self, value: bytes) -> None:
        """Takes a PRIORITY_UPDATE (RFC 9218 section 7)."""
        queued = self.queued
        self.dequeue()
        self.urgency, self.incremental = read_priority(value, DEFAULT_URGENCY, False)
        if queued:
            self.enqueue()

    def end(self) -> None:
        """Closes the stream: both directions have ended."""
        self.state = STREAM.change(self.state, CLOSED)
        self.exchange = None
        self.shrink()
        self.mux.remove(self.id)
        self.mux.close_if_done()

    def drop(self) -> None:
        """Closes the stream for its peer. A call that goes on is cancelled soon, and counts until it has ended."""
        if self.state == CLOSED:
            return
        mux = self.mux
        mux.remove(self.id)
        self.dequeue()
        self.shrink()
        answered = self.state > OPEN
        self.forget()
        if self.call_state == RUNNING and not answered:
            self.call_state = ORPHANED
            mux.orphans.count += 1
            if self.socket is None:  # else it is told by a message, as over HTTP/1.1
                mux.orphans.cancel_later(self)

    def forget(self) -> None:
        """Closes the stream: the connection is lost."""
        exchange = self.exchange
        answered = self.state > OPEN
        self.state = STREAM.change(self.state, CLOSED)
        self.exchange = None
        self.pieces = None
        self.pending = 0
        if exchange is not None and not answered:
            exchange.disconnected(0)

    def answer(self, status: int, reason: str) -> None:
        """Sends a whole response of the server's own."""
        body = reason.encode("ascii", "replace") + b"\n"
        length = len(body)
        if self.content == BODYLESS:
            body = b""
        else:
            self.content = WITH_BODY
        more = [(b"sec-websocket-version", b"13")] if status == 426 else []
        self.set_fields(
            [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % length), *more], False
        )
        self.status = status
        self.answered = len(body)
        exchange: Any = self.exchange
        self.body(exchange, body, True)

    def answer_instead(self, status: int, reason: str) -> None:
        """Answers in the place of the application, whose request went wrong."""
        exchange = self.exchange
        self.exchange = None
        self.answer(status, reason)
        if exchange is not None:
            exchange.disconnected(status)

    def shutdown(self) -> None:
        """The server is going down: a WebSocket is closed, a handshake that nobody has answered is refused."""
        if self.socket is not None:
            self.socket.shutdown()
        elif self.request == TUNNEL and self.progress == NO_HEAD and self.exchange is not None:
            self.answer_instead(503, GOING_DOWN)

    def response_sent(self) -> None:
        """The response is on its way to the transport, END_STREAM and all."""
        self.deadline = 0.0
        if self.state < OPEN:
            self.end()
            return
        self.state = STREAM.change(self.state, HALF_CLOSED_LOCAL)
        if self.socket is None:  # else the peer ends its half itself
            self.mux.keep_reading(self)

    def discard_rest(self) -> bool:
        """Reads and drops the rest of the request, which is of no use any more (RFC 9113 section 8.1).

        Returns False where the limits do not allow it.
        Many clients look at the response only when they have sent everything, and take RST_STREAM for a failure. Where
        the rest is known to be longer than `max_unread_body`, the client gets no credit for it, only time to read.
        """
        context = self.context
        limit = min(context.limits.max_unread_body, LARGEST_WINDOW)
        if not limit or not context.limits.linger_timeout:
            return False
        self.exchange = None
        self.state = STREAM.change(self.state, DISCARDING)
        if self.content_length - self.received <= limit and self.recv_window < limit:
            self.credit(limit - self.recv_window)
            self.recv_window = limit
        self.body_timer = timer_of_unread(context)
        self.body_base = self.mux.body_octets
        self.body_timer.start_rate(context.runtime.now())
        self.wait_for_rest(self.body_timer)
        return True

    def wait_for_rest(self, timer: ProgressTimer) -> None:
        """Sets the deadline for more of the request that is dropped."""
        timer.expect_progress(self.context.runtime.now())
        self.wait_for(timer)

    def rest_received(self, size: int, end: bool) -> None:
        """A piece of the request after the response, of `size` octets with its padding."""
        self.unread += size
        timer = self.body_timer
        if end:
            self.deadline = 0.0
            self.end()
        elif self.unread > self.context.limits.max_unread_body:
            self.mux.reset_stream(self, self.mux.codes.none)
        elif timer is not None:
            self.wait_for_rest(timer)

    def wait_for_body(self) -> None:
        """Sets the deadline for the rest of the request: until the response begins, and while the peer may send."""
        if self.request == TUNNEL:
            return
        context = self.context
        timer = self.body_timer
        if self.state >= OPEN and self.progress == NO_HEAD and self.request == PLAIN and self.recv_window > 0:
            now = context.runtime.now()
            if timer is None:
                timer = self.body_timer = timer_of_body(context, context.limits.min_receive_rate)
                self.body_base = self.mux.body_octets
            timer.expect_progress(now)
            if self.recv_window * 2 > self.recv_size:
                timer.start_rate(now)
            else:  # the application is behind, and some clients wait for more room than is left
                timer.pause_rate(now)
            self.wait_for(timer)
        elif not self.pending:
            self.deadline = 0.0
            if timer is not None:
                timer.pause_rate(context.runtime.now())

    def wait_for_window(self) -> None:
        """Sets the deadline for progress of the response."""
        now = self.context.runtime.now()
        timer = self.window_timer
        if timer is None:
            timer = self.window_timer = timer_of_output(self.context)
        timer.expect_progress(now)
        if not timer.rate_due and (self.send_window <= 0 or self.mux.send_window <= 0):
            timer.moved = 0
            timer.start_rate(now)
        self.wait_for(timer)

    def wait_for(self, timer: ProgressTimer) -> None:
        """Sets the deadline for the peer."""
        self.deadline = timer.deadline()
        if self.deadline:
            self.mux.wait_until(self.deadline)

    def body_is_late(self, timer: ProgressTimer, now: float) -> bool:
        """True where no piece of the body came in time, or too little. The rate is the connection's: it is the client
        that shares it out among its streams."""
        timer.moved += self.mux.body_octets - self.body_base
        self.body_base = self.mux.body_octets
        return timer.is_late(now)

    def window_is_late(self, timer: ProgressTimer, now: float) -> bool:
        """True where the window that it waits for was not opened in time, or too little."""
        if self.send_window > 0:
            timer.moved *= self.mux.scheduler.waiting  # it has a share of the connection's
        return timer.is_late(now)

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if self.state == DISCARDING:
            timer = self.body_timer
            if timer is None or self.body_is_late(timer, now):
                self.mux.reset_stream(self, self.mux.codes.none)
            else:
                self.wait_for(timer)
        elif self.pending:
            timer = self.window_timer
            if timer is None or (self.send_window > 0 and self.mux.send_window > 0):
                self.window_timer = None
                self.wait_for_window()  # not its own window is what it waits for
            elif self.window_is_late(timer, now):
                self.mux.reset_stream(self, self.mux.codes.cancelled)
            else:
                self.wait_for(timer)
        elif self.progress == NO_HEAD and self.exchange is not None:
            timer = self.body_timer
            if self.request == TUNNEL:
                self.answer_instead(504, "the application did not answer the handshake in time")
            elif timer is not None and not self.body_is_late(timer, now):
                self.wait_for(timer)
            elif timer is None or timer.timed_out(now):
                self.answer_instead(408, "the request body did not arrive in time")
            elif self.exchange.may_be_slow():
                timer.drop_rate()
                self.wait_for(timer)
            else:
                self.answer_instead(408, "the request body arrived too slowly")


def pump(mux: Multiplexer) -> None:
    """Sends what the streams of a connection may send, the most urgent first."""
    scheduler = mux.scheduler
    if not scheduler.waiting:
        return
    while scheduler.waiting and mux.send_window > 0 and not mux.writing_paused and mux.state != ENDED:
        queue = scheduler.first()
        stream: MuxStream = queue[0]
        sent = stream.send_piece(min(PIECE_BYTES, mux.send_window, stream.send_window))
        mux.send_window -= sent
        if sent >= USEFUL_BYTES:
            mux.allowance.refund(UPDATES, 10)
        if not stream.queued:
            continue  # it ended, and is out of the queue
        if not stream.pending or stream.send_window <= 0:
            stream.dequeue()
        elif stream.incremental and len(queue) > 1:
            queue.rotate(-1)
    mux.written()
