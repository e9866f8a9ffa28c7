"""One request stream of an HTTP/3 connection (RFC 9114 section 4): to the exchange on it, it is the connection.

It waits, gives way and ends as a stream of HTTP/2 does; what it writes goes to QUIC, which has windows of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.budgets import LOW_WATER, PIECE
from hypercorn.protocol.http2_stream import HTTP2Stream
from hypercorn.protocol.ports import Stream
from hypercorn.wire.http3 import F_DATA, F_HEADERS, varint

if TYPE_CHECKING:
    from hypercorn.protocol.http3_life import HTTP3Life

Pairs = list[tuple[bytes, bytes]]


class HTTP3Stream(HTTP2Stream):
    """The state of one stream. Its `lines` are pairs of name and value."""

    __slots__ = ()

    @property
    def life(self) -> HTTP3Life:
        """The connection."""
        mux: Any = self.mux
        life: HTTP3Life = mux
        return life

    # -- from the exchange

    def start(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        checker = self.life.pairs
        lines: Any = checker.check(headers, status == 204)
        self.lines = lines
        self.has_date = checker.has_date
        self.has_server = checker.has_server
        self.length = -1 if status == 204 else checker.content_length
        self.status = status
        if status == 204 or status == 304:
            self.bodyless = True
        self.with_trailers = trailers and not self.bodyless
        return self.length

    def announce(self, stream: Stream, length: int) -> None:
        if self.length < 0 and not self.head_sent:
            self.length = length
            lines: Any = [*self.lines, (b"content-length", b"%d" % length)]
            self.lines = lines

    def body(self, stream: Stream, data: bytes, end: bool) -> bool:
        if self.over or self.local_done:
            return True
        last = end and not self.with_trailers
        if self.bodyless:
            data = b""
        head = b"" if self.head_sent else self.head()
        size = len(data)
        life = self.life
        if not size and not self.pending:
            if head or last:
                life.send(self.id, head, last)
            if last:
                self.response_sent()
            return True
        if (
            not self.pending
            and size <= PIECE
            and size <= self.send_window
            and size <= life.send_window
            and not life.waiting
            and not life.writing_paused
        ):
            life.send(self.id, head + data_head(size) + data, last)
            self.send_window -= size
            life.send_window -= size
            if last:
                self.response_sent()
            return True
        if head:
            life.send(self.id, head, False)
        return self.hold(stream, data, size, last)

    def head(self) -> bytes:
        """The final head as a frame."""
        self.head_sent = True
        life = self.life
        lines: Any = self.lines
        return life.head_frame(
            self.id, [(b":status", b"%d" % self.status), *lines, *life.server_pairs(self.has_date, self.has_server)]
        )

    def send_head(self, end: bool) -> None:
        self.life.send(self.id, self.head(), end)

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
        if self.window_pace is not None:
            self.window_pace.octets += size
        last = self.pending == 0 and self.end_queued
        self.life.send(self.id, data_head(size) + data, last and self.trailer_lines is None)
        if self.over:
            return size
        if self.pending:
            self.wait_for_window()
        elif last:
            self.life.dequeue(self)
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

    def finish_queue(self) -> None:
        lines: Any = self.trailer_lines
        self.life.send(self.id, self.life.head_frame(self.id, lines) if lines else b"", True)
        self.response_sent()

    def trailers(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], end: bool) -> None:
        lines: Any = self.life.pairs.check(headers, True)
        if self.over or self.local_done or not self.with_trailers:
            return
        self.trailer_lines = lines if self.trailer_lines is None else self.trailer_lines + lines
        if end:
            self.end_queued = True
            if not self.pending:
                self.finish_queue()

    def hint(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.interim(103, self.life.pairs.check(headers, True))

    def interim(self, status: int, lines: Pairs) -> None:
        """An interim head."""
        if not self.head_sent and not self.over:
            self.life.send(self.id, self.life.head_frame(self.id, [(b":status", b"%d" % status), *lines]), False)

    def wanted(self, stream: Stream) -> None:
        if self.expect and not self.over:
            self.expect = False
            self.interim(100, [])
            self.wait_for_body()

    def taken(self, stream: Stream | None, size: int) -> None:
        if self.remote_done or self.over:
            return
        self.unacked += size
        if self.unacked * 2 >= self.recv_size:
            more = self.life.grow(self)
            self.recv_size += more
            self.recv_window += self.unacked + more
            self.life.credit(self.id, self.unacked + more)
            self.unacked = 0
            self.wait_for_body()

    def answer(self, status: int, reason: str) -> None:
        body = reason.encode("ascii", "replace") + b"\n"
        more = [(b"sec-websocket-version", b"13")] if status == 426 else []
        lines: Any = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *more]
        self.lines = lines
        if self.bodyless:
            body = b""
        self.has_date = self.has_server = self.with_trailers = False
        self.status = status
        self.answered = len(body)
        stream: Any = self.stream
        self.body(stream, body, True)


def data_head(size: int) -> bytes:
    """What is ahead of the octets of a DATA frame."""
    return bytes((F_DATA,)) + varint(size)


def headers_frame(block: bytes) -> bytes:
    """HEADERS with an encoded field section."""
    return bytes((F_HEADERS,)) + varint(len(block)) + block
