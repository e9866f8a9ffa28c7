"""The compiled twin of `objects.py`."""

from types import MemberDescriptorType

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.contextvars cimport PyContext_Copy
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.string cimport memcmp, memset

cdef extern from "Python.h":
    ctypedef object (*newfunc)(PyTypeObject* kind, object arguments, PyObject* named)
    ctypedef PyObject* (*allocfunc)(PyTypeObject*, Py_ssize_t) except NULL
    ctypedef void (*freefunc)(void*) noexcept
    ctypedef struct PyTypeObject:
        newfunc tp_new
        allocfunc tp_alloc
        freefunc tp_free
        Py_ssize_t tp_basicsize, tp_weaklistoffset
    PyTypeObject* Py_TYPE(object value)
    PyTypeObject* type_of "Py_TYPE"(PyObject* value)
    PyObject* PyObject_Init(PyObject* memory, PyTypeObject* kind)
    void PyObject_GC_Track(void* thing) noexcept
    PyObject* PyType_GenericAlloc(PyTypeObject* kind, Py_ssize_t items) except NULL
    void PyObject_GC_Del(void* thing) noexcept
    Py_ssize_t Py_REFCNT(object value)
    Py_ssize_t references_to "Py_REFCNT"(PyObject* value)
    bint PyUnicode_CheckExact(object value)
    Py_ssize_t PyUnicode_GET_LENGTH(object value)
    int PyUnicode_KIND(object value)
    void* PyUnicode_DATA(object value)
    PyObject** _PyObject_GetDictPtr(object value)
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member

cdef extern from "objects.h":
    bint LOCKED "HC_LOCKED"
    ctypedef void (*hc_changed)(PyObject* it) noexcept
    int hc_watcher(hc_changed tell)
    int hc_watch(int watcher, object it) except -1
    int hc_unwatch(int watcher, object it) except -1

__all__ = ("Copies", "Slot", "copy_of", "is_untouched", "new_object", "part_of", "pool", "references", "same_text")

cdef enum:
    KINDS = 4  # classes whose objects' memory is kept
    TOLD = 64  # Copies whose dicts go out again

cdef struct Pool:
    PyTypeObject* kind
    Py_ssize_t count
    PyObject* free[KEPT]

cdef Pool pools[KINDS]
cdef Py_ssize_t used = 0
cdef tuple NOTHING = ()


cpdef new_object(kind):
    """An object of a class as its `__new__` makes it, without arguments."""
    cdef PyTypeObject* it = <PyTypeObject*>kind
    return it.tp_new(it, NOTHING, NULL)


cpdef Py_ssize_t references(thing) noexcept:
    """As `sys.getrefcount`, of what is given to it in C."""
    return Py_REFCNT(thing)


cpdef copy_of(context):
    """A copy of a context (contextvars)."""
    return PyContext_Copy(context)


cpdef bint is_untouched(thing) except -1:
    """True where an object that one local variable has is known to nobody else, not even weakly, and has got no
    attributes: so it can serve again as if it were new."""
    cdef PyTypeObject* kind = Py_TYPE(thing)
    cdef PyObject** attributes
    if not LOCKED or Py_REFCNT(thing) != 1:
        return False
    attributes = _PyObject_GetDictPtr(thing)
    if attributes is NULL or attributes[0] is not NULL:
        return False
    # Below zero it stands before the object; the sum is right all the same.
    return kind.tp_weaklistoffset == 0 or (<PyObject**>(<char*><void*>thing + kind.tp_weaklistoffset))[0] is NULL


@cython.final
cdef class Slot:
    """A member of a class with `__slots__`, got and set without looking it up in its objects' class. Whoever uses it
    gives it objects of that class: nothing here looks."""

    def __init__(self, member):
        if type(member) is not MemberDescriptorType:
            raise TypeError("not a member of a class with __slots__")
        self.offset = (<PyMemberDescrObject*>member).d_member.offset

    cpdef get(self, thing):
        cdef PyObject* value = (<PyObject**>(<char*><void*>thing + self.offset))[0]
        return None if value is NULL else <object>value

    cpdef set(self, thing, value):
        cdef PyObject** place = <PyObject**>(<char*><void*>thing + self.offset)
        cdef PyObject* before = place[0]
        Py_INCREF(value)
        place[0] = <PyObject*>value
        Py_XDECREF(before)


cpdef bytes part_of(bytes data, Py_ssize_t start, Py_ssize_t end):
    """`data[start:end]`, where 0 <= start <= end <= len(data)."""
    if not 0 <= start <= end <= PyBytes_GET_SIZE(data):
        raise IndexError("not a part of these octets")
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, end - start)


cdef inline Pool* pool_of(PyTypeObject* kind) noexcept:
    cdef Py_ssize_t i
    for i in range(used):
        if pools[i].kind is kind:
            return &pools[i]
    return NULL


cdef PyObject* take(PyTypeObject* kind, Py_ssize_t items) except NULL:
    """The classes' `tp_alloc`."""
    cdef Pool* pool = pool_of(kind)
    cdef PyObject* thing
    if pool is NULL or pool.count == 0:
        return PyType_GenericAlloc(kind, items)
    pool.count -= 1
    thing = pool.free[pool.count]
    memset(thing, 0, kind.tp_basicsize)
    PyObject_Init(thing, kind)
    PyObject_GC_Track(thing)
    return thing


cdef void give(void* thing) noexcept:
    """Their `tp_free`: what comes here is not tracked any more."""
    cdef Pool* pool = pool_of(type_of(<PyObject*>thing))
    if pool is NULL or pool.count >= KEPT:
        PyObject_GC_Del(thing)
        return
    pool.free[pool.count] = <PyObject*>thing
    pool.count += 1


def pool(kind):
    """Keeps the memory of some objects of a compiled class for the next ones: the allocator and the collector's books
    cost more than most of what is made for a request. Not where threads run without a lock."""
    global used
    cdef PyTypeObject* it = <PyTypeObject*>kind
    if LOCKED and used < KINDS and pool_of(it) is NULL and it.tp_free is <freefunc>PyObject_GC_Del:
        pools[used].kind = it
        pools[used].count = 0
        used += 1
        it.tp_alloc = <allocfunc>take
        it.tp_free = <freefunc>give


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


cdef list watching = []  # the Copies that are told of changes


cdef void changed(PyObject* it) noexcept:
    """Somebody is about to change a copy, or a dict in it."""
    cdef Copies copies
    cdef Copy* one
    cdef Py_ssize_t i
    for copies in watching:
        for i in range(copies.count):
            one = &copies.given[i]
            if one.copy is it or one.empty is it or one.inner is it:
                one.changed = True
                return


cdef int watcher = hc_watcher(changed)


@cython.final
cdef class Copies:
    """Copies of a small dict, one for each who asks. Where a value is Ellipsis they have an empty dict of their own,
    the same one in all such places; where one value is a dict, a copy of that. One that nobody has any more goes out
    again if nobody has changed it, where the interpreter tells of changes: to make and to free one costs more."""

    def __init__(self, dict template):
        self.template = template
        self.empty_at = [key for key, value in template.items() if value is ...]
        self.inner_at = next((key for key, value in template.items() if type(value) is dict), None)
        self.count = 0
        self.last = -1
        self.told = watcher >= 0 and len(watching) < TOLD
        if self.told:
            watching.append(self)

    cdef bint is_back(self, Py_ssize_t i) noexcept:
        """True where the copy at `i` is nobody's and unchanged."""
        cdef Copy* one = &self.given[i]
        return (
            not one.changed
            and references_to(one.copy) == 1
            and references_to(one.empty) == 1 + PyList_GET_SIZE(self.empty_at)
            and (one.inner is NULL or references_to(one.inner) == 2)
        )

    cpdef dict take(self):
        """A copy that nobody else has."""
        if self.count and self.is_back(0):
            self.last = 0
        else:
            self.last += 1
            if self.last >= self.count or not self.is_back(self.last):
                return self.fresh()
        return <dict>self.given[self.last].copy

    cpdef dict make(self):
        """One for somebody who is going to change it: it does not come back."""
        cdef dict copy = self.template.copy(), empty = {}
        for key in self.empty_at:
            copy[key] = empty
        if self.inner_at is not None:
            copy[self.inner_at] = (<dict>self.template[self.inner_at]).copy()
        return copy

    cdef dict fresh(self):
        """One that is made, and remembered for when it comes back."""
        cdef dict copy = self.make()
        cdef Copy* one
        if not self.told or self.last >= KEPT:
            self.last = -1
            return copy
        one = &self.given[self.last]
        if self.last < self.count:
            self.forget(one)
        else:
            self.count += 1
        one.copy = self.watched(copy)
        one.empty = self.watched(copy[self.empty_at[0]] if self.empty_at else {})
        one.inner = NULL if self.inner_at is None else self.watched(copy[self.inner_at])
        one.changed = False
        return copy

    cdef PyObject* watched(self, dict it) except NULL:
        """A dict that is kept, and whose changes are told."""
        hc_watch(watcher, it)
        Py_INCREF(it)
        return <PyObject*>it

    cdef forget(self, Copy* one):
        """Lets a copy be of those who have it."""
        self.let(one.copy)
        self.let(one.empty)
        if one.inner is not NULL:
            self.let(one.inner)

    cdef let(self, PyObject* it):
        hc_unwatch(watcher, <object>it)
        Py_DECREF(<object>it)
