# twin of http1.py
"""HTTP/1.1 messages (RFC 9112) as bytes: the compiled twin. The contract stands in the docstrings of http1.py."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_GetSlice
from cpython.object cimport PyObject
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset

from hypercorn.wire.csrc cimport *

from hypercorn.errors import ProtocolError
from hypercorn.wire.tables import ERRORS, STATUS_LINES as _STATUS_LINES

__all__ = (
    "BODY", "ERROR", "HEAD", "NEED_DATA", "STATUS_LINES",
    "FieldEncoder", "HeadMemory", "RequestParser", "encode_chunk", "encode_last_chunk", "encode_response",
)

NEED_DATA, HEAD, BODY, ERROR = 0, 1, 2, 3
STATUS_LINES = _STATUS_LINES

cdef enum:
    _NEED_DATA = 0, _HEAD = 1, _BODY = 2, _ERROR = 3
cdef enum:
    _START = 0, _LINE = 1, _FIELDS = 2, _SIZED = 3, _CHUNKED = 4, _TRAILERS = 5, _FAILED = 6
cdef enum:
    _MAX_EMPTY_BYTES = 16, _MAX_TRAILERS = 64, _LEAST_LINE_BYTES = 64, _KEPT = 65536

cdef size_t _k
cdef list _NAMES = [<bytes>h1_names[_k] for _k in range(h1_names_count)]
cdef list _METHODS = [(<bytes>h1_methods[_k]).decode("ascii") for _k in range(h1_methods_count)]
cdef str _V10 = "1.0", _V11 = "1.1"
cdef bytes _EMPTY = b"", _SLASH = b"/", _HOST = b"host"


cdef inline bytes _slice(const uint8_t* p, size_t n):
    return PyBytes_FromStringAndSize(<const char*>p, <Py_ssize_t>n)


cdef bytes _lowered(const uint8_t* p, size_t n):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
    h1_lower(<uint8_t*>PyBytes_AS_STRING(made), p, n)
    return made


include "http1_input.pxi"
include "http1_memory.pxi"


cdef class RequestParser(Input):
    """Reads the requests of one connection; see http1.py."""

    def __init__(
        self,
        Py_ssize_t max_request_line_size=8192,
        Py_ssize_t max_header_size=16384,
        Py_ssize_t max_header_count=100,
        bint keep_case=False,
        HeadMemory memory=None,
    ):
        self.max_request_line_size = max(max_request_line_size, _LEAST_LINE_BYTES)
        self.max_header_size = max_header_size
        self.max_header_count = max_header_count
        self.keep_case = keep_case
        self.memory = memory
        self.keys[0] = self.keys[1] = self.line_keys[0] = self.line_keys[1] = 0
        self.method = self.path = ""
        self.http_version = _V11
        self.raw_target = self.raw_path = self.query_string = self.upgrade = self.host = self.body = _EMPTY
        self.headers = []
        self.trailers = []
        self.keep_alive = True

    @property
    def idle(self) -> bool:
        return self.state == _START and self.pos == self.length

    @property
    def in_body(self) -> bool:
        return _SIZED <= self.state <= _TRAILERS

    @property
    def body_remaining(self) -> int:
        return self.left if self.state == _SIZED else -1 if _CHUNKED <= self.state <= _TRAILERS else 0

    cpdef int next_event(self) except -1:
        cdef int event
        if self.state < _SIZED:
            event = self.head()
        elif self.state == _SIZED:
            event = self.sized_body()
        elif self.state == _FAILED:
            event = _ERROR
        else:
            event = self.chunked_body()
        if event == _ERROR:
            if self.error is None:
                self.error = ProtocolError(*ERRORS[self.late])
            self.release()
        elif self.pos == self.length:
            self.release()
        elif event == _NEED_DATA and self.data is not None and (self.length - self.pos) * 4 < self.length:
            self.keep()
        return event

    cdef int fail(self, int code) except -1:
        self.state = _FAILED
        self.closed = True
        self.late = code
        return _ERROR

    cdef int head(self) except -1:
        cdef int event
        cdef size_t start = 0  # where the field lines begin, if the request line ended in this call
        if self.state == _START:
            event = self.skip_empty_lines()
            if event <= 0:
                return _NEED_DATA if event == 0 else self.fail(-event)
            self.method = ""
            self.known_target = False
            self.raw_target = self.host = self.upgrade = _EMPTY
            self.fields = []
            self.method_length = self.minor = self.connection = self.hosts = self.lengths = self.upgrades = 0
            self.expect = self.expect_other = False
            self.authority = None
            self.content_length = self.section = self.count = 0
            memset(&self.codings, 0, sizeof(self.codings))
            self.state = _LINE
        if self.state == _LINE:
            event = self.request_line()
            if event != _HEAD:
                return event
            if self.memory is not None:
                if self.memory.recall(self):
                    return self.head_end()
                start = self.pos
        event = self.section_lines(self.fields, self.max_header_count, H1_E_COUNT, H1_E_SECTION_LONG)
        if event != _HEAD:
            return event
        if start:
            self.memory.note(self, start)
        return self.head_end()

    cdef int skip_empty_lines(self) noexcept:
        """1 when a request starts here, 0 for more data, -error."""
        cdef const uint8_t* p
        while self.pos < self.length:
            p = self.base + self.pos
            if p[0] != c"\r":
                return 1
            if self.empty >= _MAX_EMPTY_BYTES:
                return -H1_E_EMPTY_LINES
            if self.length - self.pos == 1:
                return 0
            if p[1] != c"\n":
                return -H1_E_LINE
            self.pos += 2
            self.empty += 2
        return 0

    cdef int request_line(self) except -1:
        cdef const uint8_t* p = self.base + self.pos
        cdef h1_request_line_t line
        cdef Py_ssize_t n
        cdef int code
        if self.memory is not None and self.method_length == 0 and self.scanned == 0 and self.memory.recall_line(self):
            self.state = _FIELDS
            return _HEAD
        if self.method_length == 0:
            self.method_length = h1_method(p, self.length - self.pos)
            if self.method_length < 0:
                return self.fail(H1_E_METHOD)
            if self.method_length:
                code = h1_known_method(p, self.method_length)
                if code >= 0:
                    self.method = <str>PyList_GET_ITEM(_METHODS, code)
                else:
                    self.method = PyUnicode_DecodeASCII(<const char*>p, self.method_length, NULL)
        n = self.line(self.max_request_line_size, H1_E_LINE_LONG)
        if n < 0:
            return _NEED_DATA if n == -1 else self.fail(-1 - n)
        code = h1_request_line(p, n, self.method_length, &line)
        if line.target_length:
            self.raw_target = _slice(p + line.target, line.target_length)
        if code:
            return self.fail(code)
        self.minor = line.minor
        self.http_version = _V11 if line.minor else _V10
        self.https = line.https
        if line.authority_length:
            self.authority = _slice(p + line.authority, line.authority_length)
        self.query_string = _slice(p + line.query, line.query_length)
        if line.path_length == 0:
            self.raw_path = _SLASH
        elif line.path_length == line.target_length:
            self.raw_path = self.raw_target
        else:
            self.raw_path = _slice(p + line.path, line.path_length)
        self.path = _path(self.raw_path, line.escaped)
        if self.memory is not None:
            self.memory.note_line(self, p, n + 2)
        self.pos += n + 2
        self.state = _FIELDS
        return _HEAD

    cdef int section_lines(self, list into, Py_ssize_t max_count, int count_code, int size_code) except -1:
        """Field lines up to the empty one: _HEAD once it was read."""
        cdef Py_ssize_t n
        cdef int code
        while True:
            if self.count >= max_count and self.pos < self.length and h1_find_control(self.base + self.pos, 1):
                return self.fail(count_code)
            n = self.line(self.max_header_size - self.section, size_code)
            if n < 0:
                return _NEED_DATA if n == -1 else self.fail(-1 - n)
            if n == 0:
                self.pos += 2
                return _HEAD
            code = self.field(self.base + self.pos, n, into)
            if code:
                return self.fail(code)
            self.pos += n + 2
            self.section += n + 2
            self.count += 1

    cdef int field(self, const uint8_t* p, size_t n, list into) except -1:
        """One field line: appends it, and notes what it decides. Returns an error or 0."""
        cdef int known
        cdef size_t length = h1_field_name(p, n, &known)
        cdef const uint8_t* at = p + length + 1
        cdef bytes name, value
        if length == 0 or length == n or p[length] != c":":
            return H1_E_FIELD
        if self.keep_case:
            name = _slice(p, length)
        elif known >= 0:
            name = <bytes>PyList_GET_ITEM(_NAMES, known)
        else:
            name = _lowered(p, length)
        n = h1_trim(&at, n - length - 1)
        value = _slice(at, n)
        if self.state == _TRAILERS:
            known = h1_trailer(p, length)
            if known == H1_T_GOOD:
                into.append((name, value))
            return H1_E_TRAILER_FORBIDDEN if known == H1_T_FORBIDDEN else 0
        into.append((name, value))
        return self.decide(known, at, n, value) if known >= 0 else 0

    cdef int decide(self, int known, const uint8_t* p, size_t n, bytes value) except -1:
        if known == H1_F_HOST:
            self.hosts += 1
            self.host = value
            return H1_E_HOST_TWICE if self.hosts > 1 else 0 if h1_valid_authority(p, n) else H1_E_HOST
        if known == H1_F_CONNECTION:
            self.connection |= h1_connection(p, n)
        elif known == H1_F_CONTENT_LENGTH:
            self.lengths += 1
            return H1_E_LENGTH_TWICE if self.lengths > 1 else h1_content_length(p, n, &self.content_length)
        elif known == H1_F_TRANSFER_ENCODING:
            h1_coding(&self.codings, p, n)
        elif known == H1_F_UPGRADE:
            self.upgrades += 1
            if self.upgrades == 1 and n and h1_token(p, n) == n:
                self.upgrade = _lowered(p, n)
            else:
                self.upgrade = _EMPTY
        elif known == H1_F_EXPECT and n:
            if h1_same_word(p, n, "100-continue", 12):
                self.expect = True
            else:
                self.expect_other = True
        return 0

    cdef int head_end(self) except -1:
        """The rules that need the whole head, then the facts about the message."""
        cdef int code
        if self.hosts == 0:
            if self.minor:
                return self.fail(H1_E_HOST_MISSING)
            if self.authority is not None:
                self.host = self.authority
                self.fields.insert(0, (_HOST, self.host))  # where applications look for it
        elif self.authority is not None and not h1_same_authority(
            <const uint8_t*>PyBytes_AS_STRING(self.authority), PyBytes_GET_SIZE(self.authority),
            <const uint8_t*>PyBytes_AS_STRING(self.host), PyBytes_GET_SIZE(self.host), self.https,
        ):
            return self.fail(H1_E_HOST_DIFFERS)
        self.chunked = False
        if self.codings.lines:
            code = H1_E_CODING_LENGTH if self.lengths else 0 if self.minor else H1_E_CODING_OLD
            if code == 0:
                code = h1_coding_verdict(&self.codings)
            if code:
                return self.fail(code)
            self.chunked = True
            self.content_length = -1
        if self.expect_other:
            return self.fail(H1_E_EXPECT)
        if self.content_length and self.method == "TRACE":
            return self.fail(H1_E_TRACE)
        self.headers = self.fields
        self.fields = None
        self.keep_alive = not self.connection & H1_CLOSE and (self.minor or self.connection & H1_KEEP_ALIVE)
        self.expect_continue = self.expect and self.minor and self.content_length
        if not self.minor or not self.connection & H1_UPGRADE:
            self.upgrade = _EMPTY
        self.body = _EMPTY
        if PyList_GET_SIZE(self.trailers):
            self.trailers = []
        self.complete = self.content_length == 0
        self.left = self.content_length
        self.empty = 0
        memset(&self.chunks, 0, sizeof(self.chunks))
        self.state = _CHUNKED if self.chunked else _SIZED if self.content_length else _START
        return _HEAD

    cdef int sized_body(self) except -1:
        cdef size_t rest = self.length - self.pos
        if rest == 0:
            return _NEED_DATA
        if <int64_t>rest > self.left:
            rest = <size_t>self.left
        if self.data is not None and self.pos == 0 and rest == self.length:
            self.body = self.data
        else:
            self.body = _slice(self.base + self.pos, rest)
        self.pos += rest
        self.left -= rest
        if self.left == 0:
            self.complete = True
            self.state = _START
        return _BODY

    cdef int chunked_body(self) except -1:
        """Joins the data of all chunks at hand; an error after data is told by the next call."""
        cdef const uint8_t* first = NULL
        cdef bytes out = None
        cdef size_t used = 0, run = 0, made = 0
        cdef int code = H1_LAST
        if self.state == _TRAILERS:
            return self.trailer_section(_EMPTY)
        while True:
            code = h1_chunk(&self.chunks, self.base + self.pos, self.length - self.pos, &used, &run)
            if code > 0:
                self.fail(code)
                break
            self.pos += used
            if code != H1_DATA:
                break
            if made == 0:
                first = self.base + self.pos - run
            else:
                if out is None:
                    out = PyBytes_FromStringAndSize(NULL, made + run + self.length - self.pos)
                    memcpy(PyBytes_AS_STRING(out), first, made)
                memcpy(PyBytes_AS_STRING(out) + made, self.base + self.pos - run, run)
            made += run
        if code == H1_LAST:
            self.state = _TRAILERS
            self.section = self.count = 0
            self.fields = []
        if out is not None:
            first = <const uint8_t*>PyBytes_AS_STRING(out)
        return self.trailer_section(_slice(first, made))

    cdef int trailer_section(self, bytes body) except -1:
        """Ends a chunked body where its trailer section ends; hands out `body` in any case."""
        cdef int event = _NEED_DATA if self.state == _CHUNKED else _ERROR
        if self.state == _TRAILERS:
            event = self.section_lines(self.fields, _MAX_TRAILERS, H1_E_TRAILER_COUNT, H1_E_TRAILER_LONG)
        if event == _HEAD:
            self.complete = True
            self.trailers = self.fields
            self.fields = None
            self.state = _START
        elif not body:
            return event
        self.body = body
        return _BODY


cdef str _path(bytes raw, bint escaped):
    """Percent-decoded once; malformed escapes stay, malformed UTF-8 becomes U+FFFD."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(raw)
    cdef bytes plain
    if not escaped:
        return PyUnicode_DecodeASCII(PyBytes_AS_STRING(raw), n, NULL)
    plain = PyBytes_FromStringAndSize(NULL, n)
    n = h1_unquote(<uint8_t*>PyBytes_AS_STRING(plain), <const uint8_t*>PyBytes_AS_STRING(raw), n)
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(plain), n, "replace")


include "http1_encode.pxi"
