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
