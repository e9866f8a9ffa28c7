# types of loop.py
cimport cython

from hypercorn.asgi.exchange cimport ASGIExchange
from hypercorn.clock cimport monotonic
from hypercorn.protocol.runtime cimport Runtime

cdef bint EAGER
cdef str NESTING
cdef dict MODULES

cdef class AsyncioLoop(Runtime):
    cdef public object loop
    cdef public object get_task_factory
    cdef public object run_call
    cdef public object run_call_in_turn
    cdef public object task_class
    cdef public dict calls
    cdef public object ended
    cdef public object ended_call
    cdef public bint failed
    cdef public dict task_options
    cdef public object variables
    @cython.locals(options=dict)
    cpdef spawn(self, call)
    cpdef retrieve(self, task)
