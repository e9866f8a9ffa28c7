# part of http1.pyx
# The part of http1.pyx that holds pending input.

cdef class Input:
    """Bytes that were fed and not yet taken: the very object that came, or a buffer where pieces had to be joined."""

    def __cinit__(self):
        self.buffer = NULL
        self.base = NULL

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    cpdef Py_ssize_t buffered(self) noexcept:
        return self.length - self.pos

    cpdef feed(self, bytes data):
        cdef size_t more, rest = self.length - self.pos
        cdef uint8_t* bigger
        if data is None:
            raise TypeError("feed() takes bytes")
        more = <size_t>PyBytes_GET_SIZE(data)
        if more == 0 or self.closed:
            return
        if rest == 0:
            self.release()
            self.data = data
            self.base = <const uint8_t*>PyBytes_AS_STRING(data)
            self.length = more
            return
        if self.buffer == NULL or self.length + more > self.capacity:
            if self.buffer != NULL and rest + more <= self.capacity // 2:
                memmove(self.buffer, self.base + self.pos, rest)
            else:
                self.capacity = 2 * (rest + more) + 128
                bigger = <uint8_t*>PyMem_Malloc(self.capacity)
                if bigger == NULL:
                    raise MemoryError()
                memcpy(bigger, self.base + self.pos, rest)
                PyMem_Free(self.buffer)
                self.buffer = bigger
                self.base = bigger
                self.data = None
            self.pos = 0
            self.length = rest
        memcpy(self.buffer + self.length, PyBytes_AS_STRING(data), more)
        self.length += more

    cpdef bytes take_rest(self):
        cdef bytes rest
        if self.data is not None and self.pos == 0:
            rest = self.data
        else:
            rest = _slice(self.base + self.pos, self.length - self.pos)
        self.release()
        return rest

    cdef int release(self) except -1:
        """Nothing is pending any more: an idle parser holds no buffer."""
        self.data = None
        PyMem_Free(self.buffer)
        self.buffer = NULL
        self.base = NULL
        self.capacity = self.pos = self.length = self.scanned = 0
        return 0

    cdef int keep(self) except -1:
        """A small rest moves out, so that it does not hold a large read alive."""
        cdef size_t rest = self.length - self.pos
        cdef size_t capacity = 2 * rest + 128
        self.buffer = <uint8_t*>PyMem_Malloc(capacity)
        if self.buffer == NULL:
            raise MemoryError()
        memcpy(self.buffer, self.base + self.pos, rest)
        self.base = self.buffer
        self.data = None
        self.capacity = capacity
        self.pos = 0
        self.length = rest
        return 0

    cdef Py_ssize_t line(self, Py_ssize_t limit, int long_code) noexcept:
        """Length of the line at pos without CRLF; -1 while it is incomplete, -1 - error where it is none."""
        cdef const uint8_t* p = self.base + self.pos
        cdef size_t rest = self.length - self.pos
        cdef size_t top = min(rest, <size_t>max(limit, 1))
        cdef size_t n = self.scanned + h1_find_control(p + self.scanned, top - self.scanned)
        if n and <Py_ssize_t>n > limit - 2:
            return -1 - long_code
        if n == rest or (p[n] == c"\r" and n + 1 == rest):
            self.scanned = n
            return -1
        if p[n] != c"\r" or p[n + 1] != c"\n":
            return -1 - H1_E_LINE
        self.scanned = 0
        return <Py_ssize_t>n
