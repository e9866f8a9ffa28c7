"""Compressed WebSocket messages (permessage-deflate, RFC 7692): what is agreed on, and the two contexts.

A context is made when the first message needs it, so that a connection that agreed on compression and never uses it
costs nothing. Without context takeover nothing is kept between messages: all connections of a worker then share one
compressor, which forgets its window after each message (a full flush).

A long message is compressed piece by piece, so that it does not hold the loop; so it is decompressed, as it arrives.

The package isal, where it is installed, compresses in place of zlib: several times faster at about the same size.
Decompressing stays zlib's: for short messages it is the faster one (bench/NOTES.md has the figures).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol

from hypercorn.wire.frames import InflateError, MessageTooLarge
from hypercorn.wire.websocket import encode_compressed, encode_fragment, encode_message

__all__ = ("Compression", "Deflate", "InflateError", "LongMessage", "MessageTooLarge", "read_offers")

NAME = b"permessage-deflate"
ONE_FRAME_BYTES = 1048576  # compressed bytes of a message that leave in one frame: Safari of iOS 15 reads no fragments
SLICE_BYTES = 65536  # bytes that are compressed at a time: 1 to 2 ms of zlib
PIECE_BYTES = 65536  # bytes that are decompressed before the limit is looked at again
# Bytes that a connection may unpack in excess of RATIO times what it sent: so many at once (or twice the largest
# message), and so many more each second. A kilobyte of deflate can stand for a megabyte, which takes milliseconds.
EXCESS_BYTES = 33554432
EXCESS_RATE = 4194304
RATIO = 64
TAIL = b"\x00\x00\xff\xff"  # what a sync flush ends with, and what a message goes without (section 7.2.1)
WINDOWS = range(8, 16)

Offer = tuple[bytes, list[tuple[bytes, bytes | None]]]


@cache
def find_isal() -> Any:
    """Returns isal's counterpart of zlib, or None where isal is not installed. Loaded for the first message."""
    try:
        from isal import isal_zlib  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return isal_zlib


class Compressor(Protocol):
    """Of zlib, or of isal."""

    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


class Compression:
    """The parameters that a worker's connections agree to.

    level: 1 (fast) to 9 (small). window_bits: 9 to 15 for the server's window, and for the client's where it lets the
    server choose. no_context_takeover: every message on its own, both ways. threshold: shorter messages (bytes) are
    sent as they are.
    """

    def __init__(
        self, level: int = 6, window_bits: int = 12, no_context_takeover: bool = False, threshold: int = 256
    ) -> None:
        self.level = level
        self.window_bits = window_bits
        self.no_context_takeover = no_context_takeover
        self.threshold = threshold
        self.shared: dict[int, Compressor] = {}
        self.last: dict[
            int, tuple[str | bytes, bytes]
        ] = {}  # the last message and its frame, where nothing is taken over

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> Compression | None:
        """From the option `websocket_compression`."""
        return None if settings is None else cls(**settings)

    def new_compressor(self, bits: int) -> Compressor:
        """A compressor. A smaller window needs less memory for its tables too."""
        memory = min(8, max(1, bits - 7))
        isal = find_isal() if self.level < 9 else None  # isal's own levels end at 3; 9 asks for what is smallest
        if isal is not None:
            found: Compressor = isal.compressobj(1 if self.level < 7 else 3, zlib.DEFLATED, -bits, memory)
            return found
        return zlib.compressobj(self.level, zlib.DEFLATED, -bits, memory)

    def agree(self, values: Iterable[bytes]) -> tuple[bytes, Deflate] | None:
        """The first offer that can be accepted, out of the values of all Sec-WebSocket-Extensions fields: the value of
        the answer's field and the extension. None where there is none (section 5)."""
        for name, parameters in read_offers(values):
            if name == NAME:
                agreed = self.accept(parameters)
                if agreed is not None:
                    return agreed
        return None

    def accept(self, parameters: list[tuple[bytes, bytes | None]]) -> tuple[bytes, Deflate] | None:
        """Judges one offer by the table of section 7.1; None declines it."""
        given = dict(parameters)
        if len(given) != len(parameters):
            return None
        server_bits, client_bits = 15, 0  # 0: the client did not say that it can be told
        for name, value in given.items():
            if name in (b"server_no_context_takeover", b"client_no_context_takeover"):
                if value is not None:
                    return None
            elif name == b"server_max_window_bits":
                server_bits = window(value)
                if server_bits < 9:  # zlib has no window of 256 bytes for raw data
                    return None
            elif name == b"client_max_window_bits":
                client_bits = 15 if value is None else window(value)
                if client_bits < 0:
                    return None
            else:
                return None
        answer = [NAME]
        forget = self.no_context_takeover
        server_forgets = forget or b"server_no_context_takeover" in given
        client_forgets = forget or b"client_no_context_takeover" in given
        if server_forgets:
            answer.append(b"server_no_context_takeover")
        if client_forgets:
            answer.append(b"client_no_context_takeover")
        bits = min(server_bits, self.window_bits)
        if bits < 15 or b"server_max_window_bits" in given:
            answer.append(b"server_max_window_bits=%d" % bits)
        inflate_bits = 15
        if client_bits:
            inflate_bits = min(client_bits, self.window_bits)
            answer.append(b"client_max_window_bits=%d" % inflate_bits)
        return b"; ".join(answer), Deflate(self, bits, inflate_bits, server_forgets, client_forgets)


class Deflate:
    """The extension of one connection."""

    __slots__ = (
        "compression",
        "compressor",
        "deflate_bits",
        "deflate_forgets",
        "ends",
        "excess",
        "excess_at",
        "inflate_bits",
        "inflate_forgets",
        "inflated",
        "inflator",
        "size",
        "threshold",
    )

    def __init__(
        self,
        compression: Compression,
        deflate_bits: int,
        inflate_bits: int,
        deflate_forgets: bool,
        inflate_forgets: bool,
    ) -> None:
        self.compression = compression
        self.threshold = compression.threshold
        self.deflate_bits = deflate_bits
        self.inflate_bits = inflate_bits
        self.deflate_forgets = deflate_forgets
        self.inflate_forgets = inflate_forgets
        self.compressor: Compressor | None = None
        self.inflator: Any = None
        self.inflated: list[bytes] | None = None  # of a message that is not complete
        self.size = 0  # bytes of that
        self.ends = 0  # final blocks in it
        self.excess = 0.0  # bytes that were unpacked beyond what was sent made up for
        self.excess_at = time.monotonic()  # when some were last forgiven

    def deflate(self, data: bytes) -> bytes:
        """A message's payload, compressed (section 7.2.1)."""
        if self.deflate_forgets:
            shared = self.compression.shared
            compressor = shared.get(self.deflate_bits)
            if compressor is None:
                compressor = shared[self.deflate_bits] = self.compression.new_compressor(self.deflate_bits)
            mode = zlib.Z_FULL_FLUSH
        else:
            compressor = self.compressor
            if compressor is None:
                compressor = self.compressor = self.compression.new_compressor(self.deflate_bits)
            mode = zlib.Z_SYNC_FLUSH
        packed: bytes = compressor.compress(data) + compressor.flush(mode)
        return packed[:-4]

    def frame(self, message: str | bytes, data: bytes) -> bytes:
        """The frame of a message (str or bytes) whose bytes are `data`. Where no context is taken over, a message that
        goes to many connections is compressed once."""
        if not self.deflate_forgets:
            return encode_compressed(self.deflate(data), data is not message)
        last = self.compression.last.get(self.deflate_bits)
        if last is not None and last[0] is message:
            return last[1]
        made = encode_compressed(self.deflate(data), data is not message)
        self.compression.last[self.deflate_bits] = message, made
        return made

    def deflate_piece(self, data: memoryview, last: bool) -> bytes:
        """A piece of a message's payload, compressed; no other message may come between."""
        compressor = self.compressor
        if compressor is None:
            compressor = self.compressor = self.compression.new_compressor(self.deflate_bits)
        packed: bytes = compressor.compress(data)
        if last:
            packed = (packed + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
            if self.deflate_forgets:
                self.compressor = None
        return packed

    def inflate(self, data: bytes, limit: int) -> bytes:
        """A message's payload, or the rest of it, decompressed (section 7.2.2), up to `limit` bytes (0: any number):
        what is too long is noticed before it is in memory. Raises MessageTooLarge and InflateError."""
        self.inflate_piece(data, limit)
        self.inflate_piece(TAIL, limit)
        pieces = self.inflated
        self.inflated = None
        if self.inflate_forgets:
            self.inflator = None
        return b"".join(pieces or ())

    def inflate_piece(self, data: bytes, limit: int) -> None:
        """Decompresses a piece of a payload, and keeps it. Raises what `inflate` raises."""
        self.excess = max(0.0, self.excess - RATIO * len(data))
        inflator = self.inflator
        if inflator is None:
            inflator = zlib.decompressobj(-self.inflate_bits)
        pieces = self.inflated
        if pieces is None:
            pieces = self.inflated = []
            self.size = self.ends = 0
        source, more = data, True
        try:
            while more:
                piece = inflator.decompress(source, PIECE_BYTES)
                self.size += len(piece)
                self.excess += len(piece)
                if limit and (self.size > limit or (self.excess > EXCESS_BYTES and self.too_much(limit))):
                    raise MessageTooLarge
                pieces.append(piece)
                if inflator.eof:
                    # A final block (section 7.2.3.4): legal once; each one more would be work for two bytes.
                    self.ends += 1
                    if self.ends > 1:
                        raise InflateError("more than one final block")
                    source = inflator.unused_data
                    inflator = zlib.decompressobj(-self.inflate_bits, zdict=b"".join(pieces)[-32768:])
                    more = bool(source)
                else:
                    source = inflator.unconsumed_tail
                    more = bool(source) or len(piece) == PIECE_BYTES
        except zlib.error as error:
            raise InflateError(str(error)) from None
        self.inflator = inflator

    def too_much(self, limit: int) -> bool:
        """True where far more was unpacked than was sent, lately and all in all."""
        now = time.monotonic()
        self.excess = max(0.0, self.excess - EXCESS_RATE * (now - self.excess_at))
        self.excess_at = now
        return self.excess > max(EXCESS_BYTES, 2 * limit)


class LongMessage:
    """A message that is compressed piece by piece, or that waits behind such a one."""

    __slots__ = ("at", "begun", "data", "extension", "over", "packed", "size", "text")

    def __init__(self, extension: Deflate, data: bytes, text: bool) -> None:
        self.extension = extension
        self.data = data
        self.text = text
        self.at = 0
        self.packed: list[bytes] = []  # what was compressed and not sent
        self.size = 0  # bytes of that
        self.begun = False  # some of it was sent
        self.over = False

    def next_frame(self) -> bytes:
        """Goes on with one slice: the next frame, or nothing where none came out. More follow unless `over`."""
        data = self.data
        if len(data) <= SLICE_BYTES:
            self.over = True
            if len(data) < self.extension.threshold:
                return encode_message(data.decode() if self.text else data)
            return encode_compressed(self.extension.deflate(data), self.text)
        piece = memoryview(data)[self.at : self.at + SLICE_BYTES]
        self.at += SLICE_BYTES
        self.over = self.at >= len(data)
        packed = self.extension.deflate_piece(piece, self.over)
        self.packed.append(packed)
        self.size += len(packed)
        if not self.over and (self.size <= ONE_FRAME_BYTES if not self.begun else not packed):
            return b""
        packed = b"".join(self.packed)
        self.packed.clear()
        first = not self.begun
        self.begun = True
        return encode_fragment(packed, self.text, first, self.over)


def window(value: bytes | None) -> int:
    """The value of a window parameter: 8 to 15 without leading zeros (section 7.1.2), or -1."""
    if value is None or not value.isdigit() or value[:1] == b"0" or len(value) > 2:
        return -1
    return int(value) if int(value) in WINDOWS else -1


def read_offers(values: Iterable[bytes]) -> list[Offer]:
    """The extensions of Sec-WebSocket-Extensions fields with their parameters (RFC 6455 section 9.1). A malformed field
    offers nothing."""
    offers: list[Offer] = []
    for value in values:
        found: list[Offer] = []
        for element in split(value, b","):
            name, *rest = (part.strip(b" \t") for part in split(element, b";"))
            if not name and not rest:
                continue
            parameters: list[tuple[bytes, bytes | None]] = []
            for part in rest:
                key, equals, text = (piece.strip(b" \t") for piece in part.partition(b"="))
                if len(text) > 1 and text[:1] == text[-1:] == b'"':
                    text = text[1:-1].replace(b"\\", b"")
                parameters.append((key.lower(), text if equals else None))
            found.append((name.lower(), parameters))
        offers += found
    return offers


def split(value: bytes, mark: bytes) -> list[bytes]:
    """Split at a mark outside of quotes."""
    if b'"' not in value:
        return value.split(mark)
    pieces, quoted, start = [], False, 0
    for i, byte in enumerate(value):
        if byte == 0x22 and value[i - 1 : i] != b"\\":
            quoted = not quoted
        elif byte == mark[0] and not quoted:
            pieces.append(value[start:i])
            start = i + 1
    pieces.append(value[start:])
    return pieces
