# types of push.py
cimport cython

@cython.final
cdef class Pushes:
    cdef public bint allowed
    cdef public long long limit
    cdef public Py_ssize_t open
    cdef public unsigned int next_id
