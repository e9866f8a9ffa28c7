cimport cython

from hypercorn.asgi.context cimport ASGIContext
from hypercorn.objects cimport Copies, same_text
from hypercorn.protocol.ports cimport Transport
from hypercorn.wire.head cimport RequestHead

cdef str SPEC_VERSION
cdef dict SCHEMES
cdef Copies ASGI
cdef dict OLD, PLAIN, MORE
cdef Extensions BARE
cdef list _sessions

@cython.final
cdef class Extensions:
    cdef Copies old, plain, more
    cdef Copies of(self, str version, bint chunked)

@cython.locals(known=dict, extensions=Extensions)
cdef Extensions session_extensions(dict tls)

@cython.final
cdef class ScopeTemplate:
    cdef str version, method, path
    cdef bytes raw_path, query_string
    cdef Extensions extensions
    cdef dict scope
    cdef take_target(self, RequestHead head)

@cython.locals(scope=dict, extensions=dict, known=Extensions, offered=Extensions, version=str, template=ScopeTemplate)
cpdef dict http_scope(ASGIContext context, Transport transport, RequestHead head)

cpdef dict websocket_scope(ASGIContext context, Transport transport, RequestHead head, list subprotocols)
