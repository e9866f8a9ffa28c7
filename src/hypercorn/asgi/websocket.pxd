# types of websocket.py
from hypercorn.asgi.exchange cimport ASGIExchange, Drain
from hypercorn.objects cimport same_text
from hypercorn.protocol.ports cimport Connection
from hypercorn.protocol.websocket.connection cimport WebSocketConnection

cdef int CONNECTING, DENYING, CONNECTED, CLOSED, PENDING, COUNTED
cdef Py_ssize_t QUEUE_BYTES
cdef double TURN_SECONDS
cdef object DONE
cdef dict RECEIVE

cdef class WebSocketExchange(ASGIExchange):
    cdef public object handshake
    cdef public WebSocketConnection socket
    cdef public int state
    cdef public bint connect_given
    cdef public long long max_queue
    cdef public list arrived
    cdef public list ready
    cdef public Py_ssize_t queued
    cdef public double burst_at
    cdef public int code
    cdef public str reason
    cdef public object subscriber
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
