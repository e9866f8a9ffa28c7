cimport cython

from hypercorn.protocol.mux.connection cimport Multiplexer, Sender
from hypercorn.protocol.pace cimport Pace, pace_of_body, pace_of_output, pace_of_unread
from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport
from hypercorn.wire.http2_writer cimport FieldLine, FieldLines, FrameWriter

cdef Py_ssize_t HIGH_WATER, LOW_WATER
cdef long long LARGEST_WINDOW
cdef int DEFAULT_URGENCY, NO_ERROR, CANCEL, INTERNAL_ERROR

cdef class HTTP2Stream(Sender):
    cdef public Multiplexer mux
    cdef public Stream stream
    cdef public object call
    cdef public bint calling, over, zombie
    cdef public bint connect
    cdef public Connection socket
    cdef public bint remote_done, expect
    cdef public long long content_length, received, recv_window, recv_size, unacked, unread
    cdef public bint lingering
    cdef public bint head_sent, bodyless
    cdef public int status
    cdef public list lines
    cdef public long long length
    cdef public bint has_date, has_server, with_trailers
    cdef public list trailer_lines
    cdef public list pieces
    cdef public Py_ssize_t offset
    cdef public long long body_base
    cdef public Pace body_pace, window_pace
    cdef public bint end_queued, blocked, local_done

    cpdef open(self, Multiplexer mux, unsigned int stream_id, long long send_window, long long recv_window)
    @cython.locals(last=bint, size=Py_ssize_t, mux=Multiplexer)
    cpdef bint body(self, Stream stream, bytes data, bint end) except -1
    @cython.locals(mux=Multiplexer)
    cpdef bint hold(self, Stream stream, bytes data, Py_ssize_t size, bint last) except -1
    @cython.locals(mux=Multiplexer, more=list)
    cpdef send_head(self, bint end)
    @cython.locals(pieces=list, data=bytes, left=Py_ssize_t, size=Py_ssize_t, last=bint, pace=Pace)
    cpdef Py_ssize_t send_piece(self, Py_ssize_t limit) except -1
    cpdef long long keep_head(self, int status, long long length, bint trailers) except? -2
    cpdef list check(self, headers, bint omit_length)
    cpdef write_piece(self, bytes data, bint end)
    @cython.locals(mux=Multiplexer)
    cpdef interim(self, int status, list lines)
    cpdef credit(self, Py_ssize_t size)
    cpdef finish_queue(self)
    cpdef answer(self, int status, str reason)
    cpdef give_up(self, int status, str reason)
    cpdef response_sent(self)
    @cython.locals(context=Context, limit="long long")
    cpdef bint linger(self) except -1
    cpdef wait_for_rest(self, Pace pace)
    @cython.locals(pace=Pace)
    cpdef rest_received(self, Py_ssize_t size, bint end)
    @cython.locals(context=Context, now=double, pace=Pace)
    cpdef wait_for_body(self)
    @cython.locals(now=double, pace=Pace)
    cpdef wait_for_window(self)
    cpdef wait_for(self, Pace pace)
    cpdef bint body_is_late(self, Pace pace, double now) except -1
    cpdef bint window_is_late(self, Pace pace, double now) except -1
