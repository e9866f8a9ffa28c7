# types of records.py
cimport cython

from hypercorn.metrics.counters cimport Counters

@cython.final
cdef class Records:
    cdef public object access, logger
    cdef public Counters counters
    cdef public bint kept, missing_trailers
    cpdef write(self, exchange, double duration)
