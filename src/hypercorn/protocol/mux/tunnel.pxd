from hypercorn.protocol.mux.stream cimport HTTP2Stream
from hypercorn.protocol.ports cimport Stream, Transport
from hypercorn.protocol.websocket cimport WebSocketConnection

cdef int CANCEL, NO_ERROR

cdef class StreamTransport(Transport):
    cdef public Transport below
    cdef public HTTP2Stream stream
    cdef public Stream tunnel
    cdef public bytearray held
    cdef public bint reading, ended, outer

    cpdef receive(self, bytes data, bint complete)
    cpdef deliver(self)
    cpdef end_of_stream(self)

cdef class WebSocketOnStream(WebSocketConnection):
    pass

cdef class Tunnel(Stream):
    cdef public HTTP2Stream stream
    cdef public Stream exchange
    cdef public StreamTransport pipe
    cdef public WebSocketConnection socket

    cpdef WebSocketConnection accept(self, extension)
