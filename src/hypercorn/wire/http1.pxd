# types of http1.py
cimport cython

from libc.stdint cimport int64_t

from hypercorn.wire.http1_memory cimport HeadMemory, Kept
from hypercorn.wire.http1_primitives cimport (
    Chunks, connection_options, content_length, empty_lines, field_lines, is_token, judge_codings, request_line,
    same_authority, valid_authority,
)
from hypercorn.wire.pending cimport Input

cdef int _NEED_DATA, _HEAD, _BODY, _ERROR
cdef int _START, _LINE, _FIELDS, _SIZED, _CHUNKED, _TRAILERS, _FAILED
cdef int _MAX_EMPTY_BYTES, _MAX_TRAILERS, _LEAST_LINE_BYTES
cdef int CONNECTION, CONTENT_LENGTH, END, EXPECT, HOST, MORE, TRANSFER_ENCODING, UPGRADE
cdef int OPTION_CLOSE, OPTION_KEEP_ALIVE, OPTION_UPGRADE
cdef int E_CODING_LENGTH, E_CODING_OLD, E_COUNT, E_EXPECT, E_HOST, E_HOST_DIFFERS, E_HOST_MISSING, E_HOST_TWICE
cdef int E_LENGTH_TWICE, E_SECTION_LONG, E_TRACE, E_TRAILER_COUNT, E_TRAILER_FORBIDDEN, E_TRAILER_LONG


@cython.final
cdef class RequestParser(Input):
    cdef readonly bint keep_case
    cdef readonly bytes body
    cdef readonly list trailers
    cdef readonly bint keep_alive
    cdef readonly object error

    cdef Py_ssize_t _max_request_line_size, _max_header_size, _max_header_count
    cdef int _state, _late, _empty
    cdef int64_t _left
    cdef Chunks _chunks
    cdef HeadMemory _memory
    cdef Py_ssize_t _line_key, _section_key

    @cython.locals(event=int)
    cpdef int next_event(self) except -1
    cdef int _fail(self, int code) except -1
    @cython.locals(event=int, start=Py_ssize_t, key=Py_ssize_t, memory=HeadMemory)
    cdef int _head(self) except -1
    @cython.locals(length=Py_ssize_t)
    cdef int _skip_empty_lines(self) except -1
    @cython.locals(start=Py_ssize_t, length=Py_ssize_t, key=Py_ssize_t, memory=HeadMemory, found=Kept)
    cdef int _request_line(self) except -1
    @cython.locals(found=Kept)
    cdef bint _recall_fields(self, HeadMemory memory) except -1
    @cython.locals(kind=int, code=int)
    cdef int _field_lines(self) except -1
    @cython.locals(length=int64_t)
    cdef int _decide(self, int kind, bytes value) except -1
    @cython.locals(code=int)
    cdef int _head_error(self) except -1
    @cython.locals(code=int)
    cdef int _head_end(self) except -1
    @cython.locals(count=int64_t)
    cdef int _sized_body(self) except -1
    @cython.locals(body=bytes, event=int, chunks=Chunks)
    cdef int _chunked_body(self) except -1
    @cython.locals(kind=int, code=int, name=bytes)
    cdef int _trailer_lines(self) except -1
