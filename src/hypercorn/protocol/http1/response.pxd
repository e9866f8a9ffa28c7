# types of response.py
from hypercorn.objects cimport same_text
from hypercorn.protocol.ports cimport Context, Transport
from hypercorn.wire.http1 cimport RequestParser
from hypercorn.wire.http1_primitives cimport encode_chunk, encode_response
from hypercorn.wire.writing cimport FieldEncoder, encode_last_chunk

cdef int UNDECIDED, NO_BODY, SIZED, CHUNKED, UNTIL_CLOSE
cdef Py_ssize_t COPIED_BYTES
cdef tuple STATUS_LINES
cdef bytes EARLY_HINTS, CRLF, CLOSE, KEEP_ALIVE, CHUNKED_CODING

cdef class ResponseWriter:
    cdef public Transport transport
    cdef public Context context
    cdef public RequestParser parser
    cdef public int status
    cdef public int framing
    cdef public long long length
    cdef public bytes fields
    cdef public bytes trailer_fields
    cdef public bint head_sent
    cdef public bint http10
    cdef public bint has_date
    cdef public bint has_server
    cdef public bint with_trailers
    cpdef start(self, int status, headers, bint trailers)
    cpdef announce(self, long long length)
    cpdef bint send_head(self, bytes data, bint end, bint keep_alive) except -1
    cpdef bint send_trailers(self, headers, bint end) except -1
    cpdef send_hints(self, headers)
    cpdef int send_error(self, int status, str reason) except -1
    cpdef bytes server_fields(self, bint has_date, bint has_server)
    cpdef bytes without_alt_svc(self, bytes fields)
