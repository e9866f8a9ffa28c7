# types of over_stream.py
from hypercorn.protocol.mux.connection cimport ErrorCodes
from hypercorn.protocol.mux.stream cimport MuxStream
from hypercorn.protocol.ports cimport Exchange, Transport
from hypercorn.protocol.websocket.connection cimport WebSocketConnection

cdef int CLOSED, ENDING, HALF_CLOSED_LOCAL, OPEN

cdef class StreamTransport(Transport):
    cdef public Transport below
    cdef public MuxStream stream
    cdef public Exchange tunnel
    cdef public bytearray held
    cdef public bint reading, ended, outer

    cpdef receive(self, bytes data, bint complete)
    cpdef deliver(self)

cdef class Tunnel(Exchange):
    cdef public MuxStream stream
    cdef public Exchange exchange
    cdef public StreamTransport transport
    cdef public WebSocketConnection socket

    cpdef WebSocketConnection accept(self, extension)
