# types of http1_memory.py
cimport cython

from hypercorn.wire.head cimport HeadLines
from hypercorn.wire.http1_primitives cimport key_of, part, stands_at

cdef Py_ssize_t _PLACES, _LINE_BYTES, _SECTION_BYTES
cdef int _NO, _HAS, _FREE


@cython.final
cdef class Kept(HeadLines):
    cdef bytes text
    cdef Py_ssize_t key
    cdef bint keep_case, used


@cython.final
cdef class Shelf:
    cdef list kept
    cdef bytearray _seen
    @cython.locals(found=Kept)
    cdef Kept find(self, data, Py_ssize_t start, Py_ssize_t key)
    @cython.locals(place=Py_ssize_t, there=Kept)
    cdef int admit(self, Py_ssize_t key) except -1


@cython.final
cdef class HeadMemory:
    cdef Shelf lines, sections
    @cython.locals(key=Py_ssize_t, admitted=int, kept=Kept)
    cdef Py_ssize_t keep_line(self, data, Py_ssize_t start, Py_ssize_t end, HeadLines head) except? -1
    @cython.locals(key=Py_ssize_t, admitted=int, kept=Kept)
    cdef Py_ssize_t keep_section(
        self, data, Py_ssize_t start, Py_ssize_t end, bint keep_case, HeadLines head
    ) except? -1
