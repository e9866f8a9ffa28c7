# types of pending.py
cimport cython

from hypercorn.wire.head cimport HeadLines
from hypercorn.wire.http1_primitives cimport part


cdef class Input(HeadLines):
    # _data[_pos:_end] was not looked at; _end is the length of _data
    cdef object _data
    cdef Py_ssize_t _pos, _end
    cdef bint _closed

    cpdef Py_ssize_t buffered(self)
    cpdef feed(self, bytes data)
    cpdef bytes take_rest(self)
    cdef _release(self)
    cdef _keep(self)
    @cython.locals(start=Py_ssize_t)
    cdef bytes _take(self, Py_ssize_t count)
