"""HTTP/3 as bytes (RFC 9114 section 7): frames in and out, and the fields of responses. Needs the extra `h3`.

A `FrameReader` cuts the bytes of one stream into frames. DATA comes in pieces as it arrives, other frames whole; what
is unknown is skipped. Field sections (RFC 9204) are pylsqpack's, driven by the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hypercorn.wire.http1_primitives import decimal
from hypercorn.wire.http2_tables import DATE, FORBIDDEN, KINDS, LENGTH, SERVER
from hypercorn.wire.writing import checked_field, plain_field

# Error codes (RFC 9114 section 8.1, RFC 9204 section 6).
H3_NO_ERROR, H3_GENERAL_PROTOCOL_ERROR, H3_INTERNAL_ERROR, H3_STREAM_CREATION_ERROR = range(0x100, 0x104)
H3_CLOSED_CRITICAL_STREAM, H3_FRAME_UNEXPECTED, H3_FRAME_ERROR, H3_EXCESSIVE_LOAD = range(0x104, 0x108)
H3_ID_ERROR, H3_SETTINGS_ERROR, H3_MISSING_SETTINGS, H3_REQUEST_REJECTED = range(0x108, 0x10C)
H3_REQUEST_CANCELLED, H3_REQUEST_INCOMPLETE, H3_MESSAGE_ERROR, H3_CONNECT_ERROR = range(0x10C, 0x110)
QPACK_DECOMPRESSION_FAILED, QPACK_ENCODER_STREAM_ERROR, QPACK_DECODER_STREAM_ERROR = range(0x200, 0x203)

# Frame types (RFC 9114 section 7.2, RFC 9218 section 7.2).
F_DATA, F_HEADERS, F_CANCEL_PUSH, F_SETTINGS, F_PUSH_PROMISE, F_GOAWAY, F_MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
F_PRIORITY_UPDATE, F_PRIORITY_UPDATE_PUSH = 0xF0700, 0xF0701
# What the reader says beside those.
NEED_DATA, ERROR, UNKNOWN, OVERSIZE = -1, -2, -3, -4

# Types of unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2).
S_CONTROL, S_PUSH, S_ENCODER, S_DECODER = range(4)

# Settings (RFC 9114 section 7.2.4.1, RFC 9204 section 5, RFC 9220, RFC 9297).
MAX_TABLE_CAPACITY, MAX_FIELD_SECTION_SIZE, BLOCKED_STREAMS, ENABLE_CONNECT_PROTOCOL, H3_DATAGRAM = 1, 6, 7, 8, 0x33
RESERVED_SETTING = 0x21  # says nothing: peers must ignore it (RFC 9114 section 7.2.4.1)

HTTP2_FRAMES: Final = frozenset((2, 6, 8, 9))  # RFC 9114 section 7.2.8
HTTP2_SETTINGS: Final = frozenset((0, 2, 3, 4, 5))
KNOWN_FRAMES: Final = frozenset((F_DATA, F_HEADERS, F_CANCEL_PUSH, F_SETTINGS, F_PUSH_PROMISE, F_GOAWAY, F_MAX_PUSH_ID))
ON_REQUESTS: Final = frozenset((F_DATA, F_HEADERS))
ON_CONTROL: Final = frozenset(
    (F_CANCEL_PUSH, F_SETTINGS, F_GOAWAY, F_MAX_PUSH_ID, F_PRIORITY_UPDATE, F_PRIORITY_UPDATE_PUSH)
)
CONTROL_FRAME_BYTES = 4096  # octets of a frame on the control stream
LARGEST_VARINT = (1 << 62) - 1


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """An integer (RFC 9000 section 16) and where it ends; (-1, at) where it is not whole."""
    if at >= len(data):
        return -1, at
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return -1, at
    value = data[at] & 63
    for octet in data[at + 1 : at + size]:
        value = value << 8 | octet
    return value, at + size


def varint(value: int) -> bytes:
    """The shortest form of an integer (RFC 9000 section 16)."""
    if value < 64:
        return bytes((value,))
    if value < 16384:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 1 << 30:
        return (value | 0x80000000).to_bytes(4, "big")
    return (value | 0xC000000000000000).to_bytes(8, "big")


def frame(kind: int, payload: bytes) -> bytes:
    """A whole frame."""
    return varint(kind) + varint(len(payload)) + payload


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS (RFC 9114 section 7.2.4)."""
    return frame(F_SETTINGS, b"".join(varint(name) + varint(value) for name, value in settings))


def read_settings(payload: bytes) -> dict[int, int] | None:
    """The settings of a frame, or None where they are not allowed."""
    found: dict[int, int] = {}
    at = 0
    while at < len(payload):
        name, at = read_varint(payload, at)
        value, at = read_varint(payload, at) if name >= 0 else (-1, at)
        if value < 0 or name in found or name in HTTP2_SETTINGS:
            return None
        if name in (ENABLE_CONNECT_PROTOCOL, H3_DATAGRAM) and value > 1:
            return None
        found[name] = value
    return found


class FrameReader:
    """The frames of one stream. `allowed` are the known types that may come there; `limit`: octets of a whole frame.

    payload: of the last DATA or whole frame; reason and code: of the last ERROR
    partial: octets of a frame that is not whole are waiting
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_left",
        "_skip",
        "allowed",
        "code",
        "ended",
        "limit",
        "payload",
        "reason",
    )

    def __init__(self, allowed: frozenset[int], limit: int) -> None:
        self.allowed = allowed
        self.limit = limit
        self.payload = b""
        self.code = 0
        self.reason = ""
        self.ended = False  # nothing follows what was fed
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._left = 0  # octets of the DATA frame, or the one that is skipped
        self._skip = False

    def feed(self, data: bytes, end: bool) -> None:
        """Takes bytes of the stream."""
        if self._at == len(self._buffer):
            self._buffer, self._at = data, 0
        else:
            if type(self._buffer) is not bytearray:
                self._buffer = bytearray(self._buffer)
            del self._buffer[: self._at]
            self._at = 0
            self._buffer += data
        self.ended = self.ended or end

    @property
    def partial(self) -> bool:
        """True in the middle of a frame."""
        return self._left > 0 or self._at < len(self._buffer)

    @property
    def at_end(self) -> bool:
        """True where nothing follows what `next` gave last."""
        return self.ended and not self.partial

    def next(self) -> int:
        """The type of the next frame, or of the next piece of DATA; NEED_DATA, ERROR, UNKNOWN or OVERSIZE."""
        buffer = self._buffer
        if self._left:
            available = min(self._left, len(buffer) - self._at)
            if not available:
                return NEED_DATA
            self._left -= available
            end = self._at + available
            if self._skip:
                self._at = end
            else:
                self.payload = bytes(buffer[self._at : end])
                self._at = end
                return F_DATA
        kind, at = read_varint(buffer, self._at)
        size, at = read_varint(buffer, at) if kind >= 0 else (-1, at)
        if size < 0:
            return NEED_DATA
        if kind not in self.allowed:
            if kind in KNOWN_FRAMES or kind in HTTP2_FRAMES:
                return self.wrong(H3_FRAME_UNEXPECTED, f"a frame of type {kind} where it may not be")
            return self.skip(at, size, UNKNOWN)
        if kind == F_DATA:
            self._at, self._left, self._skip = at, size, False
            if size:
                return self.next()
            self.payload = b""
            return F_DATA
        if size > self.limit:
            return self.skip(at, size, OVERSIZE)
        if at + size > len(buffer):
            return NEED_DATA
        self.payload = bytes(buffer[at : at + size])
        self._at = at + size
        return kind

    def skip(self, at: int, size: int, event: int) -> int:
        """Drops a frame as it comes."""
        self._at, self._left, self._skip = at, size, True
        return event

    def wrong(self, code: int, reason: str) -> int:
        """The stream broke the protocol."""
        self.code = code
        self.reason = reason
        return ERROR


class FieldPairs:
    """Checks the fields of responses. What it learned of a head holds until the next call.

    content_length: what the application announced in bytes, -1 where it did not
    has_date, has_server: the application gave these fields itself
    """

    __slots__ = ("_known", "content_length", "has_date", "has_server")

    KNOWN = 512  # fields that are remembered
    LONGEST = 1024  # octets of the longest one

    def __init__(self) -> None:
        self.content_length = -1
        self.has_date = self.has_server = False
        self._known: dict[tuple[bytes, bytes], tuple[tuple[bytes, bytes], int]] = {}

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool = False) -> list[tuple[bytes, bytes]]:
        """The fields of a response, names in lower case. Fields of the connection alone (RFC 9114 section 4.2) are
        left out, Content-Length where `omit_length` asks for that; equal ones come once. Raises as
        `FieldLines.check` does."""
        self.content_length = -1
        self.has_date = self.has_server = False
        pairs: list[tuple[bytes, bytes]] = []
        for index, item in enumerate(headers):
            try:
                known = self._known.get(item) if type(item) is tuple else None
            except (TypeError, ValueError):  # a bytearray has no hash, nor has a memoryview of one
                known = None
            pair, kind = self.find(item, index) if known is None else known
            if kind == DATE:
                self.has_date = True
            elif kind == SERVER:
                self.has_server = True
            elif kind == FORBIDDEN:
                continue
            elif kind == LENGTH:
                length = decimal(pair[1])
                if 0 <= self.content_length != length:
                    raise ValueError("Two content-length headers that differ")
                first = self.content_length < 0
                self.content_length = length
                if not first or omit_length:
                    continue
            pairs.append(pair)
        return pairs

    def find(self, item: tuple[bytes, bytes], index: int) -> tuple[tuple[bytes, bytes], int]:
        """A field that was not seen lately."""
        given = plain_field(item, index)
        name, value = checked_field(given, index)
        pair = (name.lower(), value)
        kind = KINDS.get(pair[0], 0)
        if kind == LENGTH and decimal(value) < 0:
            raise ValueError(f"Invalid content-length: {value!r}")
        if len(name) + len(value) <= self.LONGEST:
            if len(self._known) >= self.KNOWN:
                self._known.clear()
            self._known[given] = (pair, kind)
        return pair, kind
