from hypercorn.clock cimport unix_seconds
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.runtime cimport Runtime
from hypercorn.wire.head cimport RequestHead

cdef class ASGIContext(Context):
    cdef public object app
    cdef public object logger
    cdef public object access
    cdef public bint records
    cdef public object request_opened
    cdef public object arm_deadline
    cdef public object connection_replaced
    cdef public bint gated
    cdef public object proxy
    cdef public dict answers
    cdef public bint missing_trailers
    cdef public object overload
    cdef public object overloaded
    cdef public object misdirected
    cdef public dict state
    cdef public str root_path
    cdef public str added_path
    cdef public bytes added_raw_path
    cdef public bint pathsend
    cdef public bint with_date
    cdef public bytes server_field
    cdef public bytes alt_svc
    cdef public long long date
    cdef public bytes date_field
    cdef public bytes plain_fields
    cdef public list plain_pairs
    cdef public list alt_svc_pairs
    cpdef record(self, exchange, double duration)
    cpdef renew_date(self, long long now)
