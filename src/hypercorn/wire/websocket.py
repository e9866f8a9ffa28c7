"""WebSocket frames (RFC 6455) as bytes. Written once over `primitives`, which is twin.

Not wsproto's frame protocol, which hands out pieces: limits that apply when a frame is announced, messages put together
in one buffer, and stopping before the next data frame would each have to be built around it. wsproto is the oracle of
the tests.

    parser.feed(data); while (event := parser.next_event()) != NEED_DATA: ...

    MESSAGE  `message`: str of a text message, bytes of a binary one
    PING, PONG  `payload`
    CLOSE  `code` (1005 where there was none) and `reason`; nothing is read after it
    ERROR  `code` and `reason` to close with; nothing is read after it
    HELD   a data frame waits because of `hold`
"""

from __future__ import annotations

from codecs import IncrementalDecoder, getincrementaldecoder
from typing import Any

from hypercorn.objects import part_of
from hypercorn.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL,
    E_CLOSE_CODE,
    E_CLOSE_SHORT,
    E_CONTINUATION,
    E_CONTROL_FIN,
    E_CONTROL_LONG,
    E_DEFLATE,
    E_FRAME_LARGE,
    E_INTERRUPTED,
    E_LENGTH,
    E_MASK,
    E_MESSAGE_LARGE,
    E_OPCODE,
    E_RSV,
    E_UTF8,
    ERROR,
    ERRORS,
    FIN,
    HEADER_BYTES,
    HELD,
    MESSAGE,
    NEED_DATA,
    NEXT_FRAME,
    OP_CLOSE,
    OP_PING,
    PING,
    PONG,
    RSV,
    RSV1,
    TEXT,
    InflateError,
    MessageTooLarge,
)
from hypercorn.wire.octets import Octets
from hypercorn.wire.primitives import frame, unmask, unmask_text

__all__ = (
    "FrameParser",
    "encode_close",
    "encode_compressed",
    "encode_fragment",
    "encode_message",
    "encode_ping",
    "encode_pong",
    "is_close_code",
)

KEPT_BYTES = 65536  # of the message that was encoded last
INFLATED_BYTES = 65536  # of a compressed message, which are decompressed before its end
new_decoder = getincrementaldecoder("utf-8")


class FrameParser:
    """Reads a client's frames and puts its messages together.

    Sizes are bytes, 0 is no limit; a message's is counted after decompression too. `inflater` (`inflate(data, limit)`)
    allows compressed messages; it gets the beginning of a long one early (`inflate_piece`). Both limits are held
    against what a frame announces, before any of it is kept, and memory grows only with what has arrived. The number
    of fragments has no limit of its own: they share one buffer.
    """

    def __init__(self, max_message_size: int = 0, max_frame_size: int = 0, inflater: Any = None) -> None:
        self.max_message_size = max_message_size
        self.max_frame_size = max_frame_size
        self.inflater = inflater
        self.hold = False  # begin no data frame; control frames go on
        self.message: str | bytes = b""
        self.payload = b""
        self.code = 0
        self.reason = ""
        self._data = b""
        self._pos = 0
        self._end = 0  # of the data
        self._cut = b""  # the beginning of a header whose rest has not arrived
        self._ended = False
        # the frame, where its header has been read
        self._in_frame = False
        self._first = 0
        self._mask = 0
        self._taken = 0  # bytes of its payload that were read
        self._left = 0
        self._control = b""  # payload of a control frame
        # the message
        self._opcode = 0  # 0: none is open
        self._compressed = False
        self._size = 0  # announced so far
        self._pieces = Octets()
        self._decoder: IncrementalDecoder | None = None  # checks the text that is in there

    def buffered(self) -> int:
        """Bytes that were fed and not looked at."""
        return len(self._cut) + self._end - self._pos

    def feed(self, data: bytes) -> None:
        """Appends received bytes. Raises TypeError for non-bytes."""
        if type(data) is not bytes:
            raise TypeError("feed() takes bytes")
        if self._ended:
            return
        if self._pos < self._end:
            data = part_of(self._data, self._pos, self._end) + data
        self._data = data
        self._pos = 0
        self._end = len(data)

    def next_event(self) -> int:
        """The next event of the bytes at hand; never raises for what a peer sent. The last message is forgotten."""
        self.message = b""
        try:
            event = self._next()
        except FrameError as failure:
            self.code, self.reason = ERRORS[failure.error]
            self._close()
            return ERROR
        if self._pos == self._end:
            self._forget()
        return event

    def _next(self) -> int:
        while not self._ended:
            if not self._in_frame:
                if self._pos == self._end:
                    return NEED_DATA
                if self.hold:
                    first = self._cut[0] if self._cut else self._data[self._pos]
                    if first & 15 < CONTROL:
                        return HELD
                if not self._read_header():
                    return NEED_DATA
            event = self._read_payload()
            if event != NEXT_FRAME:
                return event
        return NEED_DATA

    def _read_header(self) -> bool:
        """Reads a frame's header. False while it is incomplete."""
        source = self._data
        start = self._pos
        held = len(self._cut)
        if held:
            end = self._end
            if HEADER_BYTES - held < end - start:
                end = start + HEADER_BYTES - held
            source = self._cut + part_of(source, start, end)
            start = 0
            end = len(source)
        else:
            end = self._end
        used = header_length(source, start, end)
        if used == 0 or end - start < used:
            self._cut = part_of(source, start, end)
            self._forget()
            return False
        self._pos += used - held
        self._cut = b""
        length = payload_length(source, start)
        self._check(source[start], length)
        self._first = source[start]
        self._left = length
        self._taken = 0
        start += used - 4
        self._mask = source[start] | source[start + 1] << 8 | source[start + 2] << 16 | source[start + 3] << 24
        self._in_frame = True
        return True

    def _check(self, first: int, length: int) -> None:
        """Whether this frame may come here. Opens a message."""
        opcode = first & 15
        reserved = first & RSV
        if opcode >= CONTROL:
            if reserved:
                raise FrameError(E_RSV)
            return
        compressed = reserved == RSV1 and opcode != CONTINUATION and self.inflater is not None
        if reserved and not compressed:
            raise FrameError(E_RSV)
        if (opcode == CONTINUATION) != (self._opcode != 0):
            raise FrameError(E_INTERRUPTED if opcode else E_CONTINUATION)
        if self.max_frame_size and length > self.max_frame_size:
            raise FrameError(E_FRAME_LARGE)
        size = self._size + length  # neither reaches 2**63
        if size >> 62 or (self.max_message_size and size > self.max_message_size):
            raise FrameError(E_MESSAGE_LARGE)
        self._size = size
        if opcode:
            self._opcode = opcode
            self._compressed = compressed

    def _read_payload(self) -> int:
        """Takes what has arrived of a payload. Returns an event, or NEXT_FRAME."""
        start = self._pos
        end = self._end
        if self._left < end - start:
            end = start + self._left
        offset = self._taken
        self._pos = end
        self._taken += end - start
        self._left -= end - start
        ends = self._left == 0 and self._first & FIN and self._first & 15 < CONTROL
        if ends and self._opcode == TEXT and not self._compressed and not len(self._pieces):
            return self._text_event(start, end, offset)
        plain = unmask(self._data, start, end, self._mask, offset)
        if self._first & 15 >= CONTROL:
            self._control += plain
            if self._left:
                return NEED_DATA
            self._in_frame = False
            return self._control_event(self._first & 15)
        if ends:
            self._in_frame = False
            return self._message_event(plain)
        self._keep(plain)
        if self._left:
            return NEED_DATA
        self._in_frame = False
        return NEXT_FRAME

    def _keep(self, plain: bytes) -> None:
        """Appends to the message. Text is checked as it comes."""
        if not plain:
            return
        self._pieces.add(plain)
        if self._compressed:
            if len(self._pieces) >= INFLATED_BYTES:
                self._inflate_piece()
        elif self._opcode == TEXT:
            self._check_text(plain, False)

    def _check_text(self, plain: bytes, final: bool) -> None:
        if self._decoder is None:
            self._decoder = new_decoder()
        try:
            self._decoder.decode(plain, final)
        except UnicodeDecodeError:
            raise FrameError(E_UTF8) from None

    def _control_event(self, opcode: int) -> int:
        payload = self._control
        self._control = b""
        if opcode != OP_CLOSE:
            self.payload = payload
            return PING if opcode == OP_PING else PONG
        self.code = 1005
        self.reason = ""
        if payload:
            if len(payload) == 1:
                raise FrameError(E_CLOSE_SHORT)
            code = payload[0] << 8 | payload[1]
            if not is_close_code(code):
                raise FrameError(E_CLOSE_CODE)
            try:
                self.reason = payload[2:].decode()
            except UnicodeDecodeError:
                raise FrameError(E_UTF8) from None
            self.code = code
        self._close()
        return CLOSE

    def _text_event(self, start: int, end: int, offset: int) -> int:
        """A text message that has arrived at once, which needs no buffer."""
        self._in_frame = False
        self._opcode = self._size = 0
        try:
            self.message = unmask_text(self._data, start, end, self._mask, offset)
        except UnicodeDecodeError:
            raise FrameError(E_UTF8) from None
        return MESSAGE

    def _message_event(self, plain: bytes) -> int:
        """The end of a message: its last bytes, or all of it."""
        opcode = self._opcode
        if len(self._pieces):
            self._pieces.add(plain)
            plain = self._pieces.take()
        self._opcode = self._size = 0
        self._decoder = None
        if self._compressed:
            self._inflate(plain, opcode)
        elif opcode == TEXT:
            try:
                self.message = plain.decode()
            except UnicodeDecodeError:
                raise FrameError(E_UTF8) from None
        else:
            self.message = plain
        return MESSAGE

    def _inflate_piece(self) -> None:
        """Decompresses what has arrived: not all of a long message at once."""
        try:
            self.inflater.inflate_piece(self._pieces.take(), self.max_message_size)
        except MessageTooLarge:
            raise FrameError(E_MESSAGE_LARGE) from None
        except InflateError:
            raise FrameError(E_DEFLATE) from None

    def _inflate(self, data: bytes, opcode: int) -> None:
        try:
            plain: bytes = self.inflater.inflate(data, self.max_message_size)
            self.message = plain.decode() if opcode == TEXT else plain
        except UnicodeDecodeError:
            raise FrameError(E_UTF8) from None
        except MessageTooLarge:
            raise FrameError(E_MESSAGE_LARGE) from None
        except InflateError:
            raise FrameError(E_DEFLATE) from None

    def _forget(self) -> None:
        """Holds no input."""
        self._data = b""
        self._pos = self._end = 0

    def _close(self) -> None:
        """Reads nothing more."""
        self._ended = True
        self._forget()
        self._cut = b""
        self._pieces.take()
        self._decoder = None


class FrameError(Exception):
    """The peer broke the protocol: `error` is an index of `ERRORS`."""

    def __init__(self, error: int) -> None:
        self.error = error


def header_length(data: bytes, start: int, end: int) -> int:
    """Bytes of the header that begins at `start`, or 0 while that is unknown. Raises FrameError."""
    if end - start < 2:
        return 0
    opcode = data[start] & 15
    length = data[start + 1] & 127
    if 2 < opcode < 8 or opcode > 10:
        raise FrameError(E_OPCODE)
    if not data[start + 1] & 128:
        raise FrameError(E_MASK)
    if opcode >= CONTROL:
        if length > 125:
            raise FrameError(E_CONTROL_LONG)
        if not data[start] & FIN:
            raise FrameError(E_CONTROL_FIN)
    if length == 126:
        if end - start >= 4 and payload_length(data, start) < 126:
            raise FrameError(E_LENGTH)
        return 8
    if length == 127:
        if end - start >= 10 and not 65536 <= payload_length(data, start) < 1 << 63:
            raise FrameError(E_LENGTH)
        return 14
    return 6


def payload_length(data: bytes, start: int) -> int:
    """The length that the header at `start` announces. It must have arrived (RFC 6455 section 5.2)."""
    length = data[start + 1] & 127
    if length < 126:
        return length
    end = start + (4 if length == 126 else 10)
    length = 0
    for i in range(start + 2, end):
        length = length << 8 | data[i]
    return length


def is_close_code(code: int) -> bool:
    """True for a code that may stand in a close frame (RFC 6455 section 7.4, and what IANA registered since)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


# The message that was encoded last, and its frame: a broadcast sends it again. One object, which other threads replace.
_last: list[tuple[str | bytes | None, bytes]] = [(None, b"")]


def encode_message(message: str | bytes) -> bytes:
    """A message in one frame: the same bytes where it is the same object as before. Raises TypeError, and
    UnicodeEncodeError for lone surrogates."""
    last = _last[0]
    if message is last[0] and message is not None:
        return last[1]
    if type(message) is str:
        made = frame(FIN | TEXT, message)
    elif type(message) is bytes:
        made = frame(FIN | BINARY, message)
    else:
        raise TypeError("encode_message() takes str or bytes")
    if len(made) <= KEPT_BYTES:
        _last[0] = message, made
    return made


def encode_compressed(data: bytes, text: bool) -> bytes:
    """A message in one frame whose payload was compressed (RFC 7692 section 6)."""
    return frame(FIN | RSV1 | (TEXT if text else BINARY), data)


def encode_fragment(data: bytes, text: bool, first: bool, last: bool) -> bytes:
    """One frame of a compressed message that is sent in several (RFC 7692 section 6.1)."""
    opcode = CONTINUATION
    if first:
        opcode = RSV1 | (TEXT if text else BINARY)
    return frame((FIN if last else 0) | opcode, data)


def encode_ping(payload: bytes = b"") -> bytes:
    """A ping; the payload is 125 bytes at the most. Raises ValueError."""
    return control_frame(0x89, payload)


def encode_pong(payload: bytes) -> bytes:
    """A pong; the payload is 125 bytes at the most. Raises ValueError."""
    return control_frame(0x8A, payload)


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame, its reason cut to 123 bytes between two characters. 1005 makes an empty one."""
    if code == 1005:
        return b"\x88\x00"
    text = reason.encode("utf-8", "replace")
    if len(text) > 123:
        text = text[:123].decode("utf-8", "ignore").encode()
    return control_frame(0x88, bytes((code >> 8 & 255, code & 255)) + text)


def control_frame(first: int, payload: bytes) -> bytes:
    """One control frame (RFC 6455 section 5.5)."""
    if len(payload) > 125:
        raise ValueError("the payload of a control frame is at most 125 bytes")
    return frame(first, payload)
