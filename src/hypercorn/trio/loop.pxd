from hypercorn.protocol.ports cimport Runtime

cdef class TrioLoop(Runtime):
    cdef public object token
    cdef public object new_waiter
    cdef public object variables
    cdef public object start_call
    cdef public object run_call
    cdef public object start_timer
