# types of connection.py
cimport cython

from hypercorn.protocol.mux.budgets cimport Allowance
from hypercorn.protocol.mux.orphans cimport OrphanedCalls
from hypercorn.protocol.mux.scheduler cimport Scheduler
from hypercorn.protocol.ports cimport Connection, Context, Transport
from hypercorn.protocol.states cimport Transitions

cdef Transitions CONNECTION
cdef int ENDED, RESETS, SERVING

@cython.final
cdef class ErrorCodes:
    cdef readonly unsigned int cancelled, excessive, internal, malformed, none

cdef class Multiplexer(Connection):
    cdef public int state
    cdef public ErrorCodes codes
    cdef public dict streams
    cdef public Scheduler scheduler
    cdef public OrphanedCalls orphans
    cdef public Allowance allowance
    cdef public dict priorities
    cdef public long long send_window
    cdef public bint writing_paused
    cdef public long long body_octets, grown
    cdef public double idle_at, received_at, drain_at, pinged_at

    cpdef check_streams(self, double now)
    cpdef wait_until(self, double when)
    cpdef shutdown_streams(self)
    cpdef written(self)
    cpdef remove(self, unsigned int stream_id)
    cpdef close_if_done(self)
    cpdef reset_stream(self, Connection stream, unsigned int code)
    cpdef fault(self, Connection stream, unsigned int code)
    cpdef keep_reading(self, Connection stream)
    cpdef cancel_start(self, Connection stream)
    cpdef promise(self, Connection stream, bytes authority, str path, headers)
    cpdef spend(self, int kind)
    cpdef fail(self, unsigned int code, str reason)
