cimport cython
from cpython.object cimport PyObject

cdef enum:
    KEPT = 64  # objects of a kind that are kept

cpdef new_object(kind)
cpdef bytes part_of(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef Py_ssize_t references(thing) noexcept
cpdef copy_of(context)
cpdef bint is_untouched(thing) except -1
cpdef bint same_text(one, str other) except -1

@cython.final
cdef class Slot:
    cdef Py_ssize_t offset
    cpdef get(self, thing)
    cpdef set(self, thing, value)

cdef struct Copy:
    PyObject* copy
    PyObject* empty
    PyObject* inner  # or NULL
    bint changed

@cython.final
cdef class Copies:
    cdef dict template
    cdef list empty_at
    cdef object inner_at  # a key or None
    cdef bint told  # of changes
    cdef Py_ssize_t count, last
    cdef Copy given[KEPT]
    cdef bint is_back(self, Py_ssize_t i) noexcept
    cpdef dict take(self)
    cpdef dict make(self)
    cdef dict fresh(self)
    cdef PyObject* watched(self, dict it) except NULL
    cdef forget(self, Copy* one)
    cdef let(self, PyObject* it)
