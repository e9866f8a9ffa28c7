# types of budgets.py
cimport cython

from hypercorn.protocol.runtime cimport Runtime

cdef class Budget:
    cdef public double burst, left, rate, since

cdef class Allowance:
    cdef public Runtime runtime
    cdef public double resets
    cdef public list budgets
    @cython.locals(budget=Budget, now=double)
    cpdef bint spend(self, int kind) except -1
    @cython.locals(budget=Budget)
    cpdef refund(self, int kind, double tokens)
