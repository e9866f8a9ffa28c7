from hypercorn.asgi.call cimport ASGIStream, new_call, receive_of, send_of
from hypercorn.asgi.context cimport ASGIContext

cdef object CoroutineType

cdef class Exchange(ASGIStream):
    cdef public ASGIContext context
    cdef public dict scope
    cdef public int status
    cdef public object headers
    cdef public long long expected
    cdef public long long sent
    cdef public long long received
    cdef public bint logged
    cdef public double started_at
    cpdef record(self)
