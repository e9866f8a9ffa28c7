cimport cython

from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport

cdef Py_ssize_t RECORD, BATCH, SEALED, SLICE
cdef long long BARREN, WORTH
cdef object take_in, take_out

cdef class TLSTransport(Transport):
    cdef public TLSConnection session
    cdef public bint closing

cdef class TLSConnection(Connection):
    cdef public object worker
    cdef public object incoming
    cdef public object outgoing
    cdef public object ssl_object
    cdef public bint begun
    cdef public bint handshaken
    cdef public long long barren
    cdef public TLSTransport plain
    cpdef answer_plain(self)
    cpdef bint handshake(self) except -1
    @cython.locals(
        encrypted=bytes, end=Py_ssize_t, at=Py_ssize_t, waiting=Py_ssize_t, pieces=list, size=Py_ssize_t, full=bint,
        wanted=Py_ssize_t,
    )
    cpdef decrypt(self, bytes data)
    @cython.locals(size=Py_ssize_t)
    cpdef Py_ssize_t feed(self, bytes encrypted, Py_ssize_t at) except -1
    cpdef hand_up(self, bytes data)
    @cython.locals(waiting=Py_ssize_t)
    cpdef look_after(self)
    cpdef encrypt(self, bytes data)
    @cython.locals(data=bytes)
    cpdef send_encrypted(self)
    cpdef say_goodbye(self)
