from hypercorn.protocol.ports cimport Runtime

cdef object Task, monotonic

cdef class AsyncioLoop(Runtime):
    cdef public object loop
    cdef public set calls
    cdef public object ended
    cdef public object variables
    cdef public bint eager
    cpdef call_done(self, task)
