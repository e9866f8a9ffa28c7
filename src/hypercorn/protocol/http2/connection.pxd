cimport cython

from hypercorn.objects cimport same_text
from hypercorn.protocol.http2.requests cimport HTTP2Requests
from hypercorn.protocol.mux.stream cimport HTTP2Stream
from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport
from hypercorn.wire.http2 cimport FrameParser
from hypercorn.wire.http2_head cimport HTTP2Head, judge_request

cdef int FRAME_SIZE_ERROR
cdef long long FIRST_WINDOW
cdef int DATA, ERROR, GOAWAY, HEADERS, NEED_DATA, PING, PING_ACK, PRIORITY_UPDATE, RESET, SETTINGS, SETTINGS_ACK
cdef int STREAM_ERROR, WINDOW_UPDATE, CONTROLS, EMPTY, GLITCHES, RESETS, UPDATES, GOOD
cdef long long LARGEST_WINDOW

cdef bytes DRAIN_PING, ALIVE_PING
cdef long long LARGEST_ID
cdef Py_ssize_t LINGER_BYTES

cdef class HTTP2Connection(HTTP2Requests):
    cdef public FrameParser parser
    cdef public long long first_window, max_pushes, requests
    cdef public HTTP2Stream fresh
    cdef public object first
    cdef public bint advancing, allow_push, awaits_preface, held

    @cython.locals(parser=FrameParser, fresh=HTTP2Stream, event=int)
    cpdef advance(self)
    cpdef hold_frames(self)
    cpdef send_preface(self)
    cpdef bint take_settings(self, dict settings) except -1
    @cython.locals(stream_id="unsigned int")
    cpdef headers_received(self, FrameParser parser)
    @cython.locals(stream=HTTP2Stream)
    cpdef HTTP2Stream new_stream(self, unsigned int stream_id, long long window)
    @cython.locals(head=HTTP2Head, stream=HTTP2Stream, context=Context, limit="long long", verdict=int)
    cpdef new_request(self, unsigned int stream_id, FrameParser parser)
    @cython.locals(stream=HTTP2Stream)
    cpdef new_websocket(self, unsigned int stream_id, HTTP2Head head)
    cpdef refuse_request(self, unsigned int stream_id, HTTP2Head head, int verdict)
    cpdef refuse_stream(self, unsigned int stream_id, int code)
    @cython.locals(stream=HTTP2Stream)
    cpdef trailers_received(self, stream, FrameParser parser)
    @cython.locals(length=Py_ssize_t, stream_id="unsigned int")
    cpdef data_frame(self, FrameParser parser)
    cpdef data_for_nobody(self, unsigned int stream_id)
    @cython.locals(stream=HTTP2Stream, data=bytes, size=Py_ssize_t)
    cpdef body_received(self, stream, FrameParser parser)
    cpdef other_frame(self, FrameParser parser, int event)
    @cython.locals(stream=HTTP2Stream)
    cpdef stream_reset(self, unsigned int stream_id)
    cpdef settings_received(self, dict settings)
    cpdef bint change_windows(self, long long delta) except -1
    @cython.locals(stream=HTTP2Stream)
    cpdef widen(self, stream, long long delta)
    cpdef window_update(self, unsigned int stream_id, long long increment)
    cpdef priority_update(self, unsigned int stream_id, bytes value)
    cpdef frame_fault(self, FrameParser parser)
