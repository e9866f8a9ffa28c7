cimport cython

from hypercorn.asgi.call cimport AppCall
from hypercorn.protocol.ports cimport Runtime

from hypercorn.clock cimport monotonic
from hypercorn.objects cimport copy_of

cdef Py_ssize_t PARKED

cdef class TrioLoop(Runtime):
    cdef public object token
    cdef public object new_waiter
    cdef public object variables
    cdef public object start_call
    cdef public object run_call
    cdef public object start_timer
    cdef public object cancel_call
    cdef public list idle
    cdef public object report
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

    @cython.locals(place=Place)
    cpdef spawn(self, coroutine)
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

cdef class Place:
    cdef public TrioLoop loop
    cdef public object task, scope, scopes, forget, trap, rest, waiting
    cdef public AppCall call
    cdef public Parking parked

    cpdef bint is_parked(self) except -1
    cpdef AppCall begin(self, AppCall call)
    @cython.locals(call=AppCall)
    cpdef go_on(self)
    @cython.locals(loop=TrioLoop, place=Place)
    cpdef bint step(self, AppCall call, context) except -1
    cpdef leave(self, AppCall call)
    cpdef wait(self, trap)
    cpdef bint spoilt(self) except -1
    cpdef send(self, value)
    cpdef AppCall begin_calls(self)
    cpdef over(self)
