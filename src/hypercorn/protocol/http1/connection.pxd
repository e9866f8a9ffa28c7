# types of connection.py
cimport cython

from hypercorn.objects cimport same_text
from hypercorn.protocol.http1.response cimport ResponseWriter
from hypercorn.protocol.progress cimport ProgressTimer, timer_of_body, timer_of_output
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.states cimport Transitions
from hypercorn.wire.http1 cimport RequestParser
from hypercorn.wire.http1_primitives cimport encode_chunk

cdef int HEAD, BODY, ERROR
cdef int IDLE, EXCHANGE, UPGRADING, LINGERING, CLOSING, CLOSED
cdef int NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, DRAIN, HANDSHAKE, LAST_HEAD
cdef int NO_BODY, CHUNKED, UNTIL_CLOSE
cdef double ARRIVAL_SECONDS
cdef Py_ssize_t PIPELINE_BYTES
cdef bytes CONTINUE, PRIOR
cdef Transitions CONNECTION

cdef class HTTP1Connection(Connection):
    cdef public int state
    cdef public int waiting_for
    cdef public RequestParser parser
    cdef public ResponseWriter response
    cdef public Exchange exchange
    cdef public long long requests
    cdef public bint keep_alive
    cdef public bint expect
    cdef public bint eof
    cdef public bint advancing
    cdef public bint advance_later
    cdef public long long received
    cdef public long long unread
    cdef public long long unsent
    cdef public ProgressTimer body_timer, write_timer
    cpdef drop_exchange(self)
    cpdef advance(self)
    cpdef hold_pipelined(self)
    cpdef need_data(self, RequestParser parser)
    cpdef head_received(self, RequestParser parser)
    cpdef handshake_received(self, RequestParser parser, settings)
    cpdef piece_received(self, RequestParser parser)
    cpdef refuse(self, error)
    cpdef bint body_stays_unread(self) except -1
    cpdef response_ended(self)
    cpdef cut_off(self)
    cpdef close(self)
    cpdef linger(self)
    cpdef wait_for_peer(self)
    cpdef wait(self, int what, double seconds)
    cpdef wait_for_nothing(self)
    cpdef wait_for_timer(self, int what, ProgressTimer timer)
    @cython.locals(context=Context, now=double)
    cpdef wait_for_body(self)
    @cython.locals(now=double)
    cpdef wait_for_output(self)
    cpdef check_body(self, ProgressTimer timer, double now)
    @cython.locals(left="long long", taken="long long")
    cpdef check_progress(self, ProgressTimer timer, double now)
