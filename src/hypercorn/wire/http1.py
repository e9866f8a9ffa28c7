"""HTTP/1.1 messages (RFC 9112) as bytes: the codec, and the contract of its two twins.

This is the pure twin. The compiled one (`http1.pyx` over `csrc/http1.c`) has the same names and gives the
same verdict on the same bytes; where it was built, `import hypercorn.wire.http1` finds it instead of this
file. A verdict depends on the bytes received so far, never on how they were cut; the work is O(n) for n bytes.
"""

from __future__ import annotations

from typing import Any, final

from hypercorn.errors import ProtocolError
from hypercorn.wire import tables
from hypercorn.wire.grammar import (
    CHUNK,
    CONTROL,
    DROPPED_TRAILERS,
    EXTENSIONS,
    FIELD,
    FORBIDDEN_TRAILERS,
    LARGEST,
    NAME,
    SIMPLE_REQUEST,
    Refused,
    codings_in,
    content_length,
    elements,
    judge_partial_chunk_line,
    refuse_codings,
    same_authority,
    split_authority,
    target_of,
    unquote,
)
from hypercorn.wire.pending import Input
from hypercorn.wire.tables import ERRORS, STATUS_LINES
from hypercorn.wire.writing import FieldEncoder, encode_chunk, encode_last_chunk, encode_response

__all__ = (
    "BODY",
    "ERROR",
    "HEAD",
    "NEED_DATA",
    "STATUS_LINES",
    "FieldEncoder",
    "HeadMemory",
    "RequestParser",
    "encode_chunk",
    "encode_last_chunk",
    "encode_response",
)

NEED_DATA, HEAD, BODY, ERROR = 0, 1, 2, 3

_START, _LINE, _FIELDS, _SIZED, _CHUNKED, _TRAILERS, _FAILED = range(7)
_MAX_EMPTY_BYTES = 16  # bytes of empty lines before a request
_MAX_METHOD_BYTES = 32
_MAX_TRAILERS = 64
_MAX_EXTENSION_BYTES = 16384  # bytes a body; 256 a line
_LEAST_LINE_BYTES = 64
_DECIDING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"))


class HeadMemory:
    """The memory that the parsers of one worker share: the compiled ones keep the field lines that their clients
    send again (64 sections of at most 2 KiB), so that they are read once. Here nothing is kept."""

    def __len__(self) -> int:
        """Sections that are kept."""
        return 0


@final
class RequestParser(Input):
    """Reads the requests of one connection: `feed` bytes, then ask `next_event` until it needs data.

    max_request_line_size: bytes with CRLF (at least 64), beyond: 414
    max_header_size: bytes of all field lines of a section with their CRLF, beyond: 431
    max_header_count: field lines of a head, beyond: 431
    keep_case: give field names as they came instead of lower-cased
    memory: shared by the connections of a worker; changes no verdict

    Set by HEAD, valid until a later request begins:
    method, http_version ("1.0", "1.1"), raw_target, raw_path (without the query), path (decoded once),
    query_string, headers (every line in order, values trimmed), host (b"" when none), keep_alive, chunked,
    content_length (bytes; 0 when none, -1 when chunked), expect_continue (the client waits for 100), upgrade
    (its one token, lower-cased, if Connection names it too; else b""), complete (no body follows).
    `method` and `raw_target` are set as soon as they are known, so that a refusal can be logged.
    Set by BODY: body, complete (this was its end), trailers (once complete).
    Set by ERROR: error. Nothing is read after an error.
    """

    def __init__(
        self,
        max_request_line_size: int = 8192,
        max_header_size: int = 16384,
        max_header_count: int = 100,
        keep_case: bool = False,
        memory: HeadMemory | None = None,
    ) -> None:
        super().__init__()
        self._max_request_line_size = max(max_request_line_size, _LEAST_LINE_BYTES)
        self._max_header_size = max_header_size
        self._max_header_count = max_header_count
        self.keep_case = bool(keep_case)
        self.method = self.path = ""
        self.http_version = "1.1"
        self.raw_target = self.raw_path = self.query_string = self.upgrade = self.host = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.content_length = 0
        self.keep_alive = True
        self.chunked = self.expect_continue = self.complete = self.known_target = False
        self.error: Any = None  # the ProtocolError after ERROR
        self._state = _START
        self._late = 0  # the error that the next call tells
        self._empty = 0
        self._left = 0  # of a sized body or of a chunk
        self._begin()

    @property
    def idle(self) -> bool:
        """True while not a byte of the next message has arrived, other than empty lines that were ignored."""
        return self._state == _START and self._pos == len(self._data)

    @property
    def in_body(self) -> bool:
        """True from the end of a head to the end of its body."""
        return _SIZED <= self._state <= _TRAILERS

    @property
    def body_remaining(self) -> int:
        """Bytes of a content-length body still to come or to be parsed; -1 in a chunked one; else 0."""
        return self._left if self._state == _SIZED else -1 if _CHUNKED <= self._state <= _TRAILERS else 0

    def next_event(self) -> int:
        """NEED_DATA, HEAD, BODY or ERROR; after an ERROR always ERROR. Pipelined requests stay pending until
        asked for. An error behind body data is told by the next call."""
        try:
            if self._state < _SIZED:
                event = self._head()
            elif self._state == _SIZED:
                event = self._sized_body()
            elif self._state == _FAILED:
                event = ERROR
            else:
                event = self._chunked_body()
        except Refused as refused:
            event = self._fail(refused.code)
        if event == ERROR:
            if self.error is None:
                self.error = ProtocolError(*ERRORS[self._late])
            self._release()
        elif self._pos == len(self._data):
            self._release()
        elif event == NEED_DATA:
            self._keep()
        return event

    def _fail(self, code: int) -> int:
        self._state, self._late, self._closed = _FAILED, code, True
        return ERROR

    def _begin(self) -> None:
        """Forgets the last message."""
        self.method = ""
        self.raw_target = self.host = self.upgrade = b""
        self.content_length = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._method_length = self._minor = self._section = self._count = self._upgrades = 0
        self._hosts = self._lengths = 0
        self._connection: list[bytes] = []
        self._codings: list[bytes] = []
        self._expectation = b""
        self._authority: bytes | None = None
        self._https = False

    def _head(self) -> int:
        if self._state == _START:
            if not self._skip_empty_lines():
                return NEED_DATA
            self._begin()
            self._state = _LINE
        if self._state == _LINE and not self._request_line():
            return NEED_DATA
        if not self._lines(self._max_header_count, tables.E_COUNT, tables.E_SECTION_LONG):
            return NEED_DATA
        self._head_end()
        return HEAD

    def _skip_empty_lines(self) -> bool:
        """True when a request starts at hand."""
        data, size = self._data, len(self._data)
        while self._pos < size:
            if data[self._pos] != 13:
                return True
            if self._empty >= _MAX_EMPTY_BYTES:
                raise Refused(tables.E_EMPTY_LINES)
            if self._pos + 1 == size:
                return False
            if data[self._pos + 1] != 10:
                raise Refused(tables.E_LINE)
            self._pos += 2
            self._empty += 2
        return False

    def _request_line(self) -> bool:
        """RFC 9112 section 3. True once the line was read."""
        data, start = self._data, self._pos
        match = None if self._scanned else SIMPLE_REQUEST.match(data, start)
        if match and match[1] != b"CONNECT" and match.end() - start <= self._max_request_line_size:
            self.method = match[1].decode("ascii")
            self.raw_target, self.raw_path, self.query_string = match[2], match[3], match[4] or b""
            self._minor = 1 if match[5] == b"1" else 0
            self._pos = match.end()
        else:
            if not self._method_length and not self._find_method():
                return False
            length = self._line(self._max_request_line_size, tables.E_LINE_LONG)
            if length < 0:
                return False
            rest = bytes(data[start + self._method_length + 1 : start + length])
            self.raw_target, self._minor, target = target_of(self.method.encode("ascii"), rest)
            if isinstance(target, int):
                raise Refused(target)
            self.raw_path, self.query_string, self._authority, self._https = target
            self._pos = start + length + 2
        self.http_version = "1.1" if self._minor else "1.0"
        self.path = unquote(self.raw_path)
        self._state = _FIELDS
        return True

    def _find_method(self) -> bool:
        """Judges the first word from its first byte on: what is no token, or long, is no HTTP."""
        data, start = self._data, self._pos
        match = NAME.match(data, start, start + _MAX_METHOD_BYTES + 1)
        length = match.end() - start if match else 0
        if length <= _MAX_METHOD_BYTES and start + length == len(data):
            return False
        if not match or length > _MAX_METHOD_BYTES or data[start + length] != 32:
            raise Refused(tables.E_METHOD)
        self._method_length = length
        self.method = match[0].decode("ascii")
        return True

    def _lines(self, max_count: int, count_code: int, size_code: int) -> bool:
        """Field lines (RFC 9112 section 5) up to the empty one; True once that was read."""
        data, size, fields, trailers = self._data, len(self._data), self._fields, self._state == _TRAILERS
        while True:
            start = self._pos
            match = None if self._scanned else FIELD.match(data, start)
            if self._count >= max_count and start < size and not CONTROL.match(data, start):
                raise Refused(count_code)
            if match is None:
                length = self._line(self._max_header_size - self._section, size_code)
                if length == -1:
                    return False
                if length == 0:
                    self._pos = start + 2
                    return True
                if (match := FIELD.match(data, start)) is None:
                    raise Refused(tables.E_FIELD)
            self._pos = match.end()
            self._section += self._pos - start
            if self._section > self._max_header_size:
                raise Refused(size_code)
            self._count += 1
            name, value = match.groups()
            low, value = name.lower(), value.strip(b" \t")
            if not trailers or low not in DROPPED_TRAILERS:
                fields.append((name if self.keep_case else low, value))
            if trailers or low in _DECIDING:
                self._decide(low, value)

    def _decide(self, low: bytes, value: bytes) -> None:
        """Notes what a field says about its message."""
        if self._state == _TRAILERS:
            if low in FORBIDDEN_TRAILERS or low.startswith(b"proxy-"):
                raise Refused(tables.E_TRAILER_FORBIDDEN)
        elif low == b"host":
            self._hosts += 1
            self.host = value
            if self._hosts > 1:
                raise Refused(tables.E_HOST_TWICE)
            if split_authority(value) is None:
                raise Refused(tables.E_HOST)
        elif low == b"connection":
            self._connection += elements(value)
        elif low == b"content-length":
            self._lengths += 1
            if self._lengths > 1:
                raise Refused(tables.E_LENGTH_TWICE)
            self.content_length = content_length(value)
        elif low == b"transfer-encoding":
            self._codings += codings_in(value)
        elif low == b"upgrade":
            self._upgrades += 1
            self.upgrade = value.lower() if self._upgrades == 1 and NAME.fullmatch(value) else b""
        elif value and self._expectation in (b"", b"100-continue"):
            self._expectation = value.lower()

    def _head_end(self) -> None:
        """The rules that need the whole head, then the facts about the message."""
        if not self._hosts:
            if self._minor:
                raise Refused(tables.E_HOST_MISSING)
            if self._authority is not None:
                self.host = self._authority
                self._fields.insert(0, (b"host", self.host))  # where applications look for it
        elif self._authority is not None and not same_authority(self._authority, self.host, self._https):
            raise Refused(tables.E_HOST_DIFFERS)
        if self._codings:
            if self._lengths:
                raise Refused(tables.E_CODING_LENGTH)
            if not self._minor:
                raise Refused(tables.E_CODING_OLD)
            refuse_codings(self._codings)
            self.content_length = -1
        if self._expectation not in (b"", b"100-continue"):
            raise Refused(tables.E_EXPECT)
        if self.content_length and self.method == "TRACE":
            raise Refused(tables.E_TRACE)
        self.headers, self._fields = self._fields, []
        self.chunked = self.content_length < 0
        options, minor = self._connection, self._minor
        self.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        self.expect_continue = bool(self._expectation and minor and self.content_length)
        if not minor or b"upgrade" not in options:
            self.upgrade = b""
        self.body = b""
        if self.trailers:
            self.trailers = []
        self.complete = self.content_length == 0
        self._left = max(self.content_length, 0)
        self._empty = self._extensions = 0
        self._in_chunk = False
        self._state = _START if self.complete else _CHUNKED if self.chunked else _SIZED

    def _sized_body(self) -> int:
        count = min(len(self._data) - self._pos, self._left)
        if not count:
            return NEED_DATA
        self.body = self._take(count)
        self._left -= count
        if not self._left:
            self.complete = True
            self._state = _START
        return BODY

    def _chunked_body(self) -> int:
        """Joins the data of all chunks at hand."""
        pieces: list[bytes] = []
        ended = False
        try:
            if self._state == _CHUNKED:
                self._chunks(pieces)
            if self._state == _TRAILERS:
                ended = self._lines(_MAX_TRAILERS, tables.E_TRAILER_COUNT, tables.E_TRAILER_LONG)
        except Refused as refused:
            if not pieces:
                raise
            self._fail(refused.code)
        if ended:
            self.complete = True
            self.trailers, self._fields = self._fields, []
            self._state = _START
        elif not pieces:
            return NEED_DATA
        self.body = b"".join(pieces)
        return BODY

    def _chunks(self, pieces: list[bytes]) -> None:
        """RFC 9112 section 7.1: reads on until data is needed or the last chunk's line was read."""
        data, size = self._data, len(self._data)
        while True:
            if self._left:
                count = min(size - self._pos, self._left)
                if not count:
                    return
                pieces.append(bytes(data[self._pos : self._pos + count]))
                self._pos += count
                self._left -= count
                if self._left:
                    return
            if self._in_chunk:
                if (end := data[self._pos : self._pos + 2]) != b"\r\n":
                    if end in (b"", b"\r"):
                        return
                    raise Refused(tables.E_CHUNK_END)
                self._pos += 2
                self._in_chunk = False
            if not self._chunk_line():
                return
            if not self._left:
                self._state = _TRAILERS
                self._section = self._count = 0
                return
            self._in_chunk = True

    def _chunk_line(self) -> bool:
        """Size and extensions of the next chunk; False while the line is incomplete."""
        match = CHUNK.match(self._data, self._pos)
        if match is None:
            judge_partial_chunk_line(bytes(self._data[self._pos : self._pos + 512]))
            return False
        size = int(match[1], 16)
        if size > LARGEST:
            raise Refused(tables.E_CHUNK_LARGE)
        if match[2] is not None:
            if not EXTENSIONS.fullmatch(match[2]):
                raise Refused(tables.E_CHUNK_EXT)
            self._extensions += len(match[2])
            if self._extensions > _MAX_EXTENSION_BYTES:
                raise Refused(tables.E_CHUNK_EXT_LONG)
        self._left = size
        self._pos = match.end()
        return True
