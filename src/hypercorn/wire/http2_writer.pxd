# types of http2_writer.py
cimport cython

from hypercorn.wire.http1_primitives cimport decimal
from hypercorn.wire.octets cimport Octets
from hypercorn.wire.writing cimport checked_field, plain_field

cdef int STATIC_LENGTH, DATE, FORBIDDEN, LENGTH, SERVER
cdef Py_ssize_t TABLE_BYTES, KNOWN, KNOWN_NAMES, LONGEST_KNOWN_BYTES

cdef list _OCTETS

@cython.final
cdef class FieldName:
    cdef public bytes name
    cdef public int kind
    cdef public bint indexed
    cdef public bint may_be_exact
    cdef public bytes plain
    cdef public bytes inserting

@cython.final
cdef class FieldLine:
    cdef public FieldName name
    cdef public bytes value
    cdef public Py_ssize_t size
    cdef public int exact
    cdef public long long uses
    cdef public long long length
    cdef public bytes plain
    cpdef fill(self, FieldName name, bytes value)

cpdef bytes encode_integer(long long value, int prefix, int first)
cpdef bytes encode_string(bytes value)

@cython.final
cdef class FieldLines:
    cdef public long long content_length
    cdef public bint has_date, has_server
    cdef public dict young, old, names, statuses
    cdef public list server_list, server_lines

    @cython.locals(
        lines=list, line=FieldLine, kind=int, index=Py_ssize_t, first=bint, content_length="long long", has_date=bint, has_server=bint
    )
    cpdef list check(self, headers, bint omit_length=*)
    @cython.locals(given=tuple, pair=tuple, name=FieldName, line=FieldLine)
    cpdef FieldLine find(self, item, Py_ssize_t index)
    @cython.locals(name=FieldName)
    cpdef FieldName name(self, bytes given)
    @cython.locals(line=FieldLine)
    cpdef FieldLine status(self, int status)
    cpdef list server(self, list pairs)

@cython.final
cdef class FrameWriter:
    cdef public Octets out
    cdef public Py_ssize_t max_frame_size
    cdef public Py_ssize_t limit, smallest, used, first
    cdef public bint resized
    cdef public list entries
    cdef public long long inserted
    cdef public dict numbers

    cpdef bytes take(self)
    cpdef frame(self, Py_ssize_t length, int kind, int flags, unsigned int stream_id)
    cpdef data(self, unsigned int stream_id, bytes data, bint end)
    @cython.locals(start=Py_ssize_t, line=FieldLine)
    cpdef headers(self, unsigned int stream_id, FieldLine status, list lines, list more, bint end)
    @cython.locals(start=Py_ssize_t, line=FieldLine)
    cpdef trailers(self, unsigned int stream_id, list lines)
    @cython.locals(start=Py_ssize_t, line=FieldLine)
    cpdef push_promise(self, unsigned int stream_id, unsigned int promised, list lines)
    @cython.locals(out=Octets, length=Py_ssize_t, block=bytes, piece=bytes, kind=int, flags=int, at=Py_ssize_t)
    cpdef end_block(self, Py_ssize_t start, Py_ssize_t payload, unsigned int stream_id)
    @cython.locals(index="long long")
    cpdef line(self, FieldLine line)
    @cython.locals(line=FieldLine)
    cpdef evict(self, Py_ssize_t room)
    cpdef resize(self, long long size)
    cpdef tell_resize(self)
    cpdef settings(self, list settings)
    cpdef settings_ack(self)
    cpdef ping(self, bytes data, bint ack)
    cpdef reset(self, unsigned int stream_id, unsigned int code)
    cpdef window_update(self, unsigned int stream_id, unsigned int increment)
    cpdef goaway(self, unsigned int last_stream_id, unsigned int code)
