# types of transport.py
from hypercorn.protocol.ports cimport Connection, Transport
from hypercorn.protocol.runtime cimport Runtime

cdef int OPEN, HALF_CLOSED, CLOSED

cdef class AsyncioTransport(Transport):
    cdef object __weakref__
    cdef public object worker
    cdef public object live_context
    cdef public object loop_transport
    cdef public int sending
    cpdef data_received(self, bytes data)
