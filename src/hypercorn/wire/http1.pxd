# types of http1.pyx
cimport cython
from libc.stdint cimport int64_t, uint8_t, uint64_t

from hypercorn.wire.csrc cimport h1_chunks, h1_codings
from hypercorn.wire.head cimport RequestHead


cdef class Input(RequestHead):
    # base[pos:length] lies in `data` or in `buffer`
    cdef bytes data
    cdef uint8_t* buffer
    cdef size_t capacity
    cdef const uint8_t* base
    cdef size_t pos, length
    cdef size_t scanned  # of the line at pos: bytes known to hold no control character
    cdef bint closed  # nothing more is taken

    cpdef Py_ssize_t buffered(self) noexcept
    cpdef feed(self, bytes data)
    cpdef bytes take_rest(self)
    cdef int release(self) except -1
    cdef int keep(self) except -1
    cdef Py_ssize_t line(self, Py_ssize_t limit, int long_code) noexcept


cdef class Kept:
    cdef bytes text
    cdef uint64_t key
    cdef bint used  # since it was last in the way of another

@cython.final
cdef class Shelf:
    cdef list things
    cdef uint64_t seen[64]  # the last key of each place
    cdef Kept find(self, const uint8_t* p, size_t rest, uint64_t* keys)
    cdef bint has(self, uint64_t key)
    cdef bint wants(self, uint64_t key)
    cdef put(self, Kept thing, const uint8_t* p, size_t n, uint64_t key)

@cython.final
cdef class HeadMemory:
    cdef Shelf lines
    cdef Shelf request_lines
    cdef bint recall_line(self, RequestParser parser) except -1
    cdef int note_line(self, RequestParser parser, const uint8_t* p, size_t n) except -1
    cdef bint recall(self, RequestParser parser) except -1
    cdef int note(self, RequestParser parser, size_t start) except -1


@cython.final
cdef class RequestParser(Input):
    cdef readonly bint keep_case
    cdef readonly bytes body
    cdef readonly list trailers
    cdef readonly bint keep_alive
    cdef readonly object error

    cdef Py_ssize_t max_request_line_size, max_header_size, max_header_count
    cdef int state, late, method_length, empty
    cdef Py_ssize_t section, count
    cdef int64_t left  # of a content-length body
    cdef list fields

    # what the fields of the current head said
    cdef int minor, connection, hosts, lengths, upgrades
    cdef bint expect, expect_other, https
    cdef bytes authority
    cdef h1_codings codings
    cdef h1_chunks chunks

    cdef HeadMemory memory  # or None
    cdef uint64_t keys[2]  # of the field lines that this connection sent last and before
    cdef uint64_t line_keys[2]  # ... and of its request lines

    cpdef int next_event(self) except -1

    cdef int fail(self, int code) except -1
    cdef int head(self) except -1
    cdef int skip_empty_lines(self) noexcept
    cdef int request_line(self) except -1
    cdef int section_lines(self, list into, Py_ssize_t max_count, int count_code, int size_code) except -1
    cdef int field(self, const uint8_t* p, size_t n, list into) except -1
    cdef int decide(self, int known, const uint8_t* p, size_t n, bytes value) except -1
    cdef int head_end(self) except -1
    cdef int sized_body(self) except -1
    cdef int chunked_body(self) except -1
    cdef int trailer_section(self, bytes body) except -1


@cython.final
cdef class FieldEncoder:
    cdef readonly int64_t content_length
    cdef readonly bint close, has_date, has_server
    cdef uint8_t* buffer
    cdef size_t used, capacity
    cdef list answers

    cpdef bytes encode(self, headers, bint omit_length=*)
    cdef int remember(self, Py_ssize_t slot, object headers, bytes made, bint omit_length) except -1
    cdef int pair(self, object item, Py_ssize_t index, bint omit_length) except -1
    cdef int reserve(self, size_t more) except -1


cpdef bytes encode_chunk(bytes data, bint last=*)
cpdef bytes encode_last_chunk(bytes trailers)
cpdef bytes encode_response(
    bytes status_line, bytes fields, bytes server_fields, bytes framing, bytes ending, bytes body
)
