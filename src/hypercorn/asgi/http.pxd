# types of http.py
cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.asgi.exchange cimport ASGIExchange, Drain
from hypercorn.objects cimport same_text
from hypercorn.protocol.ports cimport Connection
from hypercorn.wire.head cimport RequestHead

# What the application has sent so far, as C numbers; and names looked up at every request.
cdef int REQUEST, STARTED, BODY, TRAILERS, COMPLETE
cdef int RECEIVING, RECEIVED, TAKEN, NOT_ANNOUNCED, DROPPED, WANTED, PENDING, COUNTED
cdef Py_ssize_t QUEUE_BYTES, MANY_PIECES
cdef object DONE

cdef class HTTPExchange(ASGIExchange):
    cdef public list fields  # of the request
    cdef public str http_version
    cdef public bint may_push
    cdef public int request
    cdef public bint half_closed
    cdef public list pieces
    cdef public Py_ssize_t queued
    cdef public list request_trailers  # or None
    cdef public int state
    cdef public int trailers
    cdef public bint bodyless
    cpdef answered(self, int status)
    cpdef open(self, Connection connection, ASGIContext context, dict scope, RequestHead head)
    cpdef dict last_message(self, bytes data)
    cpdef take_message(self, dict message)
    cpdef send_start(self, dict message)
    cpdef send_body(self, dict message)
    cpdef overrun(self, bytes rest)
    cpdef send_trailers(self, dict message)
    cpdef end_trailers(self)
    cpdef ended(self)
    cpdef response_sent(self)

@cython.locals(exchange=HTTPExchange)
cpdef HTTPExchange open_exchange(Connection connection, ASGIContext context, dict scope, RequestHead head)
