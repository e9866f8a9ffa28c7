# types of scope.py
cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.objects cimport same_text
from hypercorn.protocol.ports cimport Transport
from hypercorn.wire.head cimport RequestHead

cdef str SPEC_VERSION
cdef dict SCHEMES

@cython.locals(empty=dict, extensions=dict, version=str)
cdef dict extensions_of(ASGIContext context, Transport transport, RequestHead head)

@cython.final
cdef class ScopeTemplate:
    cdef str version
    cdef dict scope

@cython.locals(scope=dict, version=str, template=ScopeTemplate)
cpdef dict http_scope(ASGIContext context, Transport transport, RequestHead head)

cpdef dict websocket_scope(ASGIContext context, Transport transport, RequestHead head, list subprotocols)
