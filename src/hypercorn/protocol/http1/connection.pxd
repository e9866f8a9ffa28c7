from hypercorn.objects cimport same_text
from hypercorn.protocol.http1.life cimport HTTP1Life
from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport
from hypercorn.wire.http1 cimport RequestParser

cdef int HEAD, BODY, ERROR
cdef int NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, HANDSHAKE
cdef Py_ssize_t PIPELINE_BUFFER
cdef bytes CONTINUE, PRIOR

cdef class HTTP1Connection(HTTP1Life):
    cdef public long long requests
    cdef public bint advancing
    cdef public long long received
    cpdef hold_pipelined(self)
    cpdef need_data(self, RequestParser parser)
    cpdef head_received(self, RequestParser parser)
    cpdef handshake_received(self, RequestParser parser)
    cpdef piece_received(self, RequestParser parser)
    cpdef exchange_ended(self)
