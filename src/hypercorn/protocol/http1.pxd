from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport
from hypercorn.wire.http1 cimport FieldEncoder, RequestParser, encode_chunk, encode_last_chunk

cdef int HEAD, BODY, ERROR
cdef int NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE
cdef Py_ssize_t PIPELINE_BUFFER, LINGER_BYTES
cdef dict STATUS_LINES
cdef bytes CONTINUE, EARLY_HINTS, CRLF, CLOSE, KEEP_ALIVE, CHUNKED
cdef object UPGRADE_REQUIRED

cdef class HTTP1Connection(Connection):
    cdef public RequestParser parser
    cdef public Stream stream
    cdef public long long requests
    cdef public bint open
    cdef public bint advancing
    cdef public bint resume
    cdef public bint reading_paused
    cdef public bint writing_paused
    cdef public bint eof
    cdef public bint lingering
    cdef public bint lost
    cdef public long long unread
    cdef public Py_ssize_t unsent
    cdef public bint request_done
    cdef public bint expect
    cdef public long long received
    cdef public bint http10
    cdef public bint keep_alive
    cdef public bint upgrading
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
    cdef public int waiting_for
    cpdef end_of_input(self)
    cpdef advance(self)
    cpdef hold_pipelined(self)
    cpdef need_data(self, RequestParser parser)
    cpdef head_received(self, RequestParser parser)
    cpdef handshake_received(self, RequestParser parser)
    cpdef leave(self)
    cpdef piece_received(self, RequestParser parser)
    cpdef refuse(self, error)
    cpdef answer(self, int status, str reason)
    cpdef send_head(self, bytes data, bint end)
    cpdef bint body_stays_unread(self) except -1
    cpdef response_ended(self)
    cpdef exchange_ended(self)
    cpdef cut(self)
    cpdef close(self)
    cpdef linger(self)
    cpdef wait_for_peer(self)
    cpdef wait(self, int what, double seconds)
