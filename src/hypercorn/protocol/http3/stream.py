"""One request stream of an HTTP/3 connection (RFC 9114 section 4): to the exchange on it, it is the connection.

It waits, gives way and ends as a stream of HTTP/2 does; what it writes goes to QUIC, which has windows of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.mux.budgets import PIECE
from hypercorn.protocol.mux.states import CLOSED, NO_HEAD, OPEN, STARTED
from hypercorn.protocol.mux.stream import MuxStream
from hypercorn.protocol.ports import Stream
from hypercorn.wire.http3 import F_DATA, F_HEADERS, varint

if TYPE_CHECKING:
    from hypercorn.protocol.http3.life import HTTP3Life


class HTTP3Stream(MuxStream):
    """The state of one stream. Its `lines` are pairs of name and value."""

    __slots__ = ("has_date", "has_server")

    has_date: bool
    has_server: bool

    @property
    def life(self) -> HTTP3Life:
        """The connection."""
        mux: Any = self.mux
        life: HTTP3Life = mux
        return life

    # -- from the exchange

    def set_fields(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> int:
        pairs = self.life.pairs
        self.lines = pairs.check(headers, omit_length)
        self.has_date = pairs.has_date
        self.has_server = pairs.has_server
        return pairs.content_length

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> list[Any]:
        return self.life.pairs.check(headers, omit_length)

    def body(self, stream: Stream, data: bytes, end: bool) -> bool:
        if self.state > OPEN:
            return True
        last = end and not self.with_trailers
        if self.bodyless:
            data = b""
        head = b"" if self.progress != NO_HEAD else self.head()
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
            and not life.scheduler.waiting
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
        self.progress = STARTED
        life = self.life
        lines: Any = self.lines
        return life.head_frame(
            self.id, [(b":status", b"%d" % self.status), *lines, *life.server_pairs(self.has_date, self.has_server)]
        )

    def send_head(self, end: bool) -> None:
        self.life.send(self.id, self.head(), end)

    def write_piece(self, data: bytes, end: bool) -> None:
        self.life.send(self.id, data_head(len(data)) + data, end)

    def finish_queue(self) -> None:
        lines: Any = self.trailer_lines
        self.life.send(self.id, self.life.head_frame(self.id, lines) if lines else b"", True)
        self.response_sent()

    def interim(self, status: int, lines: list[Any]) -> None:
        if self.progress == NO_HEAD and self.state != CLOSED:
            self.life.send(self.id, self.life.head_frame(self.id, [(b":status", b"%d" % status), *lines]), False)

    def credit(self, size: int) -> None:
        self.life.credit(self.id, size)


def data_head(size: int) -> bytes:
    """What is ahead of the octets of a DATA frame."""
    return bytes((F_DATA,)) + varint(size)


def headers_frame(block: bytes) -> bytes:
    """HEADERS with an encoded field section."""
    return bytes((F_HEADERS,)) + varint(len(block)) + block
