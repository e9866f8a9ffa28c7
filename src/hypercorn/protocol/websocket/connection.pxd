from hypercorn.protocol.limits cimport Limits
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.states cimport Transitions
from hypercorn.wire.websocket cimport (
    FrameParser, encode_close, encode_message, encode_ping, encode_pong,
)

cdef int OPEN, FAILING, CLOSING, LINGERING, ENDED
cdef int QUIET, HEARD, PINGED
cdef Transitions WEBSOCKET
cdef int CLOSE, ERROR, HELD, MESSAGE, PING
cdef int ABNORMAL
cdef double NEVER
cdef Py_ssize_t LINGER_BYTES, SLICE

cdef class WebSocketConnection(Connection):
    cdef public Limits limits
    cdef public Exchange exchange
    cdef public object extension
    cdef public FrameParser parser
    cdef public int state
    cdef public bint advancing
    cdef public int liveness
    cdef public bint arrivals
    cdef public bint reading_paused
    cdef public bint writing_paused
    cdef public list backlog
    cdef public bint packing
    cdef public bytes pong
    cdef public Py_ssize_t unread
    cdef public Py_ssize_t unsent
    cdef public long long sent
    cdef public bytes held
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
    cpdef stream_ended(self, int code, str reason)
    cpdef bint send_message(self, message) except -1
    cpdef bytes packed(self, message)
    cpdef pack_later(self, message)
    cpdef pack_on(self)
    cpdef pack_rest(self)
    cpdef close(self, int code, str reason)
    cpdef read_on(self)
    cpdef fail(self, int code, str reason, int told)
    cpdef error_received(self, int code, str reason)
    cpdef linger(self)
    cpdef end(self)
    cpdef wait_for_end(self)
    cpdef set_deadline(self)
    cpdef double idle_at(self) except? -1
    cpdef ping_due(self, double now)
    cpdef end_by_server(self, int code, str reason)
