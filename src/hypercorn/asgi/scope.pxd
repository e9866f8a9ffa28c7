from hypercorn.asgi.context cimport ASGIContext
from hypercorn.protocol.ports cimport Transport
from hypercorn.wire.http1 cimport RequestParser

cpdef dict http_scope(ASGIContext context, Transport transport, RequestParser head)
