cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.objects cimport Copies, same_text
from hypercorn.protocol.ports cimport Transport
from hypercorn.wire.head cimport RequestHead

cdef str SPEC_VERSION
cdef dict SCHEMES
cdef Copies ASGI, EXTENSIONS, OLD_EXTENSIONS, MORE_EXTENSIONS

cpdef Copies offered_extensions(str version, bint chunked)

@cython.final
cdef class ScopeTemplate:
    cdef str version, method, path
    cdef bytes raw_path, query_string
    cdef dict scope
    cdef take_target(self, RequestHead head)

@cython.locals(scope=dict, extensions=dict, offered=Copies, version=str, template=ScopeTemplate)
cpdef dict http_scope(ASGIContext context, Transport transport, RequestHead head)

cpdef dict websocket_scope(ASGIContext context, Transport transport, RequestHead head, list subprotocols)
