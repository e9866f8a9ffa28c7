"""What the HTTP/1.1 codec does with octets at speed. The codec over it is written once; this has a twin in C.

This is the pure twin, over the patterns of `grammar`. The compiled one (`http1_primitives.pyx`) calls `csrc/http1.c`.
`data` is bytes or a bytearray; all raise IndexError where a position is not in it. A peer's error is returned as minus
an index into `tables.ERRORS`. A verdict depends on the octets so far, never on how they were cut; the work is O(n).
"""

from __future__ import annotations

from typing import Final, final

from hypercorn.wire import grammar, tables
from hypercorn.wire.grammar import CHUNK, CONTROL, EXTENSIONS, FIELD, LARGEST, NAME, SIMPLE_REQUEST
from hypercorn.wire.head import HeadLines
from hypercorn.wire.octets import Octets

__all__ = (
    "Chunks",
    "connection_options",
    "content_length",
    "decimal",
    "empty_lines",
    "encode_chunk",
    "encode_response",
    "field_kind",
    "field_lines",
    "is_token",
    "judge_codings",
    "key_of",
    "part",
    "request_line",
    "same_authority",
    "stands_at",
    "valid_authority",
    "write_field",
)

_MAX_METHOD_BYTES = 32
_MAX_EXTENSION_BYTES = 16384  # bytes a body; 256 a line
_DECIDING: Final = {
    b"host": tables.HOST,
    b"connection": tables.CONNECTION,
    b"content-length": tables.CONTENT_LENGTH,
    b"transfer-encoding": tables.TRANSFER_ENCODING,
    b"upgrade": tables.UPGRADE,
    b"expect": tables.EXPECT,
}
_OPTIONS: Final = {
    b"close": tables.OPTION_CLOSE,
    b"keep-alive": tables.OPTION_KEEP_ALIVE,
    b"upgrade": tables.OPTION_UPGRADE,
}
_KINDS: Final = {
    b"date": tables.K_DATE,
    b"server": tables.K_SERVER,
    b"content-length": tables.K_LENGTH,
    b"transfer-encoding": tables.K_CODING,
    b"connection": tables.K_CONNECTION,
}


def part(data: bytes | bytearray, start: int, end: int) -> bytes:
    """`data[start:end]` as bytes, where 0 <= start <= end <= len(data)."""
    if not 0 <= start <= end <= len(data):
        raise IndexError("no such part")
    return bytes(data[start:end])


def stands_at(data: bytes | bytearray, start: int, text: bytes) -> bool:
    """Whether `text` stands in `data` at `start`."""
    if not 0 <= start <= len(data):
        raise IndexError("no such part")
    return data.startswith(text, start)


def key_of(data: bytes | bytearray, start: int, end: int) -> int:
    """A number for `data[start:end]`. Other octets may have the same: whoever finds octets by it compares them."""
    if not 0 <= start <= end <= len(data):
        raise IndexError("no such part")
    return hash(bytes(data[start:end]))


def empty_lines(data: bytes | bytearray, start: int, limit: int) -> int:
    """Bytes of the empty lines at `start`, `limit` at the most. An incomplete one is not counted."""
    size = len(data)
    if not 0 <= start <= size:
        raise IndexError("no such part")
    pos = start
    while pos < size and data[pos] == 13:
        if pos - start >= limit:
            return -tables.E_EMPTY_LINES
        if pos + 1 == size:
            break
        if data[pos + 1] != 10:
            return -tables.E_LINE
        pos += 2
    return pos - start


def _line_length(data: bytes | bytearray, start: int, limit: int, long_code: int, head: HeadLines) -> int:
    """Length of the line at `start` without CRLF, which `limit` counts; -1 while it is incomplete, -1 - error where it
    is none."""
    size, top = len(data), start + max(limit, 1)
    match = CONTROL.search(data, start + head.scanned, top)
    end = match.start() if match else max(min(size, top), start + head.scanned)
    length = end - start
    if length and length > limit - 2:
        return -1 - long_code
    if end == size or (data[end] == 13 and end + 1 == size):
        head.scanned = length
        return -1
    if data[end] != 13 or data[end + 1] != 10:
        return -1 - tables.E_LINE
    head.scanned = 0
    return length


def request_line(data: bytes | bytearray, start: int, limit: int, head: HeadLines) -> int:
    """Reads the request line at `start` (RFC 9112 section 3) into `head`, which knows what was seen of it before.

    Returns its bytes, CRLF included, `limit` at the most, or 0 while it is incomplete. The method is judged from its
    first byte on; it and the raw target are set as soon as they are known.
    """
    if not 0 <= start <= len(data) - head.scanned:
        raise IndexError("no such line")
    match = None if head.scanned else SIMPLE_REQUEST.match(data, start)
    if match and match[1] != b"CONNECT" and match.end() - start <= limit:
        method, head.raw_target, head.raw_path, query, minor = match.groups()
        head.method = method.decode("ascii")
        head.query_string = query or b""
        head.minor = 1 if minor == b"1" else 0
        length = match.end() - start
    else:
        if not head.method_length and (code := _find_method(data, start, head)):
            return code
        length = _line_length(data, start, limit, tables.E_LINE_LONG, head) + 2
        if length < 2:
            return length - 1
        rest = bytes(data[start + head.method_length + 1 : start + length - 2])
        head.raw_target, head.minor, target = grammar.target_of(head.method.encode("ascii"), rest)
        if isinstance(target, int):
            return -target
        head.raw_path, head.query_string, head.authority, head.https = target
    head.http_version = "1.1" if head.minor else "1.0"
    head.path = grammar.unquote(head.raw_path)
    return length


def _find_method(data: bytes | bytearray, start: int, head: HeadLines) -> int:
    """Judges the first word from its first byte on: what is no token, or long, is no HTTP."""
    match = NAME.match(data, start, start + _MAX_METHOD_BYTES + 1)
    length = match.end() - start if match else 0
    if length <= _MAX_METHOD_BYTES and start + length == len(data):
        return 0
    if not match or length > _MAX_METHOD_BYTES or data[start + length] != 32:
        return -tables.E_METHOD
    head.method_length = length
    head.method = match[0].decode("ascii")
    return 0


def field_lines(
    data: bytes | bytearray,
    start: int,
    max_size: int,
    max_count: int,
    keep_case: bool,
    each: bool,
    head: HeadLines,
) -> int:
    """Reads the field lines (RFC 9112 section 5) from `start` on, and appends (name, value) to `head.fields`.

    Names are lower-cased but for `keep_case`. It stops behind a field that decides something, and says which one; with
    `each` behind every field, and says OTHER; behind the empty line, and says END; and where data is missing: MORE.
    `head.end` is the position behind what was read, `head.value` the last field's value. `max_size` counts the bytes
    of the section, `max_count` its lines.
    """
    size = len(data)
    if not 0 <= start <= size - head.scanned:
        raise IndexError("no such line")
    fields, pos, section, count = head.fields, start, head.section_size, head.count
    while True:
        match = None if head.scanned else FIELD.match(data, pos)
        if count >= max_count and pos < size and not CONTROL.match(data, pos):
            kind = -tables.E_COUNT
            break
        if match is None:
            length = _line_length(data, pos, max_size - section, tables.E_SECTION_LONG, head)
            if length <= 0:
                kind = length + 1  # END for the empty line, MORE, or minus the error
                pos += 0 if length else 2
                break
            if (match := FIELD.match(data, pos)) is None:
                kind = -tables.E_FIELD
                break
        end = match.end()
        section += end - pos
        if section > max_size:
            kind = -tables.E_SECTION_LONG
            break
        pos = end
        count += 1
        name, value = match.groups()
        low, value = name.lower(), value.strip(b" \t")
        fields.append((name if keep_case else low, value))
        if each or low in _DECIDING:
            kind = tables.OTHER if each else _DECIDING[low]
            head.value = value
            break
    head.end, head.section_size, head.count = pos, section, count
    return kind


def is_token(value: bytes) -> bool:
    """RFC 9110 section 5.6.2."""
    return NAME.fullmatch(value) is not None


def valid_authority(value: bytes) -> bool:
    """Whether it is `uri-host [":" port]` without userinfo (RFC 9110 section 7.2). Empty is fine."""
    return grammar.split_authority(value) is not None


def same_authority(one: bytes, other: bytes, https: bool) -> bool:
    """Whether both name the same host and port; a missing port is that of the scheme."""
    return grammar.same_authority(one, other, https)


def connection_options(value: bytes) -> int:
    """The options of a Connection field that decide something: bits OPTION_CLOSE, OPTION_KEEP_ALIVE, OPTION_UPGRADE."""
    options = 0
    for element in grammar.elements(value):
        options |= _OPTIONS.get(element, 0)
    return options


def content_length(value: bytes) -> int:
    """The length in bytes that a request announces (RFC 9112 section 6.3)."""
    return grammar.content_length(value)


def decimal(value: bytes) -> int:
    """1*DIGIT up to 2**63-1, or -1."""
    digits = value.lstrip(b"0") or b"0"
    if not value or not value.isdigit() or len(digits) > 19 or int(digits) > LARGEST:
        return -1
    return int(digits)


def judge_codings(values: list[bytes]) -> int:
    """Judges the values of all Transfer-Encoding fields of a request: 0 for `chunked` alone, else an index into
    `tables.ERRORS`, 400 for what is malformed or not chunked last, 501 for other codings."""
    codings = [coding for value in values for coding in grammar.codings_in(value)]
    return grammar.judge_codings(codings)


@final
class Chunks:
    """The chunked coding (RFC 9112 section 7.1) of one body.

    Set by `read`: end, the position behind what was read; last, True once the line of the last chunk was read, which
    the trailer section follows; error, an index into `tables.ERRORS` that is told behind the data before it
    """

    __slots__ = ("_extensions", "_in_chunk", "_left", "end", "error", "last")

    def __init__(self) -> None:
        self.end = self.error = 0
        self.last = False
        self._left = 0  # bytes of a chunk
        self._extensions = 0  # bytes of the body so far
        self._in_chunk = False

    def read(self, data: bytes | bytearray, start: int) -> bytes:
        """Joins the data of all chunks from `start` on."""
        size = len(data)
        if not 0 <= start <= size:
            raise IndexError("no such part")
        pieces: list[bytes] = []
        self.end = start
        while True:
            if self._left:
                count = min(size - self.end, self._left)
                if not count:
                    break
                pieces.append(bytes(data[self.end : self.end + count]))
                self.end += count
                self._left -= count
                if self._left:
                    break
            if self._in_chunk:
                if (end := data[self.end : self.end + 2]) != b"\r\n":
                    self.error = 0 if end in (b"", b"\r") else tables.E_CHUNK_END
                    break
                self.end += 2
                self._in_chunk = False
            if not self._read_line(data):
                break
            if not self._left:
                self.last = True
                break
            self._in_chunk = True
        return b"".join(pieces)

    def _read_line(self, data: bytes | bytearray) -> bool:
        """Size and extensions of the next chunk; False while the line is incomplete, and for an error."""
        match = CHUNK.match(data, self.end)
        if match is None:
            self.error = grammar.judge_partial_chunk_line(bytes(data[self.end : self.end + 512]))
            return False
        size = int(match[1], 16)
        if size > LARGEST:
            self.error = tables.E_CHUNK_LARGE
        elif match[2] is not None:
            self._extensions += len(match[2])
            if not EXTENSIONS.fullmatch(match[2]):
                self.error = tables.E_CHUNK_EXT
            elif self._extensions > _MAX_EXTENSION_BYTES:
                self.error = tables.E_CHUNK_EXT_LONG
        self._left = size
        self.end = match.end()
        return not self.error


def field_kind(name: bytes, value: bytes) -> int:
    """What the server has to know about a response field: a number K_ of `tables`, or minus a number W_ where the name
    is no token, is that of a pseudo header, or the value has control characters. SP and HTAB around both are
    ignored."""
    token = name.strip(b" \t")
    if not NAME.fullmatch(token):
        return -tables.W_PSEUDO if token[:1] == b":" else -tables.W_NAME
    if CONTROL.search(value.strip(b" \t")):
        return -tables.W_VALUE
    return _KINDS.get(token.lower(), tables.K_OTHER)


def write_field(out: Octets, name: bytes, value: bytes) -> None:
    """Appends the line `name: value`, without SP and HTAB around them."""
    out.add(b"%b: %b\r\n" % (name.strip(b" \t"), value.strip(b" \t")))


def encode_chunk(data: bytes, last: bool = False) -> bytes:
    """One chunk (RFC 9112 section 7.1), with `last` the end of the body too. No data makes no chunk."""
    if type(data) is not bytes:
        raise TypeError("encode_chunk() takes bytes")
    if not data:
        return b"0\r\n\r\n" if last else b""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if last else b"%x\r\n%b\r\n" % (len(data), data)


def encode_response(
    status_line: bytes, fields: bytes, server_fields: bytes, framing: bytes, ending: bytes, body: bytes
) -> bytes:
    """Joins the parts of a response; `ending` holds the last fields of the head and the empty line."""
    return b"".join((status_line, fields, server_fields, framing, ending, body))
