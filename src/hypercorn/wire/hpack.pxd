cimport cython
from libc.stdint cimport uint8_t


@cython.final
cdef class Field:
    cdef readonly tuple pair
    cdef readonly int kind
    cdef readonly bint flawed
    cdef readonly Py_ssize_t size
    cdef public object memo


@cython.final
cdef class HeaderDecoder:
    cdef readonly Py_ssize_t max_table_size
    cdef readonly bint oversize
    cdef Py_ssize_t limit, used, first
    cdef list table  # oldest first, from `first` on

    cpdef list decode(self, bytes block, Py_ssize_t max_size, Py_ssize_t max_count)
    cdef Field entry(self, size_t index)
    cdef int evict(self, Py_ssize_t room) except -1


cpdef bint valid_field(bytes name, bytes value) except -1
