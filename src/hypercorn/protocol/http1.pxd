from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport
from hypercorn.protocol.http1_response cimport ResponseWriter
from hypercorn.protocol.pace cimport Pace, output_seconds
from hypercorn.wire.http1 cimport RequestParser

cdef int HEAD, BODY, ERROR
cdef int NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE
cdef Py_ssize_t PIPELINE_BUFFER, LINGER_BYTES
cdef bytes CONTINUE, PRIOR

cdef class HTTP1Connection(ResponseWriter):
    cdef public long long requests
    cdef public bint open
    cdef public bint advancing
    cdef public bint resume
    cdef public bint reading_paused
    cdef public bint eof
    cdef public bint lingering
    cdef public bint lost
    cdef public long long unread
    cdef public long long received
    cdef public bint upgrading
    cdef public int waiting_for
    cdef public double silent_at
    cdef public Pace body_pace, write_pace
    cpdef end_of_input(self)
    cpdef advance(self)
    cpdef hold_pipelined(self)
    cpdef need_data(self, RequestParser parser)
    cpdef head_received(self, RequestParser parser)
    cpdef handshake_received(self, RequestParser parser)
    cpdef leave(self)
    cpdef piece_received(self, RequestParser parser)
    cpdef refuse(self, error)
    cpdef exchange_ended(self)
    cpdef retire(self)
    cpdef wait_for_peer(self)
    cpdef wait(self, int what, double seconds)
    cpdef wait_for_body(self)
    cpdef pace_output(self)
    cpdef keep_pace(self, Pace pace)
    cpdef body_is_late(self, double now)
    cpdef output_is_late(self, double now)
