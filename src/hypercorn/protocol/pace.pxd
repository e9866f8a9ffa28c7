cimport cython

from hypercorn.protocol.ports cimport Context

cdef double BLOCKED, AGAIN, NEVER
cdef double BURST

cdef class Pace:
    cdef public double rate, timeout, most, left, due, silent_at
    cdef public long long octets
    cpdef open(self, double rate, double grace, double timeout, double most)
    cpdef wait(self, double now)
    cpdef run(self, double now)
    cpdef rest(self, double now)
    cpdef free(self)
    cpdef double until(self) except? -1
    cpdef bint silent(self, double now) except -1
    @cython.locals(blocked=bint)
    cpdef bint late(self, double now) except -1
    cpdef bint late_with(self, long long waiting, long long taken, double now) except -1

@cython.locals(pace=Pace, grace=double, pause=double)
cpdef Pace pace_of_body(Context context, double rate)
@cython.locals(pace=Pace, grace=double)
cpdef Pace pace_of_unread(Context context)
@cython.locals(pace=Pace, rate=double, seconds=double)
cpdef Pace pace_of_output(Context context)
