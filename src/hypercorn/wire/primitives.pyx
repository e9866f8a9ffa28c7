# twin of primitives.py
"""What the codecs do with octets at speed, over `csrc`. The contract stands in primitives.py."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t

cdef extern from "hpack.h":
    size_t HPACK_BAD
    size_t HPACK_ROOM(size_t n) noexcept nogil
    size_t hpack_huffman(uint8_t* to, const uint8_t* p, size_t n) noexcept nogil
    int hpack_valid_name(const uint8_t* p, size_t n) noexcept nogil
    int hpack_valid_value(const uint8_t* p, size_t n) noexcept nogil

__all__ = ("huffman", "valid_field")

cdef enum:
    _SMALL = 512  # octets that are decoded on the stack


cpdef bytes huffman(bytes data, Py_ssize_t start, Py_ssize_t end):
    cdef uint8_t small[_SMALL]
    cdef const uint8_t* p
    cdef uint8_t* large
    cdef size_t length, n
    if not 0 <= start <= end <= len(data):
        raise IndexError("no such part")
    p = <const uint8_t*>PyBytes_AS_STRING(data) + start
    n = end - start
    if HPACK_ROOM(n) <= _SMALL:
        length = hpack_huffman(small, p, n)
        return None if length == HPACK_BAD else PyBytes_FromStringAndSize(<const char*>small, length)
    large = <uint8_t*>PyMem_Malloc(HPACK_ROOM(n))
    if large == NULL:
        raise MemoryError()
    try:
        length = hpack_huffman(large, p, n)
        return None if length == HPACK_BAD else PyBytes_FromStringAndSize(<const char*>large, length)
    finally:
        PyMem_Free(large)


cpdef bint valid_field(bytes name, bytes value) except -1:
    if name is None or value is None:
        raise TypeError("valid_field() takes bytes")
    return (
        hpack_valid_name(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        and hpack_valid_value(<const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    )
