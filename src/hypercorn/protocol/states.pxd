# types of states.py
cimport cython

cdef int STATES

@cython.final
cdef class Transitions:
    cdef readonly str kind
    cdef readonly tuple names
    cdef readonly unsigned long long allowed
    cdef readonly set logged

    cpdef int change(self, int old, int new) except -1
    cpdef impossible(self, int old, int new)
