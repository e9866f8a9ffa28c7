cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Transport
from hypercorn.wire.head cimport RequestHead

cdef str SPEC_VERSION
cdef dict SCHEMES

cpdef dict extensions_of(str version, bint chunked)

@cython.locals(scope=dict, version=str)
cpdef dict http_scope(ASGIContext context, Transport transport, RequestHead head)

cpdef dict websocket_scope(ASGIContext context, Transport transport, RequestHead head, list subprotocols)
