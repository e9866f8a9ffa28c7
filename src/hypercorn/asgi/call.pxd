cimport cython

from hypercorn.protocol.ports cimport Connection, Stream, Transport
from hypercorn.protocol.runtime cimport Runtime

cdef int CREATED, BEGUN, ENDED

cdef class ASGIStream(Stream):
    cdef public Runtime runtime
    cdef public bint gone, over, dismissed
    cdef public list parked  # or None: no waiter
    cpdef dict take(self)
    cpdef perform(self, message)
    cpdef bint must_wait(self) except -1
    cpdef call(self)
    cpdef call_ended(self, error)
    @cython.locals(transport=Transport, began=bint)
    cpdef end_call(self, error)
    cpdef bint must_give_way(self) except -1
    @cython.locals(transport=Transport)
    cpdef park(self)
    @cython.locals(parked=list)
    cpdef wake(self)

cdef class Awaitable:
    cdef public ASGIStream stream
    cdef public object waiter
    cdef public object inner
    cpdef bint ready(self) except -1
    cpdef result(self)
    cpdef close(self)

cdef class Drain(Awaitable):
    pass

cdef class Receive(Awaitable):
    cdef object __weakref__
    cdef public dict message
    cdef public int state

@cython.final
cdef class Send:
    cdef object __weakref__
    cdef public ASGIStream stream
    cdef public object message
    cdef public object rest
    cdef public int state
    @cython.locals(stream=ASGIStream, transport=Transport, began=bint)
    cdef begin(self)
