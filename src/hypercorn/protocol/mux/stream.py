"""One stream of an HTTP/2 connection (RFC 9113 section 5): to the exchange on it, it is the connection.

Data that the windows, the transport or more urgent streams do not let pass waits here, and the application behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.protocol.handshake import GOING_DOWN
from hypercorn.protocol.mux.budgets import DEFAULT_URGENCY, HIGH_WATER, LARGEST_WINDOW, LOW_WATER
from hypercorn.protocol.mux.connection import Multiplexer, Sender
from hypercorn.protocol.pace import Pace, pace_of_body, pace_of_output, pace_of_unread
from hypercorn.protocol.ports import Connection, Stream
from hypercorn.wire.http2_tables import CANCEL, INTERNAL_ERROR, NO_ERROR
from hypercorn.wire.http2_writer import FieldLine


class HTTP2Stream(Sender):
    """The state of one stream."""

    __slots__ = (
        "blocked",
        "body_base",
        "body_pace",
        "bodyless",
        "call",
        "calling",
        "connect",
        "content_length",
        "end_queued",
        "expect",
        "has_date",
        "has_server",
        "head_sent",
        "length",
        "lines",
        "lingering",
        "local_done",
        "mux",
        "offset",
        "over",
        "pieces",
        "received",
        "recv_size",
        "recv_window",
        "remote_done",
        "socket",
        "status",
        "stream",
        "trailer_lines",
        "unacked",
        "unread",
        "window_pace",
        "with_trailers",
        "zombie",
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
        self.stream: Stream | None = None
        self.call: Any = None  # the application's call, while it runs: what the runtime cancels
        self.calling = False
        self.over = False  # removed from the connection
        self.zombie = False  # ... while its call goes on
        self.connect = False  # an extended CONNECT (RFC 8441)
        self.socket: Connection | None = None  # ... that was accepted: the WebSocket on it
        # the request
        self.remote_done = False
        self.expect = False
        self.content_length = -1
        self.received = 0
        self.recv_window = recv_window
        self.recv_size = recv_window  # what the window is filled up to
        self.body_pace: Pace | None = None
        self.body_base = 0  # octets of DATA on the connection that its pace has counted
        self.unacked = 0  # octets that the application took, and the peer was not told of
        self.lingering = False  # the response was sent, and the rest of the request is read and dropped
        self.unread = 0  # octets of it that were dropped
        # the response
        self.send_window = send_window
        self.urgency = DEFAULT_URGENCY
        self.incremental = True
        self.head_sent = False
        self.bodyless = False
        self.status = 0
        self.lines: list[FieldLine] = []
        self.length = -1
        self.has_date = False
        self.has_server = False
        self.with_trailers = False
        self.trailer_lines: list[FieldLine] | None = None
        self.pieces: list[bytes] | None = None  # of the body, not sent yet
        self.offset = 0  # octets of the first one that are sent
        self.pending = 0
        self.window_pace: Pace | None = None
        self.queued = False
        self.end_queued = False  # the response ends with what is pending
        self.blocked = False  # the application waits
        self.local_done = False

    # -- from the exchange

    def start(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        fields = self.mux.fields
        self.lines = fields.check(headers, status == 204)
        self.has_date = fields.has_date
        self.has_server = fields.has_server
        return self.keep_head(status, fields.content_length, trailers)

    def keep_head(self, status: int, length: int, trailers: bool) -> int:
        """Keeps what decides how the response goes on. Returns the body's length, or -1."""
        self.length = -1 if status == 204 else length
        self.status = status
        if status == 204 or status == 304:
            self.bodyless = True
        self.with_trailers = trailers and not self.bodyless
        return self.length

    def end_after(self, stream: Stream) -> None:
        """Nothing: END_STREAM ends the message, and the connection goes on."""

    def announce(self, stream: Stream, length: int) -> None:
        if self.length < 0 and not self.head_sent:
            self.length = length
            self.lines = self.lines + self.check([(b"content-length", b"%d" % length)], False)

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> list[Any]:
        """Response fields as they go on the wire, as `FieldLines.check` has them."""
        lines: list[Any] = self.mux.fields.check(headers, omit_length)
        return lines

    def writing_blocked(self, stream: Stream) -> bool:
        return not self.over and (self.blocked or (self.pending > 0 and self.mux.writing_paused))

    def body(self, stream: Stream, data: bytes, end: bool) -> bool:
        if self.over or self.local_done:
            return True
        last = end and not self.with_trailers
        if self.bodyless:
            data = b""
        size = len(data)
        if not self.head_sent:
            self.send_head(last and not size)
            if last and not size:
                self.response_sent()
                return True
        mux = self.mux
        if not size and not last:
            return True
        if (
            not self.pending
            and size <= self.send_window
            and size <= mux.send_window
            and size <= mux.writer.max_frame_size
            and not mux.waiting
            and not mux.writing_paused
        ):
            mux.write_data(self.id, data, last)
            self.send_window -= size
            mux.send_window -= size
            mux.written()
            if last:
                self.response_sent()
            return True
        return self.hold(stream, data, size, last)

    def hold(self, stream: Stream, data: bytes, size: int, last: bool) -> bool:
        """Data that cannot pass at once. Returns False when the application should wait."""
        if size:
            if self.pieces is None:
                self.pieces = []
            self.pieces.append(data)
            self.pending += size
        if last:
            self.end_queued = True
            if not self.pending:
                self.finish_queue()
                return True
        mux = self.mux
        if self.send_window > 0:
            mux.enqueue(self)
            mux.pump()
        if self.over:
            return True
        if self.pending:
            self.wait_for_window()
            if self.pending > HIGH_WATER:
                self.blocked = True
        return last or not self.writing_blocked(stream)

    def send_head(self, end: bool) -> None:
        """The final head."""
        self.head_sent = True
        mux = self.mux
        pairs = self.context.server_pairs(self.has_date, self.has_server)
        if self.context.secure_alt_svc and mux.transport.scheme == "http":
            pairs = [pair for pair in pairs if pair[0] != b"alt-svc"]
        more = mux.fields.server(pairs)
        mux.writer.headers(self.id, mux.fields.status(self.status), self.lines, more, end)
        mux.written()

    def send_piece(self, limit: int) -> int:
        pieces = self.pieces
        assert pieces is not None
        data = pieces[0]
        left = len(data) - self.offset
        if left <= limit:
            if self.offset:
                data = data[self.offset :]
            del pieces[0]
            self.offset = 0
        else:
            data = data[self.offset : self.offset + limit]
            self.offset += limit
        size = len(data)
        self.pending -= size
        self.send_window -= size
        pace = self.window_pace
        if pace is not None:
            pace.octets += size
        last = not self.pending and self.end_queued
        self.write_piece(data, last and self.trailer_lines is None)
        if self.over:
            return size
        if self.pending:
            if pace is not None:  # else `hold` begins one with what is left
                self.wait_for_window()
        elif last:
            self.mux.dequeue(self)
            if self.trailer_lines is None:
                self.response_sent()
            else:
                self.finish_queue()
        else:
            self.deadline = 0.0
            self.window_pace = None
        if self.blocked and self.pending <= LOW_WATER:
            self.blocked = False
            if self.stream is not None:
                self.stream.writable()
        return size

    def write_piece(self, data: bytes, end: bool) -> None:
        """Writes a DATA frame."""
        self.mux.write_data(self.id, data, end)

    def finish_queue(self) -> None:
        """Nothing is pending: what ends the response goes out, whatever the windows say."""
        if self.trailer_lines:
            self.mux.writer.trailers(self.id, self.trailer_lines)
        else:
            self.mux.writer.data(self.id, b"", True)
        self.mux.written()
        self.response_sent()

    def trailers(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], end: bool) -> None:
        lines = self.check(headers, True)
        if self.over or self.local_done or not self.with_trailers:
            return
        self.trailer_lines = lines if self.trailer_lines is None else self.trailer_lines + lines
        if end:
            self.end_queued = True
            if not self.pending:
                self.finish_queue()

    def hint(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.interim(103, self.check(headers, True))

    def interim(self, status: int, lines: list[Any]) -> None:
        """An interim head, where the final one was not sent."""
        if not self.head_sent and not self.over:
            mux = self.mux
            mux.writer.headers(self.id, mux.fields.status(status), lines, [], False)
            mux.written()

    def push(self, stream: Stream, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.mux.promise(self, authority, path, headers)

    def wanted(self, stream: Stream) -> None:
        if self.expect and not self.over:
            self.expect = False
            self.interim(100, [])
            self.wait_for_body()

    def taken(self, stream: Stream, size: int) -> None:
        if self.remote_done or self.over:
            return
        self.unacked += size
        if self.unacked * 2 >= self.recv_size:
            more = self.mux.grow(self)
            increment = self.unacked + more
            self.recv_size += more
            self.recv_window += increment
            self.unacked = 0
            self.credit(increment)
            self.wait_for_body()

    def credit(self, size: int) -> None:
        """Lets the peer send more."""
        self.mux.writer.window_update(self.id, size)
        self.mux.written()

    def reset(self, stream: Stream) -> int:
        if self.over or self.local_done:
            return 0
        if self.head_sent:
            self.mux.reset_stream(self, INTERNAL_ERROR)
            return self.status
        self.answer(500, "Internal Server Error")
        return 500

    def accept(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], extension: Any) -> Connection:
        tunnel: Any = self.stream
        self.start(stream, 200, headers, False)
        self.send_head(False)
        accepted: Connection = tunnel.accept(extension)
        return accepted

    def finished(self, stream: Stream) -> None:
        self.calling = False
        self.call = None
        if self.zombie:
            self.zombie = False
            self.mux.zombies -= 1

    # -- from the connection

    def answer(self, status: int, reason: str) -> None:
        """A whole response of the server's own."""
        body = reason.encode("ascii", "replace") + b"\n"
        length = len(body)
        if self.bodyless:
            body = b""
        more = [(b"sec-websocket-version", b"13")] if status == 426 else []
        self.lines = self.check(
            [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % length), *more], False
        )
        self.has_date = self.has_server = self.with_trailers = False
        self.status = status
        self.answered = len(body)
        stream: Any = self.stream
        self.body(stream, body, True)

    def give_up(self, status: int, reason: str) -> None:
        """Answers in the place of the application, whose request went wrong."""
        exchange = self.stream
        self.stream = None
        self.answer(status, reason)
        if exchange is not None:
            exchange.disconnected(status)

    def shutdown(self) -> None:
        """The server is going down: a WebSocket is closed, a handshake that nobody has answered is refused."""
        if self.socket is not None:
            self.socket.shutdown()
        elif self.connect and not self.head_sent and self.stream is not None:
            self.give_up(503, GOING_DOWN)

    def response_sent(self) -> None:
        """The response is on its way to the transport, END_STREAM and all."""
        self.local_done = True
        self.deadline = 0.0
        if self.socket is not None and not self.remote_done:
            return  # the peer ends its half itself
        if self.remote_done:
            self.mux.stream_ended(self)
        else:
            self.mux.keep_reading(self)

    def linger(self) -> bool:
        """Reads and drops the rest of the request, which is of no use any more (RFC 9113 section 8.1).

        Returns False where the limits do not allow it.
        Many clients look at the response only when they have sent everything, and take RST_STREAM for a failure. Where
        the rest is known to be longer than `max_unread_body`, the client gets no credit for it, only time to read.
        """
        context = self.context
        limit = min(context.limits.max_unread_body, LARGEST_WINDOW)
        if not limit or not context.limits.linger_timeout:
            return False
        self.stream = None
        self.lingering = True
        if self.content_length - self.received <= limit and self.recv_window < limit:
            self.credit(limit - self.recv_window)
            self.recv_window = limit
        self.body_pace = pace_of_unread(context)
        self.body_base = self.mux.body_octets
        self.body_pace.run(context.runtime.now())
        self.wait_for_rest(self.body_pace)
        return True

    def wait_for_rest(self, pace: Pace) -> None:
        """Sets the deadline for more of the request that is dropped."""
        pace.wait(self.context.runtime.now())
        self.wait_for(pace)

    def rest_received(self, size: int, end: bool) -> None:
        """A piece of the request after the response, of `size` octets with its padding."""
        self.unread += size
        pace = self.body_pace
        if end:
            self.remote_done = True
            self.deadline = 0.0
            self.mux.stream_ended(self)
        elif self.unread > self.context.limits.max_unread_body:
            self.mux.reset_stream(self, NO_ERROR)
        elif pace is not None:
            self.wait_for_rest(pace)

    def wait_for_body(self) -> None:
        """Sets the deadline for the rest of the request: until the response begins, and while the peer may send."""
        if self.connect:
            return
        context = self.context
        pace = self.body_pace
        if not self.remote_done and not self.head_sent and not self.expect and self.recv_window > 0:
            now = context.runtime.now()
            if pace is None:
                pace = self.body_pace = pace_of_body(context, context.limits.min_receive_rate)
                self.body_base = self.mux.body_octets
            pace.wait(now)
            if self.recv_window * 2 > self.recv_size:
                pace.run(now)
            else:  # the application is behind, and some clients wait for more room than is left
                pace.rest(now)
            self.wait_for(pace)
        elif not self.pending:
            self.deadline = 0.0
            if pace is not None:
                pace.rest(context.runtime.now())

    def wait_for_window(self) -> None:
        """Sets the deadline for progress of the response."""
        now = self.context.runtime.now()
        pace = self.window_pace
        if pace is None:
            pace = self.window_pace = pace_of_output(self.context)
        pace.wait(now)
        if not pace.due and (self.send_window <= 0 or self.mux.send_window <= 0):
            pace.octets = 0
            pace.run(now)
        self.wait_for(pace)

    def wait_for(self, pace: Pace) -> None:
        """Sets the deadline for the peer."""
        self.deadline = pace.until()
        if self.deadline:
            self.mux.wait_until(self.deadline)

    def body_is_late(self, pace: Pace, now: float) -> bool:
        """True where no piece of the body came in time, or too little. The rate is the connection's: it is the client
        that shares it out among its streams."""
        pace.octets += self.mux.body_octets - self.body_base
        self.body_base = self.mux.body_octets
        return pace.late(now)

    def window_is_late(self, pace: Pace, now: float) -> bool:
        """True where the window that it waits for was not opened in time, or too little."""
        if self.send_window > 0:
            pace.octets *= self.mux.waiting  # it has a share of the connection's
        return pace.late(now)

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if self.lingering:
            pace = self.body_pace
            if pace is None or self.body_is_late(pace, now):
                self.mux.reset_stream(self, NO_ERROR)
            else:
                self.wait_for(pace)
        elif self.pending:
            pace = self.window_pace
            if pace is None or (self.send_window > 0 and self.mux.send_window > 0):
                self.window_pace = None
                self.wait_for_window()  # not its own window is what it waits for
            elif self.window_is_late(pace, now):
                self.mux.reset_stream(self, CANCEL)
            else:
                self.wait_for(pace)
        elif not self.head_sent and self.stream is not None:
            pace = self.body_pace
            if self.connect:
                self.give_up(504, "the application did not answer the handshake in time")
            elif pace is not None and not self.body_is_late(pace, now):
                self.wait_for(pace)
            elif pace is None or pace.silent(now):
                self.give_up(408, "the request body did not arrive in time")
            elif self.stream.unhurried():
                pace.free()
                self.wait_for(pace)
            else:
                self.give_up(408, "the request body arrived too slowly")
