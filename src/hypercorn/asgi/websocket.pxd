from hypercorn.asgi.call cimport AppCall, ASGIStream, Done, Drain, Receive
from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Connection
from hypercorn.protocol.websocket cimport WebSocketConnection

cdef int CONNECTING, DENYING, CONNECTED, CLOSED
cdef Py_ssize_t QUEUE_BYTES
cdef object DONE, CoroutineType
cdef dict RECEIVE

cdef class WebSocketStream(ASGIStream):
    cdef public ASGIContext context
    cdef public dict scope
    cdef public object handshake
    cdef public WebSocketConnection socket
    cdef public int state
    cdef public bint connect_given
    cdef public Py_ssize_t max_queue
    cdef public list arrived
    cdef public list ready
    cdef public Py_ssize_t queued
    cdef public long long received
    cdef public bint over
    cdef public int code
    cdef public str reason
    cdef public int status
    cdef public object headers
    cdef public long long expected
    cdef public long long sent
    cdef public bint logged
    cdef public double started_at
    cpdef end(self, int code, str reason)
    cpdef dict take_message(self)
    cpdef take_up(self, dict message)
    cpdef send_message(self, dict message)
    cpdef send_accept(self, dict message)
    cpdef send_close(self, dict message)
    cpdef answer_403(self)
    cpdef drop_queue(self)
    cpdef send_start(self, dict message)
    cpdef send_body(self, dict message)
    cpdef record(self)
