# types of streams.py
from hypercorn.asgi.context cimport ASGIContext, Gate
from hypercorn.asgi.http cimport open_exchange
from hypercorn.asgi.scope cimport http_scope, websocket_scope
from hypercorn.asgi.websocket cimport WebSocketExchange
from hypercorn.protocol.ports cimport Connection, Exchange
from hypercorn.wire.head cimport HeadLines, RequestHead

cdef class StreamContext(ASGIContext):
    cpdef bint serves_scope(self, dict scope) except -1
    cpdef ASGIContext pass_gate(self, Connection connection, dict scope, RequestHead head, Gate gate)
    cpdef ASGIContext pass_gate_to_websocket(self, Connection connection, dict scope, Gate gate)
    cpdef WebSocketExchange websocket_exchange(self, Connection connection, ASGIContext context, dict scope, handshake)
    cpdef dict refused_scope(self, Connection connection, RequestHead head)
