# types of http1_primitives.pyx
cimport cython
from libc.stdint cimport int64_t

from hypercorn.wire.csrc cimport h1_chunks
from hypercorn.wire.head cimport HeadLines
from hypercorn.wire.octets cimport Octets


@cython.final
cdef class Chunks:
    cdef readonly Py_ssize_t end
    cdef readonly int error
    cdef readonly bint last
    cdef h1_chunks state
    cpdef bytes read(self, data, Py_ssize_t start)

cpdef bytes part(data, Py_ssize_t start, Py_ssize_t end)
cpdef bint stands_at(data, Py_ssize_t start, bytes text) except -1
cpdef Py_ssize_t key_of(data, Py_ssize_t start, Py_ssize_t end) except? -1
cpdef Py_ssize_t empty_lines(data, Py_ssize_t start, Py_ssize_t limit) except? -1
cpdef Py_ssize_t request_line(data, Py_ssize_t start, Py_ssize_t limit, HeadLines head) except? -1
cpdef int field_lines(
    data, Py_ssize_t start, Py_ssize_t max_size, Py_ssize_t max_count, bint keep_case, bint each, HeadLines head
) except? -1
cpdef bint is_token(bytes value) except -1
cpdef bint valid_authority(bytes value) except -1
cpdef bint same_authority(bytes one, bytes other, bint https) except -1
cpdef int connection_options(bytes value) except -1
cpdef int64_t content_length(bytes value) except? -1
cpdef int64_t decimal(bytes value) except? -1
cpdef int judge_codings(list values) except -1
cpdef int field_kind(bytes name, bytes value) except? -1
cpdef write_field(Octets out, bytes name, bytes value)
cpdef bytes encode_chunk(bytes data, bint last=*)
cpdef bytes encode_response(
    bytes status_line, bytes fields, bytes server_fields, bytes framing, bytes ending, bytes body
)
