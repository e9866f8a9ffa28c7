"""Header compression of HTTP/2 (RFC 7541), the reading half: the compiled twin. The contract stands in hpack.py."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from hypercorn.wire.http2_tables import (
    BAD_PSEUDO, COOKIE, KINDS, MAX_RESIZES, OVERHEAD, REGULAR, STATIC,
)

cdef extern from "hpack.h":
    enum:
        HPACK_INDEXED, HPACK_LITERAL, HPACK_INDEXING, HPACK_RESIZE
    size_t HPACK_BAD
    size_t HPACK_ROOM(size_t n) noexcept nogil
    size_t hpack_huffman(uint8_t* to, const uint8_t* p, size_t n) noexcept nogil
    size_t hpack_next(const uint8_t* p, size_t n, hpack_item* item) noexcept nogil
    int hpack_valid_name(const uint8_t* p, size_t n) noexcept nogil
    int hpack_valid_value(const uint8_t* p, size_t n) noexcept nogil

__all__ = ("Field", "HeaderDecoder", "valid_field")

cdef enum:
    _SMALL = 512  # octets that are decoded on the stack
    _LITERALS = 2  # that a decoder remembers
    _LONGEST_LITERAL = 256  # octets of one

cdef dict _KINDS = KINDS
cdef int _BAD_PSEUDO = BAD_PSEUDO, _COOKIE = COOKIE, _REGULAR = REGULAR
cdef Py_ssize_t _OVERHEAD = OVERHEAD
cdef int _MAX_RESIZES = MAX_RESIZES


@cython.final
@cython.freelist(32)
cdef class Field:
    """A header field; see hpack.py."""

    def __init__(self, bytes name not None, bytes value not None):
        _fill(self, name, value)


cdef int _fill(Field field, bytes name, bytes value) except -1:
    kind = _KINDS.get(name)
    field.pair = (name, value)
    if kind is not None:
        field.kind = kind
    else:
        field.kind = _BAD_PSEUDO if name[:1] == b":" else _REGULAR
    field.flawed = not valid_field(name, value)
    field.size = PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + _OVERHEAD
    return 0


cpdef bint valid_field(bytes name, bytes value) except -1:
    return (
        hpack_valid_name(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        and hpack_valid_value(<const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    )


cdef list _STATIC = [Field(_name, _value) for _name, _value in STATIC]
cdef size_t _STATICS = len(_STATIC)


cdef bytes _string(const uint8_t* p, size_t n, bint coded):
    """A string literal, or None where its code is wrong."""
    cdef uint8_t small[_SMALL]
    cdef uint8_t* large
    cdef size_t length
    if not coded:
        return PyBytes_FromStringAndSize(<const char*>p, n)
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


@cython.final
cdef class HeaderDecoder:
    """Decodes the header blocks of one connection; see hpack.py."""

    def __init__(self, Py_ssize_t max_table_size=4096):
        self.max_table_size = max_table_size
        self.limit = max_table_size
        self.table = []

    cpdef list decode(self, bytes block, Py_ssize_t max_size, Py_ssize_t max_count):
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(block)
        cdef size_t n = PyBytes_GET_SIZE(block)
        cdef size_t used
        cdef hpack_item item
        cdef list fields = []
        cdef Field field
        cdef Py_ssize_t size = 0, count = 0
        cdef int resizes = 0
        cdef bint cookies = False
        self.oversize = False
        while n:
            used = hpack_next(p, n, &item)
            if used == 0:
                return None
            p += used
            n -= used
            if item.kind == HPACK_INDEXED:
                field = self.entry(item.index)
                if field is None:
                    return None
            elif item.kind == HPACK_RESIZE:
                resizes += 1
                if (
                    PyList_GET_SIZE(fields) or self.oversize or resizes > _MAX_RESIZES
                    or <Py_ssize_t>item.index > self.max_table_size
                ):
                    return None
                self.limit = item.index
                self.evict(self.limit)
                continue
            else:
                if self.oversize and item.kind == HPACK_LITERAL:
                    if item.index and self.entry(item.index) is None:
                        return None
                    continue
                field = self.literal(&item, p - used, used)
                if field is None:
                    return None
            if self.oversize:
                continue
            size += field.size
            if field.kind > _BAD_PSEUDO or field.kind == _REGULAR:
                if field.kind != _COOKIE:
                    count += 1
                elif not cookies:
                    cookies = True
                    count += 1
            if size > max_size or count > max_count:
                self.oversize = True
            else:
                fields.append(field)
        return fields

    cdef Field literal(self, hpack_item* item, const uint8_t* p, size_t n):
        """The field of a literal, which takes the n octets at p, or None where it is malformed."""
        cdef Field field
        cdef bytes name, value
        cdef Py_ssize_t i
        # Without a reference to the dynamic table the same octets are the same field: some clients never have :path in it.
        cdef bint alone = item.kind == HPACK_LITERAL and item.index <= _STATICS and n <= _LONGEST_LITERAL
        cdef bytes text
        if alone and self.texts is not None:
            for i in range(_LITERALS):
                text = <bytes>PyList_GET_ITEM(self.texts, i)
                if <size_t>PyBytes_GET_SIZE(text) == n and memcmp(PyBytes_AS_STRING(text), p, n) == 0:
                    return <Field>PyList_GET_ITEM(self.literals, i)
        if item.index:
            field = self.entry(item.index)
            if field is None:
                return None
            name = <bytes>field.pair[0]
        else:
            name = _string(item.name, item.name_length, item.name_coded)
            if name is None:
                return None
        value = _string(item.value, item.value_length, item.value_coded)
        if value is None:
            return None
        field = Field.__new__(Field)
        _fill(field, name, value)
        if item.kind == HPACK_INDEXING:
            self.evict(self.limit - field.size)
            if field.size <= self.limit:
                self.table.append(field)
                self.used += field.size
        elif alone:
            if self.texts is None:
                self.texts = [b""] * _LITERALS
                self.literals = [None] * _LITERALS
            self.next = (self.next + 1) % _LITERALS
            self.texts[self.next] = PyBytes_FromStringAndSize(<const char*>p, n)
            self.literals[self.next] = field
        return field

    cdef Field entry(self, size_t index):
        cdef size_t length
        if index == 0:
            return None
        if index <= _STATICS:
            return <Field>PyList_GET_ITEM(_STATIC, index - 1)
        length = PyList_GET_SIZE(self.table)
        index -= _STATICS
        if index > length - self.first:
            return None
        return <Field>PyList_GET_ITEM(self.table, length - index)

    cdef int evict(self, Py_ssize_t room) except -1:
        """Drops the oldest entries until what is left has at most `room` octets."""
        cdef Py_ssize_t length = PyList_GET_SIZE(self.table)
        while self.used > room and self.first < length:
            self.used -= (<Field>PyList_GET_ITEM(self.table, self.first)).size
            self.table[self.first] = None
            self.first += 1
        if self.first > 32 and self.first * 2 > length:
            del self.table[: self.first]
            self.first = 0
        return 0
