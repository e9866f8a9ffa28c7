cimport cython

from hypercorn.asgi.call cimport AppCall, ASGIStream, Drain, Receive, Done
from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Connection

# What the application has sent so far, as C numbers; and names looked up at every request.
cdef int REQUEST, STARTED, BODY, TRAILERS, COMPLETE
cdef Py_ssize_t QUEUE_BYTES, MANY_PIECES
cdef object DONE, CoroutineType

cdef class HTTPStream(ASGIStream):
    cdef public ASGIContext context
    cdef public dict scope
    cdef public bint complete
    cdef public bint last_given
    cdef public bint half_closed
    cdef public list pieces
    cdef public Py_ssize_t queued
    cdef public long long received
    cdef public list request_trailers  # or None
    cdef public int state
    cdef public int status
    cdef public object headers
    cdef public bint over
    cdef public bint trailers
    cdef public bint trailers_wanted
    cdef public bint bodyless
    cdef public long long expected
    cdef public long long sent
    cdef public bint logged
    cdef public double started_at
    cpdef answered(self, int status)
    cpdef open(self, Connection connection, ASGIContext context, dict scope, bint complete)
    cpdef dict last_message(self, bytes data)
    cpdef take_message(self, dict message)
    cpdef send_start(self, dict message)
    cpdef send_body(self, dict message)
    cpdef overrun(self, bytes rest)
    cpdef send_trailers(self, dict message)
    cpdef ended(self)
    cpdef response_sent(self)
    cpdef record(self)

@cython.locals(stream=HTTPStream)
cpdef HTTPStream open_stream(Connection connection, ASGIContext context, dict scope, bint complete)
