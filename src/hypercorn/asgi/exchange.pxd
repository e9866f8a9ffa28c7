cimport cython

from hypercorn.asgi.call cimport ASGIStream
from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Transport
from hypercorn.protocol.runtime cimport Runtime

cdef class Exchange(ASGIStream):
    cdef public ASGIContext context
    cdef public dict scope
    cdef public int status
    cdef public object headers
    cdef public long long expected
    cdef public long long sent
    cdef public long long received
    cdef public bint logged
    cdef public bint calling
    cdef public bint counted
    cdef public str method
    cdef public bytes raw_path
    cdef public double started_at
    @cython.locals(runtime=Runtime, transport=Transport, began=bint, since=double)
    cpdef begin(self)
    cpdef record(self)
    cpdef count(self, double duration)
    cpdef leave_call(self)
