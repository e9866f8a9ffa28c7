"""HTTP/1.1 messages (RFC 9112) as bytes. Written once over `http1_primitives`, which is twin.

A verdict depends on the bytes received so far, never on how they were cut; the work is O(n) for n bytes.
"""

from __future__ import annotations

import sys
from typing import Any

from hypercorn.errors import ProtocolError
from hypercorn.wire.head import HeadLines
from hypercorn.wire.http1_primitives import (
    Chunks,
    connection_options,
    content_length,
    empty_lines,
    field_lines,
    is_token,
    judge_codings,
    key_of,
    part,
    request_line,
    same_authority,
    stands_at,
    valid_authority,
)
from hypercorn.wire.tables import (
    CONNECTION,
    CONTENT_LENGTH,
    DROPPED_TRAILERS,
    E_CODING_LENGTH,
    E_CODING_OLD,
    E_COUNT,
    E_EXPECT,
    E_HOST,
    E_HOST_DIFFERS,
    E_HOST_MISSING,
    E_HOST_TWICE,
    E_LENGTH_TWICE,
    E_SECTION_LONG,
    E_TRACE,
    E_TRAILER_COUNT,
    E_TRAILER_FORBIDDEN,
    E_TRAILER_LONG,
    END,
    ERRORS,
    EXPECT,
    FORBIDDEN_TRAILERS,
    HOST,
    MORE,
    OPTION_CLOSE,
    OPTION_KEEP_ALIVE,
    OPTION_UPGRADE,
    TRANSFER_ENCODING,
    UPGRADE,
)

__all__ = (
    "BODY",
    "ERROR",
    "HEAD",
    "NEED_DATA",
    "FieldMemory",
    "RequestParser",
)

NEED_DATA, HEAD, BODY, ERROR = 0, 1, 2, 3

_NEED_DATA, _HEAD, _BODY, _ERROR = NEED_DATA, HEAD, BODY, ERROR  # as numbers of C
_START, _LINE, _FIELDS, _SIZED, _CHUNKED, _TRAILERS, _FAILED = range(7)
_MAX_EMPTY_BYTES = 16  # bytes of empty lines before a request
_MAX_TRAILERS = 64
_LEAST_LINE_BYTES = 64
_MOST = sys.maxsize >> 1  # no position is beyond it, and a sum of two is a C integer
_PLACES = 64  # for sections that are kept; a power of 2
_SECTION_BYTES = 2048  # of the longest one


class Section:
    """Field lines that came twice, and what they said."""

    __slots__ = ("content_length", "fields", "host", "hosts", "keep_case", "key", "lengths", "options", "text", "used")

    def __init__(self, text: bytes, key: int, keep_case: bool, head: HeadLines) -> None:
        self.text = text
        self.key = key
        self.keep_case = keep_case
        self.fields = head.fields[:]
        self.host = head.host
        self.hosts = head.hosts
        self.lengths = head.lengths
        self.content_length = head.content_length
        self.options = head.options
        self.used = False  # since another wanted its place


class FieldMemory:
    """Sections of field lines that come again: a client on a kept connection sends most of them with every request.
    The parsers of a worker share one of 64 sections.

    Only what was read whole and found in order is kept, with what it said, and it is taken again only for the very
    same bytes. A connection's bytes are compared with the section that it sent last, never with another's: so no
    client learns from the time of a response what others send.
    """

    __slots__ = ("_kept", "_seen")

    def __init__(self) -> None:
        self._kept: list[Section | None] = [None] * _PLACES
        self._seen = bytearray(_PLACES)  # of the last key that wanted each place, eight bits

    def __len__(self) -> int:
        """Sections that are kept."""
        return sum(1 for kept in self._kept if kept is not None)

    def find(self, data: bytes | bytearray, start: int, key: int) -> Section | None:
        """What has the key, where its text stands in `data` at `start`."""
        found = self._kept[key & _PLACES - 1]
        if found is None or found.key != key or not stands_at(data, start, found.text):
            return None
        found.used = True
        return found

    def keep(self, data: bytes | bytearray, start: int, end: int, keep_case: bool, head: HeadLines) -> int:
        """Keeps the field lines `data[start:end]`, the empty one included, when they come for the second time and
        nothing that is used more stands in their place. Returns their key, or 0 where they are not kept."""
        if end - start > _SECTION_BYTES or head.codings is not None or head.upgrades or head.expectation:
            return 0
        key = key_of(data, start, end)
        place = key & _PLACES - 1
        there = self._kept[place]
        if there is not None and there.key == key:
            return key
        if self._seen[place] != key >> 8 & 255:
            self._seen[place] = key >> 8 & 255
            return 0
        if there is not None and there.used:
            there.used = False
            return 0
        self._kept[place] = Section(part(data, start, end), key, keep_case, head)
        return key


class RequestParser(HeadLines):
    """Reads the requests of one connection: `feed` bytes, then ask `next_event` until it needs data.

    max_request_line_size: bytes with CRLF (at least 64), beyond: 414
    max_header_size: bytes of all field lines of a section with their CRLF, beyond: 431
    max_header_count: field lines of a head, beyond: 431
    keep_case: give field names as they came instead of lower-cased
    memory: shared by the connections of a worker; it changes no verdict

    Set by HEAD, valid until a later request begins:
    method, http_version ("1.0", "1.1"), raw_target, raw_path (without the query), path (decoded once),
    query_string, headers (every line in order, values trimmed), host (b"" when none), keep_alive, chunked,
    content_length (bytes; 0 when none, -1 when chunked), expect_continue (the client waits for 100), upgrade
    (its one token, lower-cased, if Connection names it too; else b""), complete (no body follows).
    `method` and `raw_target` are set as soon as they are known, so that a refusal can be logged.
    Set by BODY: body, complete (this was its end), trailers (once complete).
    Set by ERROR: error. Nothing is read after an error.
    """

    __slots__ = (
        "_chunks",
        "_closed",
        "_data",
        "_empty",
        "_end",
        "_late",
        "_left",
        "_max_header_count",
        "_max_header_size",
        "_max_request_line_size",
        "_memory",
        "_pos",
        "_section_key",
        "_state",
        "body",
        "error",
        "keep_alive",
        "keep_case",
        "trailers",
    )

    def __init__(
        self,
        max_request_line_size: int = 8192,
        max_header_size: int = 16384,
        max_header_count: int = 100,
        keep_case: bool = False,
        memory: FieldMemory | None = None,
    ) -> None:
        super().__init__()
        self._data: bytes | bytearray = b""  # the object that was fed, or a buffer where pieces had to be joined
        self._pos = self._end = 0
        self._closed = False  # nothing more is taken
        self._max_request_line_size = min(max(max_request_line_size, _LEAST_LINE_BYTES), _MOST)
        self._max_header_size = min(max_header_size, _MOST)
        self._max_header_count = min(max_header_count, _MOST)
        self.keep_case = bool(keep_case)
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.keep_alive = True
        self.error: Any = None  # the ProtocolError after ERROR
        self._state = _START
        self._late = 0  # the error that the next call tells
        self._empty = 0  # bytes of empty lines before the request
        self._left = 0  # of a sized body
        self._chunks: Chunks | None = None
        self._memory = memory
        self._section_key = 0  # of what this connection sent before

    def buffered(self) -> int:
        """Bytes held but not yet parsed."""
        return self._end - self._pos

    def feed(self, data: bytes) -> None:
        """Appends received bytes; copies nothing while nothing is pending. Raises TypeError for non-bytes."""
        if type(data) is not bytes:
            raise TypeError("feed() takes bytes")
        if not data or self._closed:
            return
        if self._pos == self._end:
            self._data = data  # the object itself
        else:
            pending = self._data
            if isinstance(pending, bytes):
                pending = bytearray(memoryview(pending)[self._pos :])
            elif self._pos:
                del pending[: self._pos]
            pending += data
            self._data = pending
        self._pos = 0
        self._end = len(self._data)

    def take_rest(self) -> bytes:
        """Hands out all bytes that were not parsed, and forgets them: for a switch of protocol."""
        rest = self._take(self._end - self._pos)
        self._release()
        return rest

    def _release(self) -> None:
        self._data = b""
        self._pos = self._end = self.scanned = 0

    def _keep(self) -> None:
        """A small rest moves out, so that it does not hold a large read alive."""
        if (self._end - self._pos) * 4 < self._end and type(self._data) is bytes:
            self._data = part(self._data, self._pos, self._end)
            self._end -= self._pos
            self._pos = 0

    def _take(self, count: int) -> bytes:
        """The next `count` bytes: the very object that was fed where it is nothing else."""
        start = self._pos
        self._pos = start + count
        if start == 0 and count == self._end and type(self._data) is bytes:
            return self._data
        return part(self._data, start, self._pos)

    @property
    def idle(self) -> bool:
        """True while not a byte of the next message has arrived, other than empty lines that were ignored."""
        return self._state == _START and self._pos == self._end

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
        if self._state < _SIZED:
            event = self._head()
        elif self._state == _SIZED:
            event = self._sized_body()
        elif self._state == _FAILED:
            event = _ERROR
        else:
            event = self._chunked_body()
        if event == _ERROR:
            if self.error is None:
                self.error = ProtocolError(*ERRORS[self._late])
            self._release()
        elif self._pos == self._end:
            self._release()
        elif event == _NEED_DATA:
            self._keep()
        return event

    def _fail(self, code: int) -> int:
        self._state, self._late, self._closed = _FAILED, code, True
        return _ERROR

    def _head(self) -> int:
        memory = self._memory
        start = -1  # where the field lines begin, if the request line ended in this call
        if self._state == _START:
            event = self._skip_empty_lines()
            if event != _HEAD:
                return event
            self.begin_lines()
            self._state = _LINE
        if self._state == _LINE:
            length = request_line(self._data, self._pos, self._max_request_line_size, self)
            if length <= 0:
                return _NEED_DATA if not length else self._fail(-length)
            self._pos += length
            self._state = _FIELDS
            if memory is not None:
                if self._section_key and self._recall_fields(memory):
                    return self._head_end()
                start = self._pos
        event = self._field_lines()
        if event != _HEAD:
            return event
        if memory is not None and start >= 0:
            key = memory.keep(self._data, start, self._pos, self.keep_case, self)
            if key:
                self._section_key = key
        return self._head_end()

    def _skip_empty_lines(self) -> int:
        """HEAD when a request starts at hand."""
        if self._pos == self._end:
            return _NEED_DATA
        length = empty_lines(self._data, self._pos, _MAX_EMPTY_BYTES - self._empty)
        if length < 0:
            self.begin_lines()  # whoever records the refusal reads nothing of the request before
            return self._fail(-length)
        self._pos += length
        self._empty += length
        if self._end - self._pos > 1 or (self._end > self._pos and self._data[self._pos] != 13):
            return _HEAD
        return _NEED_DATA  # nothing, or half of an empty line

    def _recall_fields(self, memory: FieldMemory) -> bool:
        """Takes the field lines at hand if they are those that this connection sent before. Their list is a new one:
        applications may change it."""
        found = memory.find(self._data, self._pos, self._section_key)
        if (
            found is None
            or len(found.text) - 2 > self._max_header_size
            or len(found.fields) > self._max_header_count
            or found.keep_case != self.keep_case
        ):
            return False
        self.fields = found.fields[:]
        self.host = found.host
        self.hosts = found.hosts
        self.lengths = found.lengths
        self.content_length = found.content_length
        self.options = found.options
        self._pos += len(found.text)
        return True

    def _field_lines(self) -> int:
        """Field lines up to the empty one; HEAD once that was read."""
        while True:
            kind = field_lines(
                self._data, self._pos, self._max_header_size, self._max_header_count, self.keep_case, False, self
            )
            self._pos = self.end
            if kind == END:
                return _HEAD
            if kind == MORE:
                return _NEED_DATA
            code = -kind if kind < 0 else self._decide(kind, self.value)
            if code:
                return self._fail(code)

    def _decide(self, kind: int, value: bytes) -> int:
        """Notes what a field says about its message. Returns an error or 0."""
        if kind == HOST:
            self.hosts += 1
            self.host = value
            return E_HOST_TWICE if self.hosts > 1 else 0 if valid_authority(value) else E_HOST
        if kind == CONNECTION:
            self.options |= connection_options(value)
        elif kind == CONTENT_LENGTH:
            self.lengths += 1
            if self.lengths > 1:
                return E_LENGTH_TWICE
            length = content_length(value)
            if length < 0:
                return -length
            self.content_length = length
        elif kind == TRANSFER_ENCODING:
            if self.codings is None:
                self.codings = [value]
            else:
                self.codings.append(value)
        elif kind == UPGRADE:
            self.upgrades += 1
            self.upgrade = value.lower() if self.upgrades == 1 and is_token(value) else b""
        elif kind == EXPECT and value and self.expectation in (b"", b"100-continue"):
            self.expectation = value.lower()
        return 0

    def _head_error(self) -> int:
        """The rules that need the whole head: an error or 0."""
        if not self.hosts:
            if self.minor:
                return E_HOST_MISSING
            if self.authority is not None:
                self.host = self.authority
                self.fields.insert(0, (b"host", self.host))  # where applications look for it
        elif self.authority is not None and not same_authority(self.authority, self.host, self.https):
            return E_HOST_DIFFERS
        if self.codings is not None:
            if self.lengths:
                return E_CODING_LENGTH
            if not self.minor:
                return E_CODING_OLD
            code = judge_codings(self.codings)
            if code:
                return code
            self.content_length = -1
        if self.expectation not in (b"", b"100-continue"):
            return E_EXPECT
        return E_TRACE if self.content_length and self.method == "TRACE" else 0

    def _head_end(self) -> int:
        """The facts about a message whose head was read."""
        code = self._head_error()
        if code:
            return self._fail(code)
        self.headers = self.fields
        self.chunked = self.content_length < 0
        self.complete = self.content_length == 0
        self.keep_alive = not self.options & OPTION_CLOSE and (self.minor == 1 or self.options & OPTION_KEEP_ALIVE != 0)
        self.expect_continue = self.expectation != b"" and self.minor == 1 and not self.complete
        if not self.minor or not self.options & OPTION_UPGRADE:
            self.upgrade = b""
        self.body = b""
        if self.trailers:
            self.trailers = []
        self._left = 0 if self.chunked else self.content_length
        self._empty = 0
        if self.chunked:
            self._chunks = Chunks()
        self._state = _START if self.complete else _CHUNKED if self.chunked else _SIZED
        return _HEAD

    def _sized_body(self) -> int:
        count = self._end - self._pos
        if not count:
            return _NEED_DATA
        if count > self._left:
            count = self._left
        self.body = self._take(count)
        self._left -= count
        if not self._left:
            self.complete = True
            self._state = _START
        return _BODY

    def _chunked_body(self) -> int:
        """Hands out the data of all chunks at hand, and the trailer section where it ends."""
        body = b""
        event = _NEED_DATA
        chunks = self._chunks
        if chunks is not None:
            body = chunks.read(self._data, self._pos)
            self._pos = chunks.end
            if chunks.error:
                event = self._fail(chunks.error)
            elif chunks.last:
                self._chunks = None
                self._state = _TRAILERS
                self.begin_section()
        if self._state == _TRAILERS:
            event = self._trailer_lines()
        if event == _HEAD:
            self.complete = True
            self.trailers = self.fields
            self._state = _START
        elif not body:
            return event
        self.body = body
        return _BODY

    def _trailer_lines(self) -> int:
        """The field lines behind a chunked body (RFC 9110 section 6.5); HEAD once the empty one was read."""
        while True:
            kind = field_lines(self._data, self._pos, self._max_header_size, _MAX_TRAILERS, self.keep_case, True, self)
            self._pos = self.end
            if kind == END:
                return _HEAD
            if kind == MORE:
                return _NEED_DATA
            if kind < 0:
                code = -kind
                return self._fail(
                    E_TRAILER_COUNT if code == E_COUNT else E_TRAILER_LONG if code == E_SECTION_LONG else code
                )
            name = self.fields[len(self.fields) - 1][0].lower()
            if name in FORBIDDEN_TRAILERS or name.startswith(b"proxy-"):
                return self._fail(E_TRAILER_FORBIDDEN)
            if name in DROPPED_TRAILERS:
                self.fields.pop()
