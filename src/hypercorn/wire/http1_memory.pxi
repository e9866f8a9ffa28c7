# The part of http1.pyx that remembers request lines and field lines: a client on a kept connection sends the same ones
# again and again.
#
# Only what was read whole and found in order is kept, with what it said, and it is taken again only for the very same
# bytes. A connection's bytes are compared with lines that it sent itself, never with another's: so no client learns
# from the time of an answer what others send.

cdef enum:
    _SLOTS = 64  # sections of field lines that a memory holds
    _LONGEST = 2048  # bytes of one
    _LONGEST_LINE = 512  # bytes of a request line


cdef inline Py_ssize_t _slot(uint64_t key) noexcept:
    return <Py_ssize_t>((key >> 32) % _SLOTS)  # the lowest bit is always set


@cython.final
cdef class Lines:
    """A section of field lines, the empty one included, and what it said."""

    cdef bytes text, host
    cdef uint64_t key
    cdef list headers
    cdef int connection, hosts, lengths
    cdef int64_t content_length
    cdef Py_ssize_t count
    cdef bint keep_case
    cdef bint used  # since it was last in the way of another


@cython.final
cdef class RequestLine:
    """A request line with its CRLF, and what it said."""

    cdef bytes text, raw_target, raw_path, query_string, authority
    cdef str method, path
    cdef uint64_t key
    cdef int minor
    cdef bint https
    cdef bint used  # since it was last in the way of another


@cython.final
cdef class HeadMemory:
    """The field lines that the connections of one worker send again; see http1.py."""

    def __cinit__(self):
        self.lines = [None] * _SLOTS
        self.request_lines = [None] * _SLOTS
        memset(self.seen, 0, sizeof(self.seen))
        memset(self.seen_lines, 0, sizeof(self.seen_lines))

    def __len__(self):
        return sum(1 for one in self.lines if one is not None)

    cdef bint recall_line(self, RequestParser parser) except -1:
        """Takes the request line at the parser's position, where its connection sent it before. False where not."""
        cdef size_t n, rest = parser.length - parser.pos
        cdef RequestLine found
        cdef int i
        for i in range(2):
            if parser.line_keys[i] == 0:
                return False
            found = <RequestLine>PyList_GET_ITEM(self.request_lines, _slot(parser.line_keys[i]))
            if found is None or found.key != parser.line_keys[i]:
                continue
            n = <size_t>PyBytes_GET_SIZE(found.text)
            if n > rest or memcmp(parser.base + parser.pos, PyBytes_AS_STRING(found.text), n):
                continue
            if <Py_ssize_t>n > parser.max_request_line_size:
                return False
            if i:
                parser.line_keys[1] = parser.line_keys[0]
                parser.line_keys[0] = found.key
            found.used = True
            parser.known_target = True
            parser.method = found.method
            parser.raw_target = found.raw_target
            parser.raw_path = found.raw_path
            parser.query_string = found.query_string
            parser.path = found.path
            parser.authority = found.authority
            parser.minor = found.minor
            parser.http_version = _V11 if found.minor else _V10
            parser.https = found.https
            parser.pos += n
            return True
        return False

    cdef int note_line(self, RequestParser parser, const uint8_t* p, size_t n) except -1:
        """A request line was read and is in order: keeps it when it comes for the second time."""
        cdef uint64_t key
        cdef Py_ssize_t slot
        cdef RequestLine line
        if n > _LONGEST_LINE:
            return 0
        key = h1_hash(p, n)
        slot = _slot(key)
        line = <RequestLine>PyList_GET_ITEM(self.request_lines, slot)
        if line is None or line.key != key:
            if self.seen_lines[slot] != key:
                self.seen_lines[slot] = key
                return 0
            if line is not None and line.used:
                line.used = False
                return 0
            line = RequestLine.__new__(RequestLine)
            line.text = _slice(p, n)
            line.key = key
            line.method = parser.method
            line.raw_target = parser.raw_target
            line.raw_path = parser.raw_path
            line.query_string = parser.query_string
            line.path = parser.path
            line.authority = parser.authority
            line.minor = parser.minor
            line.https = parser.https
            self.request_lines[slot] = line
        if parser.line_keys[0] != key:
            parser.line_keys[1] = parser.line_keys[0]
            parser.line_keys[0] = key
        return 0

    cdef bint recall(self, RequestParser parser) except -1:
        """Takes the lines at the parser's position, where its connection sent them before. False where not."""
        cdef size_t n, rest = parser.length - parser.pos
        cdef Lines found
        cdef int i
        for i in range(2):
            if parser.keys[i] == 0:
                return False
            found = <Lines>PyList_GET_ITEM(self.lines, _slot(parser.keys[i]))
            if found is None or found.key != parser.keys[i]:
                continue
            n = <size_t>PyBytes_GET_SIZE(found.text)
            if n > rest or memcmp(parser.base + parser.pos, PyBytes_AS_STRING(found.text), n):
                continue
            if (
                <Py_ssize_t>n - 2 > parser.max_header_size
                or found.count > parser.max_header_count
                or found.keep_case != parser.keep_case
            ):
                return False
            if i:
                parser.keys[1] = parser.keys[0]
                parser.keys[0] = found.key
            found.used = True
            parser.fields = PyList_GetSlice(found.headers, 0, found.count)  # a list of its own for each request
            parser.host = found.host
            parser.hosts = found.hosts
            parser.connection = found.connection
            parser.lengths = found.lengths
            parser.content_length = found.content_length
            parser.pos += n
            return True
        return False

    cdef int note(self, RequestParser parser, size_t start) except -1:
        """The lines from `start` on were read and are in order: keeps them when they come for the second time."""
        cdef size_t n = parser.pos - start
        cdef uint64_t key
        cdef Py_ssize_t slot
        cdef Lines lines
        if n > _LONGEST or parser.codings.lines or parser.upgrades or parser.expect or parser.expect_other:
            return 0
        key = h1_hash(parser.base + start, n)
        slot = _slot(key)
        lines = <Lines>PyList_GET_ITEM(self.lines, slot)
        if lines is None or lines.key != key:
            if self.seen[slot] != key:
                self.seen[slot] = key
                return 0
            if lines is not None and lines.used:
                lines.used = False
                return 0
            lines = Lines.__new__(Lines)
            lines.text = _slice(parser.base + start, n)
            lines.key = key
            lines.headers = list(parser.fields)
            lines.host = parser.host
            lines.hosts = parser.hosts
            lines.connection = parser.connection
            lines.lengths = parser.lengths
            lines.content_length = parser.content_length
            lines.count = parser.count
            lines.keep_case = parser.keep_case
            self.lines[slot] = lines
        if parser.keys[0] != key:
            parser.keys[1] = parser.keys[0]
            parser.keys[0] = key
        return 0
