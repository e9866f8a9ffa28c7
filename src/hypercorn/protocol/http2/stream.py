"""The frames of one HTTP/2 stream: how what `mux.stream` decides is written (RFC 9113 section 6)."""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.objects import part_of
from hypercorn.protocol.mux.budgets import GATHER_BYTES, SEPARATE_BYTES
from hypercorn.protocol.mux.states import (
    BODYLESS,
    CLOSED,
    HALF_CLOSED_REMOTE,
    NO_HEAD,
    OPEN,
    RESERVED,
    STARTED,
    STREAM,
    WITH_TRAILERS,
)
from hypercorn.protocol.mux.stream import MuxStream
from hypercorn.protocol.ports import Exchange
from hypercorn.wire.http2_writer import FieldLine, FrameWriter


class HTTP2Stream(MuxStream):
    """The state of one stream. Its `lines` are instances of `FieldLine`."""

    __slots__ = ("has_date", "has_server", "writer")

    writer: FrameWriter  # the connection's
    has_date: bool  # the application gave these fields itself
    has_server: bool

    # -- from the exchange

    def body(self, exchange: Exchange, data: bytes, end: bool) -> bool:
        if self.state > OPEN:
            return True
        last = end and self.content != WITH_TRAILERS
        if self.content == BODYLESS:
            data = b""
        size = len(data)
        if self.progress == NO_HEAD:
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
            and size <= self.writer.max_frame_size
            and not mux.scheduler.waiting
            and not mux.writing_paused
        ):
            self.write_data(data, 0, size, last)
            self.send_window -= size
            mux.send_window -= size
            mux.written()
            if last:
                self.response_sent()
            return True
        return self.queue_data(exchange, data, size, last)

    # -- the frames

    def set_fields(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> int:
        fields = self.context.fields
        self.lines = fields.check(headers, omit_length)
        self.has_date = fields.has_date
        self.has_server = fields.has_server
        return fields.content_length

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool) -> list[FieldLine]:
        return self.context.fields.check(headers, omit_length)

    def send_head(self, end: bool) -> None:
        self.progress = STARTED
        if self.state == RESERVED:
            self.state = STREAM.change(self.state, HALF_CLOSED_REMOTE)
        context = self.context
        own = context.response_fields
        pairs = own.in_pairs(self.has_date, self.has_server)
        if own.secure_alt_svc and self.transport.scheme == "http":
            pairs = [pair for pair in pairs if pair[0] != b"alt-svc"]
        fields = context.fields
        more = fields.server(pairs)
        self.writer.headers(self.id, fields.status(self.status), self.lines, more, end)
        self.mux.written()

    def write_data(self, data: bytes, start: int, stop: int, end: bool) -> None:
        """Writes a DATA frame with `data[start:stop]`; the caller keeps to the windows."""
        writer = self.writer
        size = stop - start
        whole = size == len(data)
        if size < SEPARATE_BYTES:
            writer.data(self.id, data if whole else part_of(data, start, stop), end)
            return
        writer.frame(size, 0, 1 if end else 0, self.id)
        self.transport.write(writer.take())
        if whole:
            self.transport.write(data)
        else:
            self.transport.write_part(data, start, stop)

    def write_piece(self, data: bytes, start: int, stop: int, end: bool) -> None:
        self.write_data(data, start, stop, end)
        if len(self.writer.out) >= GATHER_BYTES:
            self.mux.written()

    def finish_queue(self) -> None:
        if self.trailer_lines:
            self.writer.trailers(self.id, self.trailer_lines)
        else:
            self.writer.data(self.id, b"", True)
        self.mux.written()
        self.response_sent()

    def interim(self, status: int, lines: list[FieldLine]) -> None:
        if self.progress == NO_HEAD and self.state != CLOSED:
            self.writer.headers(self.id, self.context.fields.status(status), lines, [], False)
            self.mux.written()

    def credit(self, size: int) -> None:
        self.writer.window_update(self.id, size)
        self.mux.written()
