# twin of objects.py
"""The compiled twin of `objects.py`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object value)
    Py_ssize_t PyUnicode_GET_LENGTH(object value)
    int PyUnicode_KIND(object value)
    void* PyUnicode_DATA(object value)

__all__ = ("part_of", "same_text")


cpdef bytes part_of(bytes data, Py_ssize_t start, Py_ssize_t end):
    """`data[start:end]`, where 0 <= start <= end <= len(data)."""
    if not 0 <= start <= end <= PyBytes_GET_SIZE(data):
        raise IndexError("not a part of these octets")
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start)


cpdef bint same_text(one, str other) except -1:
    """`one == other`, told from the characters."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(other)
    if one is other:
        return True
    if not PyUnicode_CheckExact(one):
        return one == other
    return (
        PyUnicode_GET_LENGTH(one) == length
        and PyUnicode_KIND(one) == PyUnicode_KIND(other)
        and memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), length * PyUnicode_KIND(other)) == 0
    )
