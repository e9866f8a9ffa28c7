"""WebSocket frames (RFC 6455) as bytes: the pure twin.

Plain Python rather than wsproto's frame protocol, which hands out pieces: limits that apply when a frame is announced,
messages put together in one buffer, and stopping before the next data frame would each have to be built around it.
wsproto is the oracle of the tests.

    parser.feed(data); while (event := parser.next_event()) != NEED_DATA: ...

    MESSAGE  `message`: str of a text message, bytes of a binary one
    PING, PONG  `payload`
    CLOSE  `code` (1005 where there was none) and `reason`; nothing is read after it
    ERROR  `code` and `reason` to close with; nothing is read after it
    HELD   a data frame waits because of `hold`
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from io import StringIO
from typing import Any

from hypercorn.wire import frames
from hypercorn.wire.frames import ERRORS, InflateError, MessageTooLarge

__all__ = (
    "CLOSE",
    "ERROR",
    "HELD",
    "MESSAGE",
    "NEED_DATA",
    "PING",
    "PONG",
    "FrameParser",
    "encode_close",
    "encode_compressed",
    "encode_fragment",
    "encode_message",
    "encode_ping",
    "encode_pong",
    "is_close_code",
)

NEED_DATA, MESSAGE, PING, PONG, CLOSE, ERROR, HELD = range(7)

_FIN, _RSV, _RSV1, _CONTROL = 0x80, 0x70, 0x40, 8
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING = 0, 1, 2, 8, 9
_EVENTS = {8: CLOSE, 9: PING, 10: PONG}
_KEEP = 65536  # bytes up to which the last message is kept
_INFLATE = 65536  # bytes of a compressed message that are decompressed before its end
_Decoder = getincrementaldecoder("utf-8")


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
        self._stash = b""  # the beginning of a header that was cut
        self._ended = False
        self._in_frame = False
        self._first = 0
        self._length = 0  # of the frame's payload that has arrived
        self._left = 0
        self._mask = b""
        self._control = bytearray()
        # the message
        self._opcode = 0  # 0: none is open
        self._compressed = False
        self._size = 0  # announced so far
        self._pieces = bytearray()
        self._decoder: Any = None
        self._text: Any = None

    def buffered(self) -> int:
        """Bytes that were fed and not looked at."""
        return len(self._stash) + len(self._data) - self._pos

    def feed(self, data: bytes) -> None:
        """Appends received bytes. Raises TypeError for non-bytes."""
        if type(data) is not bytes:
            raise TypeError("feed() takes bytes")
        if self._ended:
            return
        if self._pos == len(self._data):
            self._data, self._pos = data, 0
        else:
            self._data, self._pos = self._data[self._pos :] + data, 0

    def next_event(self) -> int:
        """The next event of the bytes at hand; never raises for what a peer sent. The last message is forgotten."""
        self.message = b""
        try:
            return self._next()
        except _Failed as failure:
            self.code, self.reason = ERRORS[failure.error]
            self._end()
            return ERROR

    def _next(self) -> int:
        while not self._ended:
            if not self._in_frame:
                if self.hold and self._pos < len(self._data):
                    first = self._stash[0] if self._stash else self._data[self._pos]
                    if first & 15 < _CONTROL:
                        return HELD
                if not self._header():
                    return NEED_DATA
            event = self._payload()
            if event >= 0:
                return event
        return NEED_DATA

    def _header(self) -> bool:
        """Reads a frame's header; False while it is incomplete."""
        data = self._stash + self._data[self._pos : self._pos + 14 - len(self._stash)]
        used = _header_length(data)
        if used == 0 or len(data) < used:
            self._stash = data
            self._data, self._pos = b"", 0
            return False
        self._pos += used - len(self._stash)
        self._stash = b""
        length = data[1] & 127
        if length == 126:
            length = int.from_bytes(data[2:4], "big")
        elif length == 127:
            length = int.from_bytes(data[2:10], "big")
        self._judge(data[0], length)
        self._first, self._left, self._length = data[0], length, 0
        self._mask = data[used - 4 : used]
        self._in_frame = True
        return True

    def _judge(self, first: int, length: int) -> None:
        """Whether this frame may come here; opens a message."""
        opcode, reserved = first & 15, first & _RSV
        if opcode >= _CONTROL:
            if reserved:
                raise _Failed(frames.E_RSV)
            return
        compressed = reserved == _RSV1 and opcode != _CONTINUATION and self.inflater is not None
        if reserved and not compressed:
            raise _Failed(frames.E_RSV)
        if (opcode == _CONTINUATION) != (self._opcode != 0):
            raise _Failed(frames.E_INTERRUPTED if opcode else frames.E_CONTINUATION)
        if self.max_frame_size and length > self.max_frame_size:
            raise _Failed(frames.E_FRAME_LARGE)
        size = self._size + length
        if size >> 62 or (self.max_message_size and size > self.max_message_size):
            raise _Failed(frames.E_MESSAGE_LARGE)
        self._size = size
        if opcode:
            self._opcode = opcode
            self._compressed = compressed
            if opcode == _TEXT and not compressed:
                self._decoder, self._text = _Decoder(), StringIO()

    def _payload(self) -> int:
        """Takes what has arrived of a payload. Gives an event, or -1 where the next frame can be read."""
        data = self._data[self._pos : self._pos + self._left]
        if data:
            self._pos += len(data)
            self._left -= len(data)
            plain = _masked(data, self._mask, self._length)
            self._length += len(data)
            if self._first & 15 >= _CONTROL:
                self._control += plain
            else:
                self._keep(plain)
        if self._pos == len(self._data):
            self._data, self._pos = b"", 0
        if self._left:
            return NEED_DATA
        self._in_frame = False
        if self._first & 15 >= _CONTROL:
            return self._control_event(self._first & 15)
        return self._message_event() if self._first & _FIN else -1

    def _keep(self, plain: bytes) -> None:
        """Appends to the message; text is validated as it comes."""
        if self._decoder is None:
            self._pieces += plain
            if self._compressed and len(self._pieces) >= _INFLATE:
                self._inflate_piece()
            return
        try:
            self._text.write(self._decoder.decode(plain))
        except UnicodeDecodeError:
            raise _Failed(frames.E_UTF8) from None

    def _control_event(self, opcode: int) -> int:
        payload = bytes(self._control)
        self._control = bytearray()
        if opcode != _CLOSE:
            self.payload = payload
            return _EVENTS[opcode]
        self.code, self.reason = 1005, ""
        if payload:
            if len(payload) == 1:
                raise _Failed(frames.E_CLOSE_SHORT)
            code = int.from_bytes(payload[:2], "big")
            if not is_close_code(code):
                raise _Failed(frames.E_CLOSE_CODE)
            try:
                self.reason = payload[2:].decode()
            except UnicodeDecodeError:
                raise _Failed(frames.E_UTF8) from None
            self.code = code
        self._end()
        return CLOSE

    def _message_event(self) -> int:
        if self._decoder is not None:
            try:
                self._decoder.decode(b"", True)
            except UnicodeDecodeError:
                raise _Failed(frames.E_UTF8) from None
            self.message = self._text.getvalue()
            self._text = self._decoder = None
        else:
            plain = bytes(self._pieces)
            self._pieces = bytearray()
            self.message = self._inflated(plain) if self._compressed else plain
        self._opcode = self._size = 0
        return MESSAGE

    def _inflate_piece(self) -> None:
        """Decompresses what has arrived: not all of a long message at once."""
        data = bytes(self._pieces)
        self._pieces = bytearray()
        try:
            self.inflater.inflate_piece(data, self.max_message_size)
        except MessageTooLarge:
            raise _Failed(frames.E_MESSAGE_LARGE) from None
        except InflateError:
            raise _Failed(frames.E_DEFLATE) from None

    def _inflated(self, data: bytes) -> str | bytes:
        try:
            plain: bytes = self.inflater.inflate(data, self.max_message_size)
            return plain.decode() if self._opcode == _TEXT else plain
        except UnicodeDecodeError:
            raise _Failed(frames.E_UTF8) from None
        except MessageTooLarge:
            raise _Failed(frames.E_MESSAGE_LARGE) from None
        except InflateError:
            raise _Failed(frames.E_DEFLATE) from None

    def _end(self) -> None:
        """Nothing more is read."""
        self._ended = True
        self._data = self._stash = b""
        self._pos = 0
        self._pieces = bytearray()
        self._text = self._decoder = None


class _Failed(Exception):
    """The peer broke the protocol."""

    def __init__(self, error: int) -> None:
        self.error = error


def _header_length(data: bytes) -> int:
    """Bytes of the header that begins here, or 0 while that is unknown. Raises _Failed."""
    if len(data) < 2:
        return 0
    opcode, length = data[0] & 15, data[1] & 127
    if 2 < opcode < 8 or opcode > 10:
        raise _Failed(frames.E_OPCODE)
    if not data[1] & 128:
        raise _Failed(frames.E_MASK)
    if opcode >= _CONTROL:
        if length > 125:
            raise _Failed(frames.E_CONTROL_LONG)
        if not data[0] & _FIN:
            raise _Failed(frames.E_CONTROL_FIN)
    if length == 126:
        if len(data) >= 4 and int.from_bytes(data[2:4], "big") < 126:
            raise _Failed(frames.E_LENGTH)
        return 8
    if length == 127:
        if len(data) >= 10 and not 65536 <= int.from_bytes(data[2:10], "big") < 1 << 63:
            raise _Failed(frames.E_LENGTH)
        return 14
    return 6


def _masked(data: bytes, mask: bytes, offset: int) -> bytes:
    """Masks or unmasks; the first byte is byte `offset` of the payload."""
    turn = offset & 3
    mask = mask[turn:] + mask[:turn]
    size = len(data)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(size, "little")


def is_close_code(code: int) -> bool:
    """True for a code that may stand in a close frame (RFC 6455 section 7.4, and what IANA registered since)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return b"".join((bytes((first, 126)), size.to_bytes(2, "big"), payload))
    return b"".join((bytes((first, 127)), size.to_bytes(8, "big"), payload))


_last: list[tuple[Any, bytes]] = [(None, b"")]  # the message that was encoded last: a broadcast sends it again


def encode_message(message: str | bytes) -> bytes:
    """A message in one frame: the same bytes where it is the same object as before. Raises TypeError, and
    UnicodeEncodeError for lone surrogates."""
    last, made = _last[0]
    if message is last and message is not None:
        return made
    if type(message) is str:
        made = _frame(_FIN | _TEXT, message.encode())
    elif type(message) is bytes:
        made = _frame(_FIN | _BINARY, message)
    else:
        raise TypeError("encode_message() takes str or bytes")
    if len(made) <= _KEEP:
        _last[0] = message, made
    return made


def encode_compressed(data: bytes, text: bool) -> bytes:
    """A message in one frame whose payload was compressed (RFC 7692 section 6)."""
    return _frame(_FIN | _RSV1 | (_TEXT if text else _BINARY), data)


def encode_fragment(data: bytes, text: bool, first: bool, last: bool) -> bytes:
    """One frame of a compressed message that is sent in several (RFC 7692 section 6.1)."""
    opcode = _CONTINUATION
    if first:
        opcode = _RSV1 | (_TEXT if text else _BINARY)
    return _frame((_FIN if last else 0) | opcode, data)


def encode_ping(payload: bytes = b"") -> bytes:
    """A ping; the payload is 125 bytes at the most. Raises ValueError."""
    return _control_frame(0x89, payload)


def encode_pong(payload: bytes) -> bytes:
    """A pong; the payload is 125 bytes at the most. Raises ValueError."""
    return _control_frame(0x8A, payload)


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame, its reason cut to 123 bytes between two characters. 1005 makes an empty one."""
    if code == 1005:
        return b"\x88\x00"
    text = reason.encode("utf-8", "replace")
    if len(text) > 123:
        text = text[:123].decode("utf-8", "ignore").encode()
    return _control_frame(0x88, code.to_bytes(2, "big") + text)


def _control_frame(first: int, payload: bytes) -> bytes:
    if len(payload) > 125:
        raise ValueError("the payload of a control frame is at most 125 bytes")
    return bytes((first, len(payload))) + payload
