from cpython.object cimport PyObject

from hypercorn.protocol.ports cimport Connection, Runtime, Stream, Transport

cdef class ASGIStream(Stream):
    cdef public Runtime runtime
    cdef public bint gone
    cdef public list parked  # or None: no waiter
    cpdef receive(self)
    cpdef send(self, message)
    cpdef dict take(self)
    cpdef bint must_wait(self) except -1
    cpdef call(self)
    cpdef call_ended(self, error)
    cpdef park(self)
    cpdef wake(self)
    cpdef resume(self)

cdef class Awaitable:
    cdef public ASGIStream stream
    cdef public object waiter
    cdef public object inner
    cdef public dict message  # of Receive: here, so that its objects come from the same free list
    cpdef bint ready(self) except -1
    cdef int step(self, value, PyObject** out) except -1
    cpdef result(self)
    cpdef send(self, value)

cdef class Receive(Awaitable):
    pass

cdef class Drain(Awaitable):
    pass

cdef class Done:
    pass

cdef class AppCall:
    cdef public ASGIStream stream
    cdef public object coroutine
    cdef public object context
    cdef public object held
    cdef public bint holding
    cdef public bint over
    cdef public object failure
    cdef public object task
    cpdef bint start(self, context) except -1
    cdef int step(self, value, PyObject** out) except -1
    cpdef send(self, value)
    cpdef ended(self, error, Transport transport)

cpdef AppCall new_call(ASGIStream stream)
cpdef receive_of(ASGIStream stream)
cpdef send_of(ASGIStream stream)
