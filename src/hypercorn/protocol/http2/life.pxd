cimport cython

from hypercorn.protocol.mux.connection cimport Multiplexer, Sender
from hypercorn.protocol.mux.stream cimport HTTP2Stream
from hypercorn.protocol.pace cimport Pace, pace_of_output
from hypercorn.protocol.ports cimport Context, Stream, Transport
from hypercorn.protocol.runtime cimport Runtime

cdef Py_ssize_t CUT, CONTROL_FRAMES
cdef double CANCEL_AFTER, SETTINGS_WAIT, DRAIN_WAIT
cdef long long LARGEST_ID
cdef bytes DRAIN_PING, ALIVE_PING
cdef int RESETS, ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, SETTINGS_TIMEOUT

cdef class HTTP2Life(Multiplexer):
    cdef public list calls_due, cut_order
    cdef public set cut
    cdef public Py_ssize_t controls, pushes, unread
    cdef public long long recv_window, unacked, grown
    cdef public unsigned int last_id, next_push
    cdef public bint draining, final, eof, lingering, peer_leaving, settled
    cdef public double settings_at, partial_at, idle_at, drain_at, heard_at, pinged_at
    cdef public long long frames_seen
    cdef public Pace write_pace

    @cython.locals(stream=HTTP2Stream)
    cpdef stream_ended(self, Sender sender)
    @cython.locals(stream=HTTP2Stream)
    cpdef peer_ended(self, stream)
    @cython.locals(stream=HTTP2Stream, exchange=Stream)
    cpdef forget(self, stream)
    cpdef wake_writer(self, stream)
    @cython.locals(stream=HTTP2Stream, runtime=Runtime, answered=bint)
    cpdef double idle_limit(self) except? -1
    cpdef drop(self, stream)
    cpdef cancel_calls(self)
    @cython.locals(now=double)
    cpdef input_used(self, bint partial, long long frames)
    @cython.locals(stream=HTTP2Stream)
    cpdef keep_reading(self, Sender sender)
    cpdef fault(self, stream, int code)
    cpdef remember_cut(self, unsigned int stream_id)
    @cython.locals(stream=HTTP2Stream)
    cpdef shrink(self, stream)
    cpdef spend(self, int kind)
    cpdef control_written(self)
    cpdef fail(self, int code, str reason)
    cpdef drain(self)
    cpdef finish_drain(self)
    cpdef close_if_done(self)
    cpdef close(self)
    @cython.locals(now=double, pace=Pace)
    cpdef wait_for_output(self)
    cpdef bint carries_sockets(self) except -1
    @cython.locals(left="long long", taken="long long")
    cpdef check_progress(self, Pace pace, double now)
    @cython.locals(until=double)
    cpdef check_peer(self, double now)
    cpdef check_alive(self, double now)
