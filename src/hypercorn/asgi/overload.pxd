# types of overload.py
from hypercorn.metrics.counters cimport Counters
from hypercorn.protocol.runtime cimport Runtime

cdef class Overload:
    cdef public Runtime runtime
    cdef public Counters counters
    cdef public long long limit
    cdef public double target
    cdef public double batch_at
    cdef public double late_since
    cpdef bint refuses(self) except -1
    cpdef bint is_late(self) except -1
