# types of exchange.py
cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Connection, Exchange, Transport
from hypercorn.protocol.runtime cimport Runtime

cdef int CREATED, BEGUN, ENDED, PENDING, LOGGED, COUNTED

cdef class ASGIExchange(Exchange):
    cdef public Runtime runtime
    cdef public bint gone, over, cancelled_by_server
    cdef public list waiters  # or None: no waiter
    cdef public ASGIContext context
    cdef public dict scope
    cdef public int status
    cdef public object headers
    cdef public long long expected
    cdef public long long sent
    cdef public long long received
    cdef public bint calling
    cdef public int recorded
    cdef public str method
    cdef public bytes raw_path
    cdef public double started_at
    cpdef dict take(self)
    cpdef perform(self, message)
    cpdef bint must_wait(self) except -1
    cpdef call(self)
    cpdef call_ended(self, error)
    @cython.locals(transport=Transport, began=bint)
    cpdef end_call(self, error)
    cpdef bint should_yield(self) except -1
    @cython.locals(transport=Transport)
    cpdef new_waiter(self)
    @cython.locals(waiters=list)
    cpdef wake(self)
    @cython.locals(runtime=Runtime, transport=Transport, began=bint, since=double)
    cpdef begin(self)
    cpdef record(self)
    cpdef count(self, double duration)
    cpdef leave_call(self)

cdef class CoroutineAttributes:
    cdef public int state

cdef class Awaitable(CoroutineAttributes):
    cdef public ASGIExchange exchange
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

@cython.final
cdef class Send(CoroutineAttributes):
    cdef object __weakref__
    cdef public ASGIExchange exchange
    cdef public object message
    cdef public object rest
    @cython.locals(exchange=ASGIExchange, transport=Transport, began=bint)
    cdef begin(self)
