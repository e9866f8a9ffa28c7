# types of http2.py
cimport cython

from hypercorn.objects cimport part_of
from hypercorn.wire.hpack cimport Field, HeaderDecoder

cdef int ACK, DATA, ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, END_HEADERS, END_STREAM, ERROR, FRAME_HEAD_BYTES
cdef int GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONTINUATIONS, MAX_FRAME_SIZE, NEED_DATA, NOTHING, NO_RFC7540_PRIORITIES
cdef int PADDED, PING, PING_ACK, PRIORITIZED, PRIORITY, PRIORITY_UPDATE, RESET, SETTINGS
cdef int SETTINGS_ACK, STREAM_ERROR, T_CONTINUATION, T_DATA, T_GOAWAY, T_HEADERS, T_PING, T_PRIORITY
cdef int T_PRIORITY_UPDATE, T_PUSH_PROMISE, T_RST_STREAM, T_SETTINGS, T_WINDOW_UPDATE, UNKNOWN, WINDOW_UPDATE, COMPRESSION_ERROR
cdef int ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR
cdef long long LARGEST_WINDOW
cdef bytes PREFACE

@cython.final
cdef class FrameParser:
    cdef public Py_ssize_t max_frame_size, max_list_size, max_count
    cdef public HeaderDecoder decoder
    cdef public bytes chunk
    cdef public Py_ssize_t size, pos, need
    cdef public bytearray held
    cdef public int preface_at
    cdef public bint settled
    cdef public bytearray block
    cdef public unsigned int block_stream
    cdef public bint block_end_stream
    cdef public int block_frames
    cdef public long long frames
    cdef public unsigned int stream_id
    cdef public bint end_stream
    cdef public bytes data
    cdef public Py_ssize_t length
    cdef public list fields
    cdef public bint oversize
    cdef public long long value
    cdef public dict settings
    cdef public int error_code
    cdef public str reason

    cpdef feed(self, bytes data)
    @cython.locals(data=bytes, start=Py_ssize_t, length=Py_ssize_t, event=int)
    cpdef int next_event(self) except -1
    @cython.locals(at=int, count=Py_ssize_t)
    cpdef bint take_preface(self) except -1
    cpdef int hold(self, Py_ssize_t need) except -1
    cpdef int used_up(self) except -1
    @cython.locals(held=bytearray, count=Py_ssize_t, length=Py_ssize_t)
    cpdef bint complete_held(self) except -1
    cpdef int fail(self, int code, str reason) except -1
    cpdef int stream_error(self, int code, str reason) except -1
    @cython.locals(kind=int, flags=int, stream_id="unsigned int")
    cpdef int frame(self, bytes data, Py_ssize_t start, Py_ssize_t length) except -1
    @cython.locals(end=Py_ssize_t)
    cpdef int data_frame(self, bytes data, Py_ssize_t start, Py_ssize_t length, int flags) except -1
    @cython.locals(end=Py_ssize_t, skipped=Py_ssize_t)
    cpdef int headers_frame(self, bytes data, Py_ssize_t start, Py_ssize_t length, int flags) except -1
    @cython.locals(block=bytearray)
    cpdef int continuation(self, bytes data, Py_ssize_t start, Py_ssize_t length, int flags) except -1
    cpdef int decode(self, bytes block) except -1
    cpdef int window_update(self, bytes data, Py_ssize_t start, Py_ssize_t length) except -1
    cpdef int connection_frame(self, bytes data, Py_ssize_t start, Py_ssize_t length, int kind, int flags) except -1
    @cython.locals(at=Py_ssize_t, name=int, value="long long", settings=dict)
    cpdef int settings_frame(self, bytes data, Py_ssize_t start, Py_ssize_t length, int flags) except -1
