# types of scheduler.py
cimport cython

@cython.final
cdef class Scheduler:
    cdef public list queues
    cdef public Py_ssize_t waiting

    cpdef add(self, object stream, int urgency)
    cpdef remove(self, object stream, int urgency)
    cpdef first(self)
