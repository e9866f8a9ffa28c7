from hypercorn.objects cimport same_text
from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport
from hypercorn.wire.http1 cimport FieldEncoder, RequestParser, encode_chunk, encode_last_chunk, encode_response

cdef tuple STATUS_LINES
cdef bytes EARLY_HINTS, CRLF, CLOSE, KEEP_ALIVE, CHUNKED

cdef object UPGRADE_REQUIRED

cdef class ResponseWriter(Connection):
    cdef public RequestParser parser
    cdef public Stream stream
    cdef public bint writing_paused
    cdef public Py_ssize_t unsent
    cdef public bint request_done
    cdef public bint expect
    cdef public bint http10
    cdef public bint keep_alive
    cdef public bint bodyless
    cdef public bint head_sent
    cdef public int status
    cdef public bytes fields
    cdef public long long length
    cdef public bint chunked
    cdef public bint app_close
    cdef public bint has_date
    cdef public bint has_server
    cdef public bint with_trailers
    cdef public bytes trailer_fields
    cpdef answer(self, int status, str reason)
    cpdef send_head(self, bytes data, bint end)
    cpdef bytes server_fields(self, bint has_date, bint has_server)
    cpdef bint body_stays_unread(self) except -1
    cpdef response_ended(self)
    cpdef cut(self)
    cpdef close(self)
    cpdef linger(self)
