from hypercorn.asgi.context cimport ASGIContext
from hypercorn.asgi.http cimport open_stream
from hypercorn.asgi.scope cimport http_scope, websocket_scope
from hypercorn.asgi.websocket cimport WebSocketStream
from hypercorn.protocol.ports cimport Connection, Stream
from hypercorn.wire.head cimport RequestHead

cdef class StreamContext(ASGIContext):
    cpdef bint serves_scope(self, dict scope) except -1
    cpdef Stream open_gated(self, Connection connection, RequestHead head)
