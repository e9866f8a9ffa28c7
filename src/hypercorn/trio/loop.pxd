cimport cython

from hypercorn.asgi.call cimport AppCall
from hypercorn.protocol.ports cimport Runtime

from hypercorn.clock cimport monotonic

cdef class TrioLoop(Runtime):
    cdef public object token
    cdef public object new_waiter
    cdef public object variables
    cdef public object start_call
    cdef public object run_call
    cdef public object start_timer
    cdef public object cancel_call
    cdef public list idle
    cdef public object reschedule
    cdef public object aborted
    cdef public object queue
    cdef public bint waking
    cdef public dict running
    cdef public Py_ssize_t calls
    cdef public object ended
    cdef public Place place
    cdef public object run_context
    cdef public object checkpoint

    cpdef wake_task(self)
    cpdef call_ended(self)
    @cython.locals(waiter=Parking)
    cpdef parking(self)
    @cython.locals(parking=Parking)
    cpdef resume(self, waiter)

@cython.freelist(64)
cdef class Parking:
    cdef public Place place
    cdef public bint woken

    cpdef send(self, value)
    cpdef wake(self)

cdef object WOKEN

cdef class Woken:
    cpdef unwrap(self)

cdef class Place:
    cdef public TrioLoop loop
    cdef public object task, scope, scopes, forget, trap, waiting
    cdef public AppCall call
    cdef public Parking parked
    cdef public bint gave_way

    cpdef bint is_parked(self) except -1
    @cython.locals(ended=cython.bint)
    cpdef go_on(self)
    @cython.locals(ended=cython.bint)
    cpdef begin_parked(self, AppCall call)
    cpdef bint spoilt(self) except -1
    cpdef send(self, value)
    @cython.locals(place=Place)
    cpdef AppCall begin_calls(self)
    cpdef over(self)
