cimport cython

from hypercorn.protocol.ports cimport Runtime

cimport cython

from hypercorn.asgi.call cimport AppCall
from hypercorn.clock cimport monotonic
from hypercorn.objects cimport Slot, copy_of, is_untouched, new_object, references

cdef object Task, CallTask, init_task, QUIET
cdef dict current_tasks
cdef set eager_tasks
cdef Slot call_of
cdef Py_ssize_t KNOWN_HERE

cdef object CancelledError, current_task, coroutine_of

@cython.freelist(64)
cdef class Parking:
    cdef public object loop
    cdef public Parking host
    cdef public AppCall call
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
    cpdef Parking leave(self)

cdef class AsyncioLoop(Runtime):
    cdef public object loop
    cdef public set calls
    cdef public object ended
    cdef public object variables
    cdef public bint eager
    cdef public bint lazy
    cdef public list waiting
    cdef public object handle
    cdef public object ready
    cdef public object spare
    cpdef first_step(self, AppCall call)
    cdef enter(self, task)
    cdef leave(self, before)
    @cython.locals(ended=cython.bint)
    cpdef bint step(self, task, AppCall call, context) except -1
    cpdef go_on_soon(self, task)
    @cython.locals(call=AppCall)
    cpdef take_turns(self, list waiting)
    cpdef call_over(self, call, error)
    @cython.locals(place=Parking)
    cpdef parking(self)
    @cython.locals(place=Parking, host=Parking)
    cpdef resume(self, waiter)
    cpdef bint find_call(self, Parking place) except -1
    @cython.locals(call=AppCall, ended=cython.bint, after=Parking)
    cpdef go_on(self, Parking place, Parking host)
