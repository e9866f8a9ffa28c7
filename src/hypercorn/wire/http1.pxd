# types of http1.py
cimport cython

from libc.stdint cimport int64_t

from hypercorn.wire.head cimport HeadLines
from hypercorn.wire.http1_primitives cimport (
    Chunks, connection_options, content_length, empty_lines, field_lines, is_token, judge_codings, key_of, part,
    request_line, same_authority, stands_at, valid_authority,
)

cdef int _NEED_DATA, _HEAD, _BODY, _ERROR
cdef int _START, _LINE, _FIELDS, _SIZED, _CHUNKED, _TRAILERS, _FAILED
cdef Py_ssize_t _MOST, _PLACES, _SECTION_BYTES
cdef int _MAX_EMPTY_BYTES, _MAX_TRAILERS, _LEAST_LINE_BYTES
cdef int CONNECTION, CONTENT_LENGTH, END, EXPECT, HOST, MORE, TRANSFER_ENCODING, UPGRADE
cdef int OPTION_CLOSE, OPTION_KEEP_ALIVE, OPTION_UPGRADE
cdef int E_CODING_LENGTH, E_CODING_OLD, E_COUNT, E_EXPECT, E_HOST, E_HOST_DIFFERS, E_HOST_MISSING, E_HOST_TWICE
cdef int E_LENGTH_TWICE, E_SECTION_LONG, E_TRACE, E_TRAILER_COUNT, E_TRAILER_FORBIDDEN, E_TRAILER_LONG


@cython.final
cdef class Section:
    cdef bytes text
    cdef Py_ssize_t key
    cdef bint keep_case, used
    cdef list fields
    cdef bytes host
    cdef int hosts, lengths, options
    cdef int64_t content_length


@cython.final
cdef class FieldMemory:
    cdef list _kept
    cdef bytearray _seen
    @cython.locals(found=Section)
    cdef Section find(self, data, Py_ssize_t start, Py_ssize_t key)
    @cython.locals(key=Py_ssize_t, place=Py_ssize_t, there=Section)
    cdef Py_ssize_t keep(self, data, Py_ssize_t start, Py_ssize_t end, bint keep_case, HeadLines head) except? -1


@cython.final
cdef class RequestParser(HeadLines):
    # _data[_pos:_end] was not looked at; _end is the length of _data
    cdef object _data
    cdef Py_ssize_t _pos, _end
    cdef bint _closed
    cdef readonly bint keep_case
    cdef readonly bytes body
    cdef readonly list trailers
    cdef readonly bint keep_alive
    cdef readonly object error

    cdef Py_ssize_t _max_request_line_size, _max_header_size, _max_header_count
    cdef int _state, _late, _empty
    cdef int64_t _left
    cdef Chunks _chunks
    cdef FieldMemory _memory
    cdef Py_ssize_t _section_key

    cpdef Py_ssize_t buffered(self)
    cpdef feed(self, bytes data)
    cpdef bytes take_rest(self)
    cdef _release(self)
    cdef _keep(self)
    @cython.locals(start=Py_ssize_t)
    cdef bytes _take(self, Py_ssize_t count)
    @cython.locals(event=int)
    cpdef int next_event(self) except -1
    cdef int _fail(self, int code) except -1
    @cython.locals(event=int, length=Py_ssize_t, start=Py_ssize_t, key=Py_ssize_t, memory=FieldMemory)
    cdef int _head(self) except -1
    @cython.locals(length=Py_ssize_t)
    cdef int _skip_empty_lines(self) except -1
    @cython.locals(found=Section)
    cdef bint _recall_fields(self, FieldMemory memory) except -1
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
