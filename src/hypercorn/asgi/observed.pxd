# types of observed.py
cimport cython

from hypercorn.asgi.exchange cimport ASGIExchange
from hypercorn.asgi.http cimport HTTPExchange
from hypercorn.asgi.scope cimport http_scope
from hypercorn.asgi.streams cimport StreamContext
from hypercorn.asgi.websocket cimport WebSocketExchange
from hypercorn.protocol.ports cimport Connection, Exchange, Transport
from hypercorn.wire.head cimport RequestHead

cdef int NOBODY, TRUSTED, ALL

cdef class ObservedContext(StreamContext):
    cdef public object telemetry
    cdef public int timed
    @cython.locals(transport=Transport, exchange=ObservedHTTPExchange, now=double)
    cpdef Exchange open_http(self, Connection connection, RequestHead head)

cdef class ObservedHTTPExchange(HTTPExchange):
    cdef public double opened_at, called_at
    cdef public bint timed
    cdef public object span
    cdef public str error
    cpdef tuple timing(self)

cdef class ObservedWebSocketExchange(WebSocketExchange):
    cdef public object span
    cdef public str error
