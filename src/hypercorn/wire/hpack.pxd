# types of hpack.py
cimport cython

from hypercorn.objects cimport part_of
from hypercorn.wire.primitives cimport huffman, valid_field

cdef dict KINDS
cdef tuple _STATIC
cdef int BAD_PSEUDO, COOKIE, REGULAR
cdef Py_ssize_t MAX_RESIZES, OVERHEAD_BYTES, _INTEGER_BYTES, _LONGEST_LITERAL_BYTES, _STATICS


@cython.final
@cython.freelist(32)
cdef class Field:
    cdef readonly tuple pair
    cdef readonly int kind
    cdef readonly bint flawed
    cdef readonly Py_ssize_t size
    cdef public object memo
    @cython.locals(kind=object)
    cdef _fill(self, bytes name, bytes value)


@cython.final
cdef class HeaderDecoder:
    cdef readonly Py_ssize_t max_table_size
    cdef readonly bint oversize
    cdef Py_ssize_t _limit, _size, _first, _at
    cdef list _table
    cdef bytes _text, _text_before
    cdef Field _literal, _literal_before
    cpdef list decode(self, bytes block, Py_ssize_t max_size, Py_ssize_t max_count)
    @cython.locals(fields=list, field=Field, size=Py_ssize_t, count=Py_ssize_t, resizes=Py_ssize_t, cookies=bint)
    @cython.locals(first=int, end=Py_ssize_t)
    cdef list _decode(self, bytes block, Py_ssize_t max_size, Py_ssize_t max_count)
    @cython.locals(limit=Py_ssize_t)
    cdef _resize(self, bytes block)
    @cython.locals(indexing=bint, start=Py_ssize_t, index=Py_ssize_t, literals_at=Py_ssize_t)
    @cython.locals(name=bytes, text=bytes, named=Field, field=Field)
    cdef Field _take_literal(self, bytes block, int first)
    @cython.locals(field=Field)
    cdef Field _make(self, bytes name, bytes value)
    cdef Field _remembered(self, bytes text)
    cdef _insert(self, Field field)
    @cython.locals(length=Py_ssize_t)
    cdef Field _entry(self, Py_ssize_t index)
    @cython.locals(length=Py_ssize_t, gone=Field)
    cdef _evict(self, Py_ssize_t room)
    @cython.locals(at=Py_ssize_t, top=Py_ssize_t, value=Py_ssize_t, i=Py_ssize_t, octet=Py_ssize_t)
    cdef Py_ssize_t _integer(self, bytes block, int prefix) except -1
    @cython.locals(length=Py_ssize_t)
    cdef _skip_string(self, bytes block)
    @cython.locals(coded=bint, length=Py_ssize_t, start=Py_ssize_t, plain=bytes)
    cdef bytes _string(self, bytes block)
