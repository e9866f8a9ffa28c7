# types of octets.pyx
cimport cython
from libc.stdint cimport uint8_t

@cython.final
cdef class Octets:
    cdef uint8_t* base
    cdef Py_ssize_t size, capacity
    cdef int reserve(self, Py_ssize_t more) except -1
    cpdef octet(self, int value)
    cpdef add(self, bytes data)
    cpdef frame(self, Py_ssize_t length, int kind, int flags, unsigned int stream_id)
    cpdef put_length(self, Py_ssize_t start, Py_ssize_t length)
    cpdef bytes cut(self, Py_ssize_t start)
    cpdef bytes take(self)
