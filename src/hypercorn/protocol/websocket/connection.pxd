# types of connection.py
from hypercorn.protocol.limits cimport Limits
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.states cimport Transitions
from hypercorn.wire.websocket cimport (
    FrameParser, encode_close, encode_message, encode_ping, encode_pong,
)

cdef int OPEN, FAILING, CLOSING, LINGERING, ENDED
cdef int QUIET, RECEIVED, PINGED
cdef Transitions WEBSOCKET
cdef int CLOSE, ERROR, HELD, MESSAGE, PING
cdef int ABNORMAL
cdef double NEVER
cdef Py_ssize_t LINGER_BYTES, SLICE_BYTES

cdef class WebSocketConnection(Connection):
    cdef public Limits limits
    cdef public Exchange exchange
    cdef public object extension
    cdef public FrameParser parser
    cdef public int state
    cdef public bint advancing
    cdef public int liveness
    cdef public bint has_new_messages
    cdef public bint reading_paused
    cdef public bint writing_paused
    cdef public list backlog
    cdef public bint compress_scheduled
    cdef public bytes pong
    cdef public Py_ssize_t unread
    cdef public long long unsent
    cdef public long long sent
    cdef public bytes early_data
    cdef public int accepted
    cdef public double active_at
    cdef public double ping_at
    cdef public double ends_at
    cdef public double write_by
    cdef public double close_by
    cpdef begin(self)
    cpdef advance(self)
    cpdef message_received(self, message)
    cpdef ping_received(self, bytes payload)
    cpdef close_received(self, int code, str reason)
    cpdef notify_closed(self, int code, str reason)
    cpdef bint send_message(self, message) except -1
    cpdef bytes encode_frame(self, message)
    cpdef compress_later(self, message)
    cpdef compress_next(self)
    cpdef compress_rest(self)
    cpdef close(self, int code, str reason)
    cpdef resume_frames(self)
    cpdef fail(self, int code, str reason, int told_code)
    cpdef error_received(self, int code, str reason)
    cpdef linger(self)
    cpdef end(self)
    cpdef wait_for_end(self)
    cpdef set_deadline(self)
    cpdef double idle_at(self) except? -1
    cpdef ping_due(self, double now)
    cpdef end_by_server(self, int code, str reason)
