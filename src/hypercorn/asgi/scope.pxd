cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Transport
from hypercorn.wire.http1 cimport RequestParser

cdef str SPEC_VERSION
cdef dict SCHEMES

@cython.locals(scope=dict)
cpdef dict http_scope(ASGIContext context, Transport transport, RequestParser head)

cpdef dict websocket_scope(ASGIContext context, Transport transport, RequestParser head, list subprotocols)
