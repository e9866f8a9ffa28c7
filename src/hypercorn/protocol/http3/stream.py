"""One request stream of an HTTP/3 connection (RFC 9114 section 4): what comes in, and how the response is written.

A response waits, takes turns and ends as one of HTTP/2 does (`mux.stream`); its octets go to QUIC, which has windows of
its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.protocol.http3.qpack import FieldPair
from hypercorn.protocol.http3.states import HEAD
from hypercorn.protocol.mux.budgets import PIECE_BYTES
from hypercorn.protocol.mux.states import BODYLESS, CLOSED, NO_HEAD, OPEN, STARTED, WITH_TRAILERS
from hypercorn.protocol.mux.stream import MuxStream
from hypercorn.protocol.ports import Exchange
from hypercorn.wire.http3 import F_DATA, ON_REQUESTS, FrameReader, varint


class RequestReader:
    """The request part of a stream: its frames and its state (`states`)."""

    __slots__ = ("frames", "overhead", "since", "state")

    def __init__(self, limit: int, since: float) -> None:
        self.frames = FrameReader(ON_REQUESTS, limit)
        self.since = since  # when the stream began
        self.state = HEAD
        self.overhead = 0  # octets for which the peer has got no credit, as no application takes them


class HTTP3Stream(MuxStream):
    """The state of one stream. Its `lines` are pairs of name and value."""

    __slots__ = ("has_date", "has_server")

    mux: Any  # an HTTP3Connection
    has_date: bool  # the application gave these fields itself
    has_server: bool

    # -- from the exchange

    def body(self, exchange: Exchange, data: bytes, end: bool) -> bool:
        if self.state > OPEN:
            return True
        mux = self.mux
        last = end and self.content != WITH_TRAILERS
        if self.content == BODYLESS:
            data = b""
        head = self.head() if self.progress == NO_HEAD else b""
        size = len(data)
        if not size and not self.pending:
            if head or last:
                mux.send(self.id, head, last)
            if last:
                self.response_sent()
            return True
        if (
            not self.pending
            and size <= PIECE_BYTES
            and size <= self.send_window
            and size <= mux.send_window
            and not mux.scheduler.waiting
            and not mux.writing_paused
        ):
            mux.send(self.id, head + data_head(size) + data, last)
            self.send_window -= size
            mux.send_window -= size
            if last:
                self.response_sent()
            return True
        if head:
            mux.send(self.id, head, False)
        return self.queue_data(exchange, data, size, last)

    # -- the frames

    def set_fields(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> int:
        pairs = self.mux.pairs
        self.lines = pairs.check(headers, omit_length)
        self.has_date = pairs.has_date
        self.has_server = pairs.has_server
        return int(pairs.content_length)

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> list[FieldPair]:
        lines: list[FieldPair] = self.mux.pairs.check(headers, omit_length)
        return lines

    def head(self) -> bytes:
        """The final head as a frame."""
        self.progress = STARTED
        more = self.mux.server_pairs(self.has_date, self.has_server)
        frame: bytes = self.mux.head_frame(self.id, [(b":status", b"%d" % self.status), *self.lines, *more])
        return frame

    def send_head(self, end: bool) -> None:
        self.mux.send(self.id, self.head(), end)

    def write_piece(self, data: bytes, start: int, stop: int, end: bool) -> None:
        self.mux.send(self.id, data_head(stop - start) + data[start:stop], end)

    def finish_queue(self) -> None:
        lines = self.trailer_lines
        self.mux.send(self.id, self.mux.head_frame(self.id, lines) if lines else b"", True)
        self.response_sent()

    def interim(self, status: int, lines: list[FieldPair]) -> None:
        if self.progress == NO_HEAD and self.state != CLOSED:
            self.mux.send(self.id, self.mux.head_frame(self.id, [(b":status", b"%d" % status), *lines]), False)

    def credit(self, size: int) -> None:
        self.mux.credit(self.id, size)


def data_head(size: int) -> bytes:
    """Returns the type and length of a DATA frame of `size` octets."""
    return bytes((F_DATA,)) + varint(size)
