# types of loop.py
from hypercorn.clock cimport monotonic
from hypercorn.protocol.runtime cimport Runtime

cdef class TrioLoop(Runtime):
    cdef public object token
    cdef public object new_waiter
    cdef public object new_scope
    cdef public object variables
    cdef public object start_call
    cdef public object run_call
    cdef public object start_timer
    cdef public dict calls
    cdef public object ended
    cdef public object report
