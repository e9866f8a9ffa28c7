cimport cython

from hypercorn.protocol.http1.response cimport ResponseWriter
from hypercorn.protocol.pace cimport Pace, pace_of_body, pace_of_output
from hypercorn.protocol.ports cimport Context, Stream, Transport

cdef int NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE, LAST_HEAD
cdef double ARRIVAL_SECONDS

cdef class HTTP1Life(ResponseWriter):
    cdef public bint open
    cdef public bint upgrading
    cdef public bint resume
    cdef public bint reading_paused
    cdef public bint eof
    cdef public bint lingering
    cdef public bint lost
    cdef public long long unread
    cdef public int waiting_for
    cdef public Pace body_pace, write_pace
    cpdef advance(self)
    cpdef refuse(self, error)
    cpdef end_of_input(self)
    cpdef leave(self)
    cpdef retire(self)
    cpdef wait_for_peer(self)
    cpdef wait(self, int what, double seconds)
    cpdef wait_for_nothing(self)
    cpdef wait_for_pace(self, int what, Pace pace)
    @cython.locals(context=Context, now=double)
    cpdef wait_for_body(self)
    @cython.locals(now=double)
    cpdef wait_for_output(self)
    cpdef check_body(self, Pace pace, double now)
    @cython.locals(left=Py_ssize_t, taken=Py_ssize_t)
    cpdef check_progress(self, Pace pace, double now)
