# types of progress.py
cimport cython

from hypercorn.protocol.ports cimport Context

cdef double BLOCKED_SECONDS, EXTRA_SECONDS, NEVER
cdef double BURST_BYTES

cdef class ProgressTimer:
    cdef public double rate, timeout, max_balance, balance, rate_due, silent_at
    cdef public long long moved
    cpdef open(self, double rate, double grace, double timeout, double max_balance)
    cpdef expect_progress(self, double now)
    cpdef start_rate(self, double now)
    cpdef pause_rate(self, double now)
    cpdef drop_rate(self)
    cpdef double deadline(self) except? -1
    cpdef bint timed_out(self, double now) except -1
    @cython.locals(blocked=bint)
    cpdef bint is_late(self, double now) except -1
    cpdef bint is_late_with(self, long long waiting, long long taken, double now) except -1

@cython.locals(timer=ProgressTimer, grace=double, pause=double)
cpdef ProgressTimer timer_of_body(Context context, double rate)
@cython.locals(timer=ProgressTimer, grace=double)
cpdef ProgressTimer timer_of_unread(Context context)
@cython.locals(timer=ProgressTimer, rate=double, seconds=double)
cpdef ProgressTimer timer_of_output(Context context)
