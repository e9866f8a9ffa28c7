# twin of octets.py
"""The compiled twin of `octets.py`: memory that is there only while something is in it."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

__all__ = ("Octets",)

cdef enum:
    LEAST = 512  # octets that are asked for at first


@cython.final
cdef class Octets:
    """A buffer that grows, and is emptied by `take`."""

    def __dealloc__(self):
        PyMem_Free(self.base)

    def __len__(self):
        return self.size

    def __bytes__(self):
        return PyBytes_FromStringAndSize(<char*>self.base, self.size)

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Makes room for `more` octets."""
        cdef Py_ssize_t wanted
        cdef void* bigger
        if more > self.capacity - self.size:
            if more > PY_SSIZE_T_MAX // 2 - self.size:
                raise MemoryError
            wanted = max(LEAST, 2 * self.capacity, self.size + more)
            bigger = PyMem_Realloc(self.base, wanted)
            if bigger is NULL:
                raise MemoryError
            self.base = <uint8_t*>bigger
            self.capacity = wanted
        return 0

    cpdef octet(self, int value):
        self.reserve(1)
        self.base[self.size] = <uint8_t>value
        self.size += 1

    cpdef add(self, bytes data):
        cdef Py_ssize_t n
        if data is None:
            raise TypeError("add() takes bytes")
        n = PyBytes_GET_SIZE(data)
        if n:  # without, there may be no memory to copy to
            self.reserve(n)
            memcpy(self.base + self.size, PyBytes_AS_STRING(data), n)
            self.size += n

    cpdef frame(self, Py_ssize_t length, int kind, int flags, unsigned int stream_id):
        """Appends the head of an HTTP/2 frame (RFC 9113 section 4.1)."""
        cdef uint8_t* p
        self.reserve(9)
        p = self.base + self.size
        p[3] = <uint8_t>kind
        p[4] = <uint8_t>flags
        p[5] = stream_id >> 24 & 127
        p[6] = stream_id >> 16 & 255
        p[7] = stream_id >> 8 & 255
        p[8] = stream_id & 255
        self.size += 9
        self.put_length(self.size - 9, length)

    cpdef put_length(self, Py_ssize_t start, Py_ssize_t length):
        """Sets the length in the head of the frame that begins at `start`."""
        cdef uint8_t* p
        if start < 0 or start > self.size - 3:
            raise IndexError("no frame begins there")
        p = self.base + start
        p[0] = length >> 16 & 255
        p[1] = length >> 8 & 255
        p[2] = length & 255

    cpdef bytes cut(self, Py_ssize_t start):
        """Takes what stands from `start` on."""
        cdef bytes data
        if start < 0 or start > self.size:
            raise IndexError("nothing stands there")
        if start == self.size:
            return b""
        data = PyBytes_FromStringAndSize(<char*>self.base + start, self.size - start)
        self.size = start
        return data

    cpdef bytes take(self):
        """Takes all."""
        cdef bytes data = PyBytes_FromStringAndSize(<char*>self.base, self.size)
        PyMem_Free(self.base)
        self.base = NULL
        self.size = self.capacity = 0
        return data
