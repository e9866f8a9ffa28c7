from hypercorn.asgi.exchange cimport ASGIExchange
from hypercorn.clock cimport monotonic
from hypercorn.protocol.runtime cimport Runtime

cdef bint EAGER

cdef class AsyncioLoop(Runtime):
    cdef public object loop
    cdef public object get_task_factory
    cdef public object run_call
    cdef public object run_call_in_turn
    cdef public object task_class
    cdef public dict calls
    cdef public object ended
    cdef public object variables
    cpdef retrieve(self, task)
