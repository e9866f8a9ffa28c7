# twin of primitives.py
"""What the codecs do with octets at speed, over `csrc`. The contract stands in primitives.py."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "hpack.h":
    size_t HPACK_BAD
    size_t HPACK_ROOM(size_t n) noexcept nogil
    size_t hpack_huffman(uint8_t* to, const uint8_t* p, size_t n) noexcept nogil
    int hpack_valid_name(const uint8_t* p, size_t n) noexcept nogil
    int hpack_valid_value(const uint8_t* p, size_t n) noexcept nogil

cdef extern from "websocket.h":
    void ws_mask(uint8_t* to, const uint8_t* p, size_t n, const uint8_t* mask, uint64_t offset) noexcept nogil
    int ws_write_header(uint8_t* to, uint8_t first, uint64_t length) noexcept nogil

__all__ = ("frame", "huffman", "unmask", "unmask_text", "valid_field")

cdef enum:
    _SMALL = 2048  # octets that are decoded on the stack


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


cdef void unmask_to(uint8_t* to, const uint8_t* p, size_t n, unsigned int mask, unsigned long long offset) noexcept:
    cdef uint8_t octets[4]
    octets[0] = mask & 255
    octets[1] = mask >> 8 & 255
    octets[2] = mask >> 16 & 255
    octets[3] = mask >> 24 & 255
    ws_mask(to, p, n, octets, offset)


cpdef bytes unmask(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int mask, unsigned long long offset):
    cdef bytes plain
    if not 0 <= start <= end <= len(data):
        raise IndexError("no such part")
    plain = PyBytes_FromStringAndSize(NULL, end - start)
    unmask_to(
        <uint8_t*>PyBytes_AS_STRING(plain), <const uint8_t*>PyBytes_AS_STRING(data) + start, end - start, mask, offset
    )
    return plain


cpdef str unmask_text(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int mask, unsigned long long offset):
    cdef uint8_t small[_SMALL]
    cdef bytes plain
    if end - start > _SMALL:
        plain = unmask(data, start, end, mask, offset)
        return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain), NULL)
    if not 0 <= start <= end <= len(data):
        raise IndexError("no such part")
    unmask_to(small, <const uint8_t*>PyBytes_AS_STRING(data) + start, end - start, mask, offset)
    return PyUnicode_DecodeUTF8(<const char*>small, end - start, NULL)


cpdef bytes frame(int first, payload):
    cdef uint8_t head[10]
    cdef const char* p
    cdef Py_ssize_t size
    cdef int used
    cdef bytes made
    if isinstance(payload, str):
        p = PyUnicode_AsUTF8AndSize(payload, &size)
    else:
        p = PyBytes_AS_STRING(<bytes?>payload)
        size = PyBytes_GET_SIZE(payload)
    used = ws_write_header(head, <uint8_t>first, size)
    made = PyBytes_FromStringAndSize(NULL, used + size)
    memcpy(PyBytes_AS_STRING(made), head, used)
    memcpy(PyBytes_AS_STRING(made) + used, p, size)
    return made
