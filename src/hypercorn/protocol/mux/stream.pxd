# types of stream.py
cimport cython

from hypercorn.objects cimport same_text
from hypercorn.protocol.mux.connection cimport Multiplexer
from hypercorn.protocol.mux.scheduler cimport Scheduler
from hypercorn.protocol.progress cimport ProgressTimer, timer_of_body, timer_of_output, timer_of_unread
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.states cimport Transitions
from hypercorn.wire.http2_head cimport HTTP2Head

cdef Py_ssize_t HIGH_WATER_BYTES, LOW_WATER_BYTES, PIECE_BYTES, USEFUL_BYTES
cdef long long LARGEST_WINDOW
cdef int DEFAULT_URGENCY, CONTROLS, EMPTY, GLITCHES, UPDATES
cdef int CLOSED, DISCARDING, ENDED, HALF_CLOSED_LOCAL, HALF_CLOSED_REMOTE, IDLE, OPEN
cdef int ENDING, EXPECTING, NO_HEAD, NOT_CALLED, ORPHANED, PLAIN, RETURNED, RUNNING, TUNNEL
cdef int BODYLESS, WITH_BODY, WITH_TRAILERS
cdef Transitions STREAM

cdef class MuxStream(Connection):
    cdef public Multiplexer mux
    cdef public unsigned int id
    cdef public int state, call_state, request, progress, content
    cdef public Exchange exchange
    cdef public object call
    cdef public Connection socket
    cdef public long long content_length, received, recv_window, recv_size, unacked, unread, send_window
    cdef public int urgency, status
    cdef public bint incremental, queued, blocked
    cdef public list lines, trailer_lines, pieces
    cdef public long long length
    cdef public Py_ssize_t offset, pending
    cdef public long long body_base
    cdef public ProgressTimer body_timer, window_timer

    cpdef open(self, Multiplexer mux, unsigned int stream_id, long long send_window, long long recv_window)
    cpdef long long set_fields(self, headers, bint omit_length) except? -2
    cpdef list check(self, headers, bint omit_length)
    cpdef send_head(self, bint end)
    cpdef write_piece(self, bytes data, Py_ssize_t start, Py_ssize_t stop, bint end)
    cpdef finish_queue(self)
    cpdef interim(self, int status, list lines)
    cpdef credit(self, Py_ssize_t size)
    cpdef bint queue_data(self, Exchange exchange, bytes data, Py_ssize_t size, bint last) except -1
    cpdef enqueue(self)
    cpdef dequeue(self)
    @cython.locals(pieces=list, data=bytes, start=Py_ssize_t, size=Py_ssize_t, last=bint, timer=ProgressTimer)
    cpdef Py_ssize_t send_piece(self, Py_ssize_t limit) except -1
    @cython.locals(more="long long")
    cpdef long long grow(self) except -1
    cpdef shrink(self)
    cpdef take_head(self, HTTP2Head head)
    @cython.locals(exchange=Exchange)
    cpdef begin_call(self)
    @cython.locals(mux=Multiplexer)
    cpdef answer_early(self, HTTP2Head head, int status, bint complete, str reason)
    @cython.locals(mux=Multiplexer, size=Py_ssize_t, announced="long long")
    cpdef piece_received(self, bytes data, bint end)
    @cython.locals(exchange=Exchange, opened=bint)
    cpdef request_complete(self, bytes data)
    cpdef too_large(self)
    cpdef peer_ended(self)
    cpdef wake_writer(self)
    cpdef change_window(self, long long delta)
    cpdef prioritize(self, bytes value)
    cpdef end(self)
    @cython.locals(mux=Multiplexer, answered=bint)
    cpdef drop(self)
    @cython.locals(exchange=Exchange, answered=bint)
    cpdef forget(self)
    cpdef answer(self, int status, str reason)
    cpdef answer_instead(self, int status, str reason)
    cpdef response_sent(self)
    @cython.locals(context=Context, limit="long long")
    cpdef bint discard_rest(self) except -1
    cpdef wait_for_rest(self, ProgressTimer timer)
    @cython.locals(timer=ProgressTimer)
    cpdef rest_received(self, Py_ssize_t size, bint end)
    @cython.locals(context=Context, now=double, timer=ProgressTimer)
    cpdef wait_for_body(self)
    @cython.locals(now=double, timer=ProgressTimer)
    cpdef wait_for_window(self)
    cpdef wait_for(self, ProgressTimer timer)
    cpdef bint body_is_late(self, ProgressTimer timer, double now) except -1
    cpdef bint window_is_late(self, ProgressTimer timer, double now) except -1

@cython.locals(scheduler=Scheduler, stream=MuxStream, sent=Py_ssize_t)
cpdef pump(Multiplexer mux)
