cimport cython

from hypercorn.protocol.mux.budgets cimport Allowance
from hypercorn.protocol.ports cimport Connection, Context, Transport
from hypercorn.wire.http2_writer cimport FieldLines, FrameWriter

cdef int UPDATES
cdef Py_ssize_t USEFUL, PIECE, GATHER, SEPARATE

cdef class Sender(Connection):
    cdef public unsigned int id
    cdef public bint incremental
    cdef public Py_ssize_t pending
    cdef public bint queued
    cdef public long long send_window
    cdef public int urgency
    cpdef Py_ssize_t send_piece(self, Py_ssize_t limit) except -1

cdef class Multiplexer(Connection):
    cdef public FrameWriter writer
    cdef public FieldLines fields
    cdef public Allowance allowance
    cdef public long long send_window
    cdef public bint writing_paused
    cdef public long long unsent, body_octets
    cdef public bint lost
    cdef public list queues
    cdef public Py_ssize_t waiting
    cdef public dict streams
    cdef public Py_ssize_t zombies
    @cython.locals(transport=Transport)
    cpdef written(self)
    cpdef flush_frames(self)
    @cython.locals(writer=FrameWriter)
    cpdef write_data(self, unsigned int stream_id, bytes data, bint end)
    cpdef enqueue(self, Sender sender)
    cpdef dequeue(self, Sender sender)
    cpdef most_urgent(self)
    @cython.locals(sender=Sender, limit=Py_ssize_t, sent=Py_ssize_t)
    cpdef pump(self)
    cpdef stream_ended(self, Sender sender)
    cpdef reset_stream(self, Sender sender, unsigned int code)
    cpdef keep_reading(self, Sender sender)
    cpdef promise(self, Sender sender, bytes authority, str path, headers)
    cpdef long long grow(self, Sender sender) except -1
    cpdef wait_until(self, double when)
