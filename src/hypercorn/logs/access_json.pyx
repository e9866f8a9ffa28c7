# twin of access_json.py
"""The compiled twin of `access_json.py`: the same lines, written into one buffer."""

import json.encoder
from time import gmtime, strftime

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memcpy

cdef extern from "clock.h":
    long long hc_unix_milliseconds() nogil

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_DecodeASCII(const char* data, Py_ssize_t size, const char* errors)

__all__ = ("JSONLines", "JSONRecords")

cdef object _quote = json.encoder.encode_basestring_ascii
cdef enum:
    SPARE = 512  # bytes for what is no text of the peer's
    KEPT = 65536  # a buffer that has grown beyond this is given back
    FULL_BYTES = 262144  # bytes of records that are handed over at once
    MOST_BYTES = 4194304  # bytes of records that wait at the most
    WORST = 6  # bytes that one of the peer's becomes: \u00ff


cdef class JSONLines:
    """Makes the lines. The time is formatted once a second."""

    cdef char* buffer
    cdef size_t capacity, used
    cdef readonly long long second
    cdef bytes stamp

    def __cinit__(self):
        self.buffer = NULL
        self.capacity = self.used = 0
        self.second = 0
        self.stamp = b""

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    def line(self, dict scope not None, status, response_headers, long long sent, double duration):
        """The record of one request; a `status` of None is one that was never sent, `duration` is seconds."""
        self.used = 0
        self.add(scope, status, response_headers, sent, duration)
        made = PyUnicode_DecodeASCII(self.buffer, self.used, NULL)
        self.shrink()
        return made

    cdef int shrink(self) except -1:
        """Gives a buffer back that has grown too large."""
        if self.capacity > KEPT:
            PyMem_Free(self.buffer)
            self.buffer = NULL
            self.capacity = 0
        return 0

    cdef int add(self, dict scope, status, response_headers, long long sent, double duration) except -1:
        """Appends a record to the buffer."""
        cdef long long now = hc_unix_milliseconds()
        cdef long long second = now // 1000
        cdef long long seconds = <long long>duration
        cdef double microseconds = (duration - seconds) * 1000000  # a variable: setup.py says why
        cdef bytes host = None, agent = None, referer = None, request_id = None
        if second != self.second:
            self.stamp = strftime('{"time":"%Y-%m-%dT%H:%M:%S.', gmtime(second)).encode("ascii")
            self.second = second
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"user-agent":
                agent = value
            elif name == b"referer":
                referer = value
            elif name == b"x-request-id":
                request_id = value
        if request_id is None:
            for name, value in response_headers:
                if name == b"x-request-id":
                    request_id = bytes(value)
        client = scope["client"]
        self.reserve(SPARE)
        self.raw(PyBytes_AS_STRING(self.stamp), PyBytes_GET_SIZE(self.stamp))
        self.number(now % 1000, 3)
        self.raw(b"Z\",\"client\":", 12)
        self.text(None if client is None else client[0])
        self.raw(b",\"method\":", 10)
        self.text(scope.get("method", "GET"))
        self.raw(b",\"scheme\":", 10)
        self.text(scope["scheme"])
        self.raw(b",\"host\":", 8)
        self.quoted(host)
        self.raw(b",\"path\":", 8)
        self.quoted(scope["raw_path"])
        self.raw(b",\"query\":", 9)
        self.quoted(scope["query_string"])
        self.raw(b",\"protocol\":\"HTTP/", 18)
        self.plain(scope["http_version"])
        self.raw(b"\",\"status\":", 11)
        if status is None:
            self.raw(b"null", 4)
        else:
            self.number(status, 1)
        self.raw(b",\"bytes\":", 9)
        self.number(sent, 1)
        self.raw(b",\"duration\":", 12)
        self.number(seconds, 1)
        self.raw(b".", 1)
        self.number(<long long>microseconds, 6)
        self.raw(b",\"referer\":", 11)
        self.quoted(referer)
        self.raw(b",\"user_agent\":", 14)
        self.quoted(agent)
        self.raw(b",\"request_id\":", 14)
        self.quoted(request_id)
        return self.raw(b"}", 1)

    cdef int reserve(self, size_t more) except -1:
        """Makes room for `more` bytes and, beyond them, for what is no text of the peer's."""
        cdef char* bigger
        if self.capacity - self.used < more + SPARE:
            bigger = <char*>PyMem_Realloc(self.buffer, 2 * (self.used + more + SPARE))
            if bigger == NULL:
                raise MemoryError()
            self.buffer = bigger
            self.capacity = 2 * (self.used + more + SPARE)
        return 0

    cdef int raw(self, const char* data, size_t size) except -1:
        """Bytes that need no escapes."""
        self.reserve(size)
        memcpy(self.buffer + self.used, data, size)
        self.used += size
        return 0

    @cython.cdivision(True)
    cdef int number(self, long long value, int digits) except -1:
        """A number that is not negative, with at least so many digits."""
        cdef char made[24]
        cdef int i = 24
        while value > 0 or digits > 0:
            i -= 1
            digits -= 1
            made[i] = c'0' + <char>(value % 10)
            value //= 10
        return self.raw(made + i, 24 - i)

    cdef int plain(self, str text) except -1:
        """A text of the server's own."""
        cdef Py_ssize_t size
        cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
        return self.raw(data, size)

    cdef int text(self, value) except -1:
        """A text between quotes, or null."""
        cdef Py_ssize_t size
        cdef const char* data
        if value is None:
            return self.raw(b"null", 4)
        if isinstance(value, str) and PyUnicode_IS_ASCII(value):
            data = PyUnicode_AsUTF8AndSize(value, &size)
            return self.escaped(<const unsigned char*>data, size)
        return self.plain(_quote(value))

    cdef int quoted(self, bytes value) except -1:
        """Bytes of a peer between quotes, all but printable ASCII escaped; or null."""
        if value is None:
            return self.raw(b"null", 4)
        return self.escaped(<const unsigned char*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))

    cdef int escaped(self, const unsigned char* data, size_t size) except -1:
        cdef size_t i
        cdef unsigned char c
        cdef char* p
        self.reserve(WORST * size + 2)
        p = self.buffer + self.used
        p[0] = c'"'
        p += 1
        for i in range(size):
            c = data[i]
            if 32 <= c < 127 and c != c'"' and c != c'\\':
                p[0] = c
                p += 1
                continue
            p[0] = c'\\'
            p += 2
            if c == c'"' or c == c'\\':
                (p - 1)[0] = c
            elif c == c'\n':
                (p - 1)[0] = c'n'
            elif c == c'\r':
                (p - 1)[0] = c'r'
            elif c == c'\t':
                (p - 1)[0] = c't'
            elif c == c'\f':
                (p - 1)[0] = c'f'
            elif c == c'\b':
                (p - 1)[0] = c'b'
            else:
                memcpy(p - 1, b"u00", 3)
                p[2] = b"0123456789abcdef"[c >> 4]
                p[3] = b"0123456789abcdef"[c & 15]
                p += 4
        p[0] = c'"'
        self.used = p + 1 - self.buffer
        return 0


cdef class JSONRecords(JSONLines):
    """Gathers the lines of many requests in its buffer, until somebody takes them: no object for a record.

    begin: called at the first line of a batch; gives what is called with this once there is something to take, or None
        where lines are not to be gathered now
    hurry: called once when a batch should not wait any longer
    otherwise: what then, and for a record that cannot be made, is called in place of `write`
    """

    cdef object begin, hurry, otherwise
    cdef bint busy, enlisted, hurried
    cdef Py_ssize_t lost

    def __init__(self, begin, hurry, otherwise):
        self.begin = begin
        self.hurry = hurry
        self.otherwise = otherwise

    def write(self, scope, status, response_headers, sent, duration):
        """Takes one record. Never raises."""
        cdef size_t mark
        enlist = None
        if not self.enlisted:
            enlist = self.begin()
            if enlist is None:
                self.otherwise(scope, status, response_headers, sent, duration)
                return
        failed = False
        with cython.critical_section(self):
            mark = self.used
            if mark > MOST_BYTES:
                self.lost += 1
                return
            self.busy = True
            try:
                self.add(scope, status, response_headers, sent, duration)
                self.raw(b"\n", 1)
            except Exception:
                self.used = mark
                failed = True
            finally:
                self.busy = False
        if failed:
            self.otherwise(scope, status, response_headers, sent, duration)
        elif enlist is not None:
            self.enlisted = True
            enlist(self)
        elif self.used > FULL_BYTES and not self.hurried:
            self.hurried = True
            self.hurry()

    def take(self):
        """The lines that were gathered, as bytes, and how many were lost since the last time. None in the middle of a
        line (the collector may run other threads): there will be more in a moment."""
        with cython.critical_section(self):
            if self.busy:
                return None
            self.enlisted = False
            lost = self.lost
            data = PyBytes_FromStringAndSize(self.buffer, self.used) if self.used else b""
            self.lost = 0
            self.used = 0
            self.hurried = False
            if self.capacity > 2 * FULL_BYTES:
                self.shrink()
        return data, lost
