from hypercorn.clock cimport unix_seconds
from hypercorn.protocol.ports cimport Connection, Context, Runtime, Stream, Transport
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
    cdef public object overload
    cdef public object busy
    cdef public dict state
    cdef public str root_path
    cdef public Py_ssize_t max_app_queue_size
    cdef public bint with_date
    cdef public bytes server_field
    cdef public bytes alt_svc
    cdef public long long date
    cdef public bytes date_field
    cdef public bytes plain_fields
    cdef public list plain_pairs
    cdef public list alt_svc_pairs
    cpdef record(self, stream, double duration)
    cpdef renew_date(self, long long now)
