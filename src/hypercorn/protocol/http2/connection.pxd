# types of connection.py
cimport cython

from hypercorn.objects cimport same_text
from hypercorn.protocol.http2.push cimport Pushes
from hypercorn.protocol.http2.stream cimport HTTP2Stream
from hypercorn.protocol.mux.connection cimport ErrorCodes, Multiplexer
from hypercorn.protocol.mux.stream cimport MuxStream, pump
from hypercorn.protocol.progress cimport ProgressTimer, timer_of_output
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.states cimport Transitions
from hypercorn.wire.http2 cimport FrameParser
from hypercorn.wire.http2_head cimport HTTP2Head, judge_request
from hypercorn.wire.http2_writer cimport FrameWriter

cdef int CANCEL, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOOD, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR
cdef int REFUSED_STREAM, SETTINGS_TIMEOUT, STREAM_CLOSED
cdef int DATA, ERROR, GOAWAY, HEADERS, NEED_DATA, PING, PING_ACK, PRIORITY_UPDATE, RESET, SETTINGS, SETTINGS_ACK
cdef int STREAM_ERROR, WINDOW_UPDATE, CONTROLS, EMPTY, GLITCHES, RESETS, UPDATES
cdef int CLOSED, DISCARDING, DRAINING, ENDED, LEAVING, LINGERING, NO_HEAD, OPEN, RESERVED, SERVING, TUNNEL
cdef long long FIRST_WINDOW_BYTES, LARGEST_ID, LARGEST_WINDOW
cdef bytes DRAIN_PING, ALIVE_PING
cdef Py_ssize_t CONTROL_FRAMES, REMEMBERED_RESETS, GATHER_BYTES, LINGER_BYTES
cdef double DRAIN_SECONDS, SETTINGS_SECONDS
cdef Transitions CONNECTION, STREAM

cdef class HTTP2Connection(Multiplexer):
    cdef public FrameParser parser
    cdef public FrameWriter writer
    cdef public HTTP2Stream unstarted
    cdef public object upgrade_request
    cdef public Pushes pushes
    cdef public bint advancing, frames_held, eof, peer_leaving
    cdef public long long first_window, frames_seen, recv_window, requests, unacked, unsent, withheld
    cdef public Py_ssize_t queued_controls, unread
    cdef public unsigned int last_id
    cdef public set reset_ids
    cdef public list reset_order
    cdef public double settings_at, partial_at
    cdef public ProgressTimer write_timer

    cpdef send_preface(self)
    @cython.locals(parser=FrameParser, unstarted=HTTP2Stream, event=int)
    cpdef advance(self)
    cpdef hold_frames(self)
    @cython.locals(now=double)
    cpdef input_used(self, bint partial, long long frames)
    @cython.locals(stream_id="unsigned int", stream=HTTP2Stream)
    cpdef headers_received(self, FrameParser parser)
    @cython.locals(head=HTTP2Head, stream=HTTP2Stream, context=Context, limit="long long", verdict=int)
    cpdef new_request(self, unsigned int stream_id, FrameParser parser)
    cpdef new_websocket(self, unsigned int stream_id, HTTP2Head head)
    @cython.locals(stream=HTTP2Stream)
    cpdef HTTP2Stream open_stream(self, unsigned int stream_id, HTTP2Head head)
    cpdef answer_early(self, unsigned int stream_id, HTTP2Head head, int status, bint complete, str reason=*)
    @cython.locals(stream=HTTP2Stream)
    cpdef HTTP2Stream new_stream(self, unsigned int stream_id, long long window)
    @cython.locals(pushed=object)  # whose bound method is taken
    cpdef promise(self, Connection stream, bytes authority, str path, headers)
    cpdef refuse_request(self, unsigned int stream_id, HTTP2Head head, int verdict)
    cpdef refuse_stream(self, unsigned int stream_id, int code)
    @cython.locals(exchange=Exchange)
    cpdef trailers_received(self, HTTP2Stream stream, FrameParser parser)
    @cython.locals(length=Py_ssize_t, stream_id="unsigned int", stream=HTTP2Stream)
    cpdef data_frame(self, FrameParser parser)
    cpdef data_on_closed_stream(self, unsigned int stream_id)
    @cython.locals(data=bytes, size=Py_ssize_t)
    cpdef body_received(self, HTTP2Stream stream, FrameParser parser)
    cpdef other_frame(self, FrameParser parser, int event)
    @cython.locals(stream=HTTP2Stream)
    cpdef stream_reset(self, unsigned int stream_id)
    cpdef settings_received(self, dict settings)
    cpdef bint take_settings(self, dict settings) except -1
    @cython.locals(stream=HTTP2Stream)
    cpdef bint change_windows(self, long long delta) except -1
    @cython.locals(stream=HTTP2Stream)
    cpdef window_update(self, unsigned int stream_id, long long increment)
    @cython.locals(stream=HTTP2Stream)
    cpdef priority_update(self, unsigned int stream_id, bytes value)
    @cython.locals(stream=HTTP2Stream)
    cpdef frame_fault(self, FrameParser parser)
    cpdef flush_frames(self)
    cpdef control_written(self)
    @cython.locals(now=double, timer=ProgressTimer)
    cpdef wait_for_output(self)
    @cython.locals(one=MuxStream)
    cpdef reset_stream(self, Connection stream, unsigned int code)
    @cython.locals(one=MuxStream)
    cpdef keep_reading(self, Connection stream)
    cpdef remember_reset(self, unsigned int stream_id)
    cpdef drain(self)
    cpdef finish_drain(self)
    cpdef close(self)
    @cython.locals(left="long long", taken="long long")
    cpdef check_progress(self, ProgressTimer timer, double now)
    @cython.locals(until=double)
    cpdef check_peer(self, double now)
    cpdef check_alive(self, double now)
    cpdef double idle_limit(self) except? -1
