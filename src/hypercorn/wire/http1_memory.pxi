# part of http1.pyx
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


cdef class Kept:
    """Octets that came twice."""


@cython.final
cdef class Lines(Kept):
    """A section of field lines, the empty one included, and what it said."""

    cdef bytes host
    cdef list headers
    cdef int connection, hosts, lengths
    cdef int64_t content_length
    cdef Py_ssize_t count
    cdef bint keep_case


@cython.final
cdef class RequestLine(Kept):
    """A request line with its CRLF, and what it said."""

    cdef bytes raw_target, raw_path, query_string, authority
    cdef str method, path
    cdef int minor
    cdef bint https


@cython.final
cdef class Shelf:
    """Things of one kind by the keys of their octets."""

    def __cinit__(self):
        self.things = [None] * _SLOTS
        memset(self.seen, 0, sizeof(self.seen))

    cdef Kept find(self, const uint8_t* p, size_t rest, uint64_t* keys):
        """The one of the two at `keys` whose octets begin the `rest` at `p`, or None."""
        cdef Kept found
        cdef size_t n
        cdef int i
        for i in range(2):
            if keys[i] == 0:
                return None
            found = <Kept>PyList_GET_ITEM(self.things, _slot(keys[i]))
            if found is None or found.key != keys[i]:
                continue
            n = <size_t>PyBytes_GET_SIZE(found.text)
            if n > rest or memcmp(p, PyBytes_AS_STRING(found.text), n):
                continue
            if i:
                bring_forward(keys, found.key)
            found.used = True
            return found
        return None

    cdef bint has(self, uint64_t key):
        cdef Kept there = <Kept>PyList_GET_ITEM(self.things, _slot(key))
        return there is not None and there.key == key

    cdef bint wants(self, uint64_t key):
        """True where octets have come before, and nothing that is used more stands where they would."""
        cdef Py_ssize_t slot = _slot(key)
        cdef Kept there
        if self.seen[slot] != key:
            self.seen[slot] = key
            return False
        there = <Kept>PyList_GET_ITEM(self.things, slot)
        if there is not None and there.used:
            there.used = False
            return False
        return True

    cdef put(self, Kept thing, const uint8_t* p, size_t n, uint64_t key):
        thing.text = _slice(p, n)
        thing.key = key
        self.things[_slot(key)] = thing


cdef inline void bring_forward(uint64_t* keys, uint64_t key) noexcept:
    """Makes a key the first of the two that a connection used last."""
    if keys[0] != key:
        keys[1] = keys[0]
        keys[0] = key


@cython.final
cdef class HeadMemory:
    """The field lines that the connections of one worker send again; see http1.py."""

    def __cinit__(self):
        self.lines = Shelf()
        self.request_lines = Shelf()

    def __len__(self):
        return sum(1 for one in self.lines.things if one is not None)

    cdef bint recall_line(self, RequestParser parser) except -1:
        """Takes the request line at the parser's position, where its connection sent it before. False where not."""
        cdef RequestLine found = <RequestLine>self.request_lines.find(
            parser.base + parser.pos, parser.length - parser.pos, parser.line_keys
        )
        if found is None or PyBytes_GET_SIZE(found.text) > parser.max_request_line_size:
            return False
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
        parser.pos += <size_t>PyBytes_GET_SIZE(found.text)
        return True

    cdef int note_line(self, RequestParser parser, const uint8_t* p, size_t n) except -1:
        """A request line was read and is in order: keeps it when it comes for the second time."""
        cdef uint64_t key
        cdef RequestLine line
        if n > _LONGEST_LINE:
            return 0
        key = h1_hash(p, n)
        if not self.request_lines.has(key):
            if not self.request_lines.wants(key):
                return 0
            line = RequestLine.__new__(RequestLine)
            line.method = parser.method
            line.raw_target = parser.raw_target
            line.raw_path = parser.raw_path
            line.query_string = parser.query_string
            line.path = parser.path
            line.authority = parser.authority
            line.minor = parser.minor
            line.https = parser.https
            self.request_lines.put(line, p, n, key)
        bring_forward(parser.line_keys, key)
        return 0

    cdef bint recall(self, RequestParser parser) except -1:
        """Takes the lines at the parser's position, where its connection sent them before. False where not."""
        cdef Lines found = <Lines>self.lines.find(parser.base + parser.pos, parser.length - parser.pos, parser.keys)
        if (
            found is None
            or PyBytes_GET_SIZE(found.text) - 2 > parser.max_header_size
            or found.count > parser.max_header_count
            or found.keep_case != parser.keep_case
        ):
            return False
        parser.fields = PyList_GetSlice(found.headers, 0, found.count)  # a list of its own for each request
        parser.host = found.host
        parser.hosts = found.hosts
        parser.connection = found.connection
        parser.lengths = found.lengths
        parser.content_length = found.content_length
        parser.pos += <size_t>PyBytes_GET_SIZE(found.text)
        return True

    cdef int note(self, RequestParser parser, size_t start) except -1:
        """The lines from `start` on were read and are in order: keeps them when they come for the second time."""
        cdef const uint8_t* p = parser.base + start
        cdef size_t n = parser.pos - start
        cdef uint64_t key
        cdef Lines lines
        if n > _LONGEST or parser.codings.lines or parser.upgrades or parser.expect or parser.expect_other:
            return 0
        key = h1_hash(p, n)
        if not self.lines.has(key):
            if not self.lines.wants(key):
                return 0
            lines = Lines.__new__(Lines)
            lines.headers = list(parser.fields)
            lines.host = parser.host
            lines.hosts = parser.hosts
            lines.connection = parser.connection
            lines.lengths = parser.lengths
            lines.content_length = parser.content_length
            lines.count = parser.count
            lines.keep_case = parser.keep_case
            self.lines.put(lines, p, n, key)
        bring_forward(parser.keys, key)
        return 0
