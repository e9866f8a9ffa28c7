# types of orphans.py
cimport cython

from hypercorn.protocol.runtime cimport Runtime

cdef double CANCEL_AFTER_SECONDS
cdef int ORPHANED

@cython.final
cdef class OrphanedCalls:
    cdef public Runtime runtime
    cdef public Py_ssize_t count
    cdef public list due

    cpdef cancel_later(self, object stream)
    @cython.locals(now=double, when=double)
    cpdef cancel_due(self)
