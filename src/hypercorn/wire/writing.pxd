# types of writing.py
cimport cython

from hypercorn.wire.http1_primitives cimport connection_options, decimal, field_kind, write_field
from hypercorn.wire.octets cimport Octets

cdef int K_CODING, K_CONNECTION, K_DATE, K_LENGTH, K_SERVER, OPTION_CLOSE, W_PSEUDO, W_NAME
cdef Py_ssize_t _ANSWERS, _ANSWER_FIELDS, _ANSWER_BYTES


@cython.final
cdef class Answer:
    cdef object headers
    cdef bytes made
    cdef bint omit_length, close, has_date, has_server, used
    cdef long long content_length


@cython.final
cdef class FieldEncoder:
    cdef readonly long long content_length
    cdef readonly bint close, has_date, has_server
    cdef list _answers

    @cython.locals(slot=Py_ssize_t, index=Py_ssize_t, answer=Answer, out=Octets, made=bytes)
    cpdef bytes encode(self, headers, bint omit_length=*)
    @cython.locals(kind=int, length="long long")
    cdef _add(self, Octets out, bytes name, bytes value, Py_ssize_t index, bint omit_length)
    @cython.locals(answer=Answer, size=Py_ssize_t)
    cdef _remember(self, Py_ssize_t slot, headers, bytes made, bint omit_length)


@cython.locals(fields=list, pair=tuple, value=bytes, count=Py_ssize_t)
cdef Py_ssize_t _slot_of(object headers) except -2
cpdef tuple plain_field(item, Py_ssize_t index)
cdef bytes _plain(part, what, Py_ssize_t index)
@cython.locals(kind=int, name=bytes, value=bytes, trimmed_name=bytes, trimmed_value=bytes)
cpdef tuple checked_field(tuple pair, Py_ssize_t index)
cdef bytes _trimmed(bytes text)
cpdef bytes encode_last_chunk(bytes trailers)
