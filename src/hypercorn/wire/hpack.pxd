cimport cython
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "hpack.h":
    ctypedef struct hpack_item "struct hpack_item":
        int kind
        uint32_t index
        const uint8_t* name
        const uint8_t* value
        size_t name_length, value_length
        int name_coded, value_coded


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
    cdef list texts, literals  # the last literals that stand for themselves: their octets, their fields
    cdef Py_ssize_t next

    cpdef list decode(self, bytes block, Py_ssize_t max_size, Py_ssize_t max_count)
    cdef Field literal(self, hpack_item* item, const uint8_t* p, size_t n)
    cdef Field entry(self, size_t index)
    cdef int evict(self, Py_ssize_t room) except -1


cpdef bint valid_field(bytes name, bytes value) except -1
