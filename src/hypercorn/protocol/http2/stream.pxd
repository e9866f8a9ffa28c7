# types of stream.py
cimport cython

from hypercorn.objects cimport part_of
from hypercorn.protocol.mux.connection cimport Multiplexer
from hypercorn.protocol.mux.stream cimport MuxStream
from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport
from hypercorn.protocol.states cimport Transitions
from hypercorn.wire.http2_writer cimport FieldLine, FieldLines, FrameWriter

cdef Py_ssize_t GATHER_BYTES, SEPARATE_BYTES
cdef int CLOSED, HALF_CLOSED_REMOTE, NO_HEAD, OPEN, RESERVED, STARTED
cdef Transitions STREAM

cdef class HTTP2Stream(MuxStream):
    cdef public FrameWriter writer
    cdef public bint has_date, has_server

    @cython.locals(last=bint, size=Py_ssize_t, mux=Multiplexer)
    cpdef bint body(self, Exchange exchange, bytes data, bint end) except -1
    @cython.locals(fields=FieldLines)
    cpdef long long set_fields(self, headers, bint omit_length) except? -2
    @cython.locals(context=Context, fields=FieldLines, more=list)
    cpdef send_head(self, bint end)
    @cython.locals(writer=FrameWriter, size=Py_ssize_t, whole=bint)
    cpdef write_data(self, bytes data, Py_ssize_t start, Py_ssize_t stop, bint end)
