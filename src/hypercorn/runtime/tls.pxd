cimport cython

from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport

cdef Py_ssize_t RECORD, BATCH, SEALED
cdef object take_in, take_out

cdef class TLSTransport(Transport):
    cdef public TLSConnection session
    cdef public bint closing

cdef class TLSConnection(Connection):
    cdef public object worker
    cdef public object incoming
    cdef public object outgoing
    cdef public object ssl_object
    cdef public object engine
    cdef public bint begun
    cdef public bint handshaken
    cdef public TLSTransport plain
    cpdef answer_plain(self)
    cpdef bint handshake(self) except -1
    @cython.locals(pieces=list, size=Py_ssize_t, full=bint, wanted=Py_ssize_t, data=bytes)
    cpdef decrypt(self, Py_ssize_t waiting)
    cpdef hand_up(self, bytes data)
    cpdef encrypt(self, bytes data)
    @cython.locals(data=bytes)
    cpdef send_encrypted(self)
    cpdef say_goodbye(self)
