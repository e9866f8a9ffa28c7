# The part of http1.pyx that remembers field lines: a client on a kept connection sends the same ones again and again.
#
# Only what was read whole and found in order is kept, with what it said, and it is taken again only for the very same
# bytes. A connection's bytes are compared with lines that it sent itself, never with another's: so no client learns
# from the time of an answer what others send.

cdef enum:
    _SLOTS = 64  # sections of field lines that a memory holds
    _LONGEST = 2048  # bytes of one


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
cdef class HeadMemory:
    """The field lines that the connections of one worker send again; see http1.py."""

    def __cinit__(self):
        self.lines = [None] * _SLOTS
        memset(self.seen, 0, sizeof(self.seen))

    def __len__(self):
        return sum(1 for one in self.lines if one is not None)

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
