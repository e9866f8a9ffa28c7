cimport cython

from hypercorn.protocol.ports cimport Runtime

cdef object Task, monotonic

cdef object CancelledError, current_task

@cython.freelist(64)
cdef class Parking:
    cdef public object loop
    cdef public object callback
    cdef public object context
    cdef public bint ended
    cdef public bint is_cancelled
    cdef public object message
    cdef public bint _asyncio_future_blocking
    cpdef get_loop(self)
    cpdef bint done(self)
    cpdef result(self)
    cpdef set_result(self, value)
    cpdef step(self)

cdef class AsyncioLoop(Runtime):
    cdef public object loop
    cdef public set calls
    cdef public object ended
    cdef public object variables
    cdef public bint eager
    cpdef call_done(self, task)
    @cython.locals(place=Parking)
    cpdef parking(self)
    @cython.locals(place=Parking)
    cpdef resume(self, waiter)
