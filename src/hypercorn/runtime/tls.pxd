cimport cython

from hypercorn.protocol.ports cimport Connection, Context, Stream, Transport

cdef Py_ssize_t RECORD, BATCH, SEALED

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
    @cython.locals(pieces=list, size=Py_ssize_t, full=bint, waiting=Py_ssize_t, wanted=Py_ssize_t, data=bytes)
    cpdef decrypt(self)
    cpdef hand_up(self, bytes data)
    cpdef encrypt(self, bytes data)
    cpdef send_encrypted(self)
    cpdef say_goodbye(self)
