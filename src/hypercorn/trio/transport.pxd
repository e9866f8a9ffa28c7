# types of transport.py
from hypercorn.protocol.ports cimport Connection, Transport
from hypercorn.protocol.runtime cimport Runtime
from hypercorn.protocol.states cimport Transitions

cdef int OPEN, HALF_CLOSING, HALF_CLOSED, CLOSING, CLOSED

cdef class TrioTransport(Transport):
    cdef public object worker
    cdef public object sock
    cdef public object start_writer
    cdef public object close_socket
    cdef public object read_waiter
    cdef public list pending
    cdef public Py_ssize_t pending_size
    cdef public Py_ssize_t high_water
    cdef public bint writing
    cdef public int sending
    cpdef shut(self)
    cpdef half_close(self)
    cpdef wake_reader(self)
