"""HTTP/2 frames (RFC 9113) as bytes, the reading half. Written once; its headers are decoded by `hpack`, which is twin.

The parser judges what a frame can be judged by alone: lengths, padding, stream 0 or not, settings, header blocks and
their order. What a frame means to its stream is the connection's affair.
"""

from __future__ import annotations

from hypercorn.objects import part_of
from hypercorn.wire.hpack import Field, HeaderDecoder
from hypercorn.wire.http2_events import (
    ACK,
    DATA,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    ERROR,
    FRAME_HEAD_BYTES,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LARGEST_WINDOW,
    MAX_CONTINUATIONS,
    MAX_FRAME_SIZE,
    NEED_DATA,
    NO_RFC7540_PRIORITIES,
    NOTHING,
    PADDED,
    PING,
    PING_ACK,
    PRIORITIZED,
    PRIORITY,
    PRIORITY_UPDATE,
    RESET,
    SETTINGS,
    SETTINGS_ACK,
    STREAM_ERROR,
    T_CONTINUATION,
    T_DATA,
    T_GOAWAY,
    T_HEADERS,
    T_PING,
    T_PRIORITY,
    T_PRIORITY_UPDATE,
    T_PUSH_PROMISE,
    T_RST_STREAM,
    T_SETTINGS,
    T_WINDOW_UPDATE,
    UNKNOWN,
    WINDOW_UPDATE,
)
from hypercorn.wire.http2_tables import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
)


class FrameParser:
    """Reads the frames of one client.

    `feed` takes bytes, `next_event` gives what they hold, one event at a time; the facts of the event are in:

    stream_id: the frame's stream; of PRIORITY_UPDATE the stream that it is about
    end_stream: HEADERS, DATA: the request is complete
    data: DATA: the body's bytes; PING: its eight; PRIORITY_UPDATE: the field value
    length: DATA: octets that count for flow control, padding included
    fields, oversize: HEADERS: the field list; true where it was too large, and was cut
    value: WINDOW_UPDATE: the increment; RESET and GOAWAY: the error code
    settings: SETTINGS: the values by identifier, the last of each
    error_code, reason: STREAM_ERROR and ERROR, which ends the connection

    max_frame_size: octets of a payload; max_list_size: octets of a header list as RFC 9113 section 10.5.1 counts;
    max_count: fields in it
    """

    __slots__ = (
        "block",
        "block_end_stream",
        "block_frames",
        "block_stream",
        "chunk",
        "data",
        "decoder",
        "end_stream",
        "error_code",
        "fields",
        "frames",
        "held",
        "length",
        "max_count",
        "max_frame_size",
        "max_list_size",
        "need",
        "oversize",
        "pos",
        "preface_at",
        "reason",
        "settings",
        "settled",
        "size",
        "stream_id",
        "value",
    )

    def __init__(self, max_frame_size: int = 16384, max_list_size: int = 65536, max_count: int = 100) -> None:
        self.max_frame_size = max_frame_size
        self.max_list_size = max_list_size
        self.max_count = max_count
        self.decoder = HeaderDecoder(4096)
        self.chunk = b""  # what was fed last, used up to `pos`
        self.size = 0
        self.pos = 0
        self.held: bytearray | None = None  # a frame of which only a part is there
        self.need = 0  # bytes that it has to become
        self.preface_at = 0
        self.settled = False  # the first SETTINGS were received
        self.block: bytearray | None = None  # a header block that goes on
        self.block_stream = 0
        self.block_end_stream = False
        self.block_frames = 0
        self.frames = 0  # that came, header blocks that go on counted once
        self.stream_id = 0
        self.end_stream = False
        self.data = b""
        self.length = 0
        self.fields: list[Field] | None = None
        self.oversize = False
        self.value = 0
        self.settings: dict[int, int] = {}
        self.error_code = NO_ERROR
        self.reason = ""

    @property
    def partial(self) -> bool:
        """True inside of the preface, a header block, or any frame but DATA, which may take its time."""
        held = self.held
        if held is not None and (len(held) < FRAME_HEAD_BYTES or held[3] != T_DATA):
            return True
        return self.block is not None or not self.settled

    def feed(self, data: bytes) -> None:
        """Takes received bytes; all events of earlier ones must have been asked for."""
        if self.pos < self.size:
            data = self.chunk[self.pos :] + data
        self.chunk = data
        self.pos = 0
        self.size = len(data)

    def next_event(self) -> int:
        """The next event; NEED_DATA when the bytes are used up, ERROR for good once the connection is broken."""
        if self.error_code != NO_ERROR:
            return ERROR
        if self.preface_at < 24 and not self.take_preface():
            return ERROR if self.error_code != NO_ERROR else NEED_DATA
        while True:
            if self.held is not None:
                if not self.complete_held():
                    return ERROR if self.error_code != NO_ERROR else self.used_up()
                data = bytes(self.held)
                self.held = None
                start = FRAME_HEAD_BYTES
                length = len(data) - FRAME_HEAD_BYTES
            else:
                data = self.chunk
                start = self.pos + FRAME_HEAD_BYTES
                if start > self.size:
                    return self.hold(FRAME_HEAD_BYTES)
                length = data[start - 9] << 16 | data[start - 8] << 8 | data[start - 7]
                if length > self.max_frame_size:
                    return self.fail(FRAME_SIZE_ERROR, "a frame is too long")
                if start + length > self.size:
                    return self.hold(FRAME_HEAD_BYTES + length)
                self.pos = start + length
            event = self.frame(data, start, length)
            if event != NOTHING:
                return event

    def take_preface(self) -> bool:
        """Compares the client's preface (RFC 9113 section 3.4). True once it is complete."""
        at = self.preface_at
        count = min(24 - at, self.size - self.pos)
        if self.chunk[self.pos : self.pos + count] != PREFACE[at : at + count]:
            self.fail(PROTOCOL_ERROR, "no connection preface")
            return False
        self.pos += count
        self.preface_at = at + count
        return self.preface_at == 24

    def hold(self, need: int) -> int:
        """Keeps the part of a frame that is there."""
        if self.pos < self.size:
            self.held = bytearray(self.chunk[self.pos :])
            self.need = need
        return self.used_up()

    def used_up(self) -> int:
        self.chunk = b""
        self.pos = self.size = 0
        return NEED_DATA

    def complete_held(self) -> bool:
        """Goes on with a frame of which a part came earlier. True once it is whole."""
        held = self.held
        assert held is not None
        while True:
            count = min(self.need - len(held), self.size - self.pos)
            if count:
                held += self.chunk[self.pos : self.pos + count]
                self.pos += count
            if len(held) < self.need:
                return False
            if self.need > FRAME_HEAD_BYTES:
                return True
            length = held[0] << 16 | held[1] << 8 | held[2]
            if length > self.max_frame_size:
                self.fail(FRAME_SIZE_ERROR, "a frame is too long")
                return False
            if length == 0:
                return True
            self.need = FRAME_HEAD_BYTES + length

    def fail(self, code: int, reason: str) -> int:
        """The connection is broken."""
        self.error_code = code
        self.reason = reason
        self.held = self.block = None
        self.chunk = b""
        self.pos = self.size = 0
        return ERROR

    def stream_error(self, code: int, reason: str) -> int:
        """One stream is broken. The code stands in `value`."""
        self.value = code
        self.reason = reason
        return STREAM_ERROR

    def frame(self, data: bytes, start: int, length: int) -> int:
        """One whole frame, whose payload is data[start : start + length]."""
        kind = data[start - 6]
        flags = data[start - 5]
        stream_id = (data[start - 4] & 0x7F) << 24 | data[start - 3] << 16 | data[start - 2] << 8 | data[start - 1]
        self.stream_id = stream_id
        if not self.settled:
            if kind != T_SETTINGS or flags & ACK:
                return self.fail(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self.settled = True
        if self.block is not None and (kind != T_CONTINUATION or stream_id != self.block_stream):
            return self.fail(PROTOCOL_ERROR, "a header block is interrupted")
        if kind == T_CONTINUATION:
            return self.continuation(data, start, length, flags)
        self.frames += 1
        if kind == T_DATA:
            return self.data_frame(data, start, length, flags)
        if kind == T_HEADERS:
            return self.headers_frame(data, start, length, flags)
        if kind == T_WINDOW_UPDATE:
            return self.window_update(data, start, length)
        if kind == T_RST_STREAM:
            if stream_id == 0:
                return self.fail(PROTOCOL_ERROR, "RST_STREAM on stream 0")
            if length != 4:
                return self.fail(FRAME_SIZE_ERROR, "a RST_STREAM frame has not 4 octets")
            self.value = int.from_bytes(data[start : start + 4], "big")
            return RESET
        if kind == T_PRIORITY:
            if stream_id == 0:
                return self.fail(PROTOCOL_ERROR, "PRIORITY on stream 0")
            if length != 5:
                return self.stream_error(FRAME_SIZE_ERROR, "a PRIORITY frame has not 5 octets")
            return PRIORITY
        if kind == T_PUSH_PROMISE:
            return self.fail(PROTOCOL_ERROR, "a client must not push")
        if kind == T_PRIORITY_UPDATE or kind == T_SETTINGS or kind == T_PING or kind == T_GOAWAY:
            return self.connection_frame(data, start, length, kind, flags)
        return UNKNOWN

    def data_frame(self, data: bytes, start: int, length: int, flags: int) -> int:
        """DATA (RFC 9113 section 6.1)."""
        if self.stream_id == 0:
            return self.fail(PROTOCOL_ERROR, "DATA on stream 0")
        end = start + length
        self.length = length
        self.end_stream = flags & END_STREAM != 0
        if flags & PADDED:
            if length == 0:
                return self.fail(FRAME_SIZE_ERROR, "a padded frame without a pad length")
            end -= data[start]
            start += 1
            if end < start:
                return self.fail(PROTOCOL_ERROR, "more padding than payload")
        self.data = part_of(data, start, end)
        return DATA

    def headers_frame(self, data: bytes, start: int, length: int, flags: int) -> int:
        """HEADERS (RFC 9113 section 6.2). Its deprecated priority is skipped."""
        if self.stream_id == 0:
            return self.fail(PROTOCOL_ERROR, "HEADERS on stream 0")
        end = start + length
        self.end_stream = flags & END_STREAM != 0
        skipped = (1 if flags & PADDED else 0) + (5 if flags & PRIORITIZED else 0)
        if skipped > length:
            return self.fail(FRAME_SIZE_ERROR, "a HEADERS frame is too short")
        if flags & PADDED:
            end -= data[start]
        start += skipped
        if end < start:
            return self.fail(PROTOCOL_ERROR, "more padding than payload")
        if flags & END_HEADERS:
            return self.decode(part_of(data, start, end))
        self.block = bytearray(data[start:end])
        self.block_stream = self.stream_id
        self.block_end_stream = self.end_stream
        self.block_frames = 0
        return NOTHING

    def continuation(self, data: bytes, start: int, length: int, flags: int) -> int:
        """CONTINUATION (RFC 9113 section 6.10), bounded in frames and in octets."""
        block = self.block
        if block is None:
            return self.fail(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self.block_frames += 1
        if self.block_frames > MAX_CONTINUATIONS or len(block) + length > self.max_list_size + self.max_frame_size:
            return self.fail(ENHANCE_YOUR_CALM, "a header block is too long")
        block += data[start : start + length]
        if not flags & END_HEADERS:
            return NOTHING
        self.block = None
        self.end_stream = self.block_end_stream
        return self.decode(bytes(block))

    def decode(self, block: bytes) -> int:
        """A whole header block: decoded even where its stream will be refused, for the table must stay in step."""
        self.fields = self.decoder.decode(block, self.max_list_size, self.max_count)
        if self.fields is None:
            return self.fail(COMPRESSION_ERROR, "a header block cannot be decoded")
        self.oversize = self.decoder.oversize
        return HEADERS

    def window_update(self, data: bytes, start: int, length: int) -> int:
        """WINDOW_UPDATE (RFC 9113 section 6.9)."""
        if length != 4:
            return self.fail(FRAME_SIZE_ERROR, "a WINDOW_UPDATE frame has not 4 octets")
        self.value = (data[start] & 0x7F) << 24 | data[start + 1] << 16 | data[start + 2] << 8 | data[start + 3]
        if self.value == 0:
            if self.stream_id == 0:
                return self.fail(PROTOCOL_ERROR, "a window update of nothing")
            return self.stream_error(PROTOCOL_ERROR, "a window update of nothing")
        return WINDOW_UPDATE

    def connection_frame(self, data: bytes, start: int, length: int, kind: int, flags: int) -> int:
        """Frames that belong to stream 0."""
        if self.stream_id != 0:
            return self.fail(PROTOCOL_ERROR, "a frame of the connection on a stream")
        if kind == T_SETTINGS:
            return self.settings_frame(data, start, length, flags)
        if kind == T_PING:
            if length != 8:
                return self.fail(FRAME_SIZE_ERROR, "a PING frame has not 8 octets")
            self.data = data[start : start + 8]
            return PING_ACK if flags & ACK else PING
        if kind == T_GOAWAY:
            if length < 8:
                return self.fail(FRAME_SIZE_ERROR, "a GOAWAY frame has less than 8 octets")
            self.value = int.from_bytes(data[start + 4 : start + 8], "big")
            return GOAWAY
        if length < 4:
            return self.fail(FRAME_SIZE_ERROR, "a PRIORITY_UPDATE frame has less than 4 octets")
        self.stream_id = int.from_bytes(data[start : start + 4], "big") & LARGEST_WINDOW
        if self.stream_id == 0:
            return self.fail(PROTOCOL_ERROR, "a PRIORITY_UPDATE frame for no stream")
        self.data = data[start + 4 : start + min(length, 68)]
        return PRIORITY_UPDATE

    def settings_frame(self, data: bytes, start: int, length: int, flags: int) -> int:
        """SETTINGS (RFC 9113 section 6.5). Unknown ones are skipped."""
        if flags & ACK:
            if length:
                return self.fail(FRAME_SIZE_ERROR, "a SETTINGS acknowledgement with a payload")
            return SETTINGS_ACK
        if length % 6:
            return self.fail(FRAME_SIZE_ERROR, "a SETTINGS frame with a part of a setting")
        settings: dict[int, int] = {}
        for at in range(start, start + length, 6):
            name = data[at] << 8 | data[at + 1]
            if name > NO_RFC7540_PRIORITIES:
                continue
            value = int.from_bytes(data[at + 2 : at + 6], "big")
            if name == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
                return self.fail(FLOW_CONTROL_ERROR, "an initial window is too large")
            if name in (ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES) and value > 1:
                return self.fail(PROTOCOL_ERROR, "a setting that is neither 0 nor 1")
            if name == MAX_FRAME_SIZE and not 16384 <= value <= 16777215:
                return self.fail(PROTOCOL_ERROR, "a frame size out of bounds")
            settings[name] = value
        self.settings = settings
        return SETTINGS
