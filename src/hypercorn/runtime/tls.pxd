# types of tls.py
cimport cython

from hypercorn.protocol.ports cimport Connection, Context, Exchange, Transport

cdef Py_ssize_t RECORD_BYTES, BATCH_BYTES, GATHER_BYTES, SLICE_BYTES
cdef long long MOST_EMPTY_BYTES, DATA_WEIGHT
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
    cdef public long long empty_bytes
    cdef public TLSTransport plain
    cpdef refuse_plain_http(self)
    cpdef shake_hands(self)
    cpdef decrypt_in_turn(self, bytes data)
    cpdef bint handshake(self) except -1
    @cython.locals(
        encrypted=bytes, end=Py_ssize_t, at=Py_ssize_t, waiting=Py_ssize_t, pieces=list, size=Py_ssize_t, full=bint,
        wanted=Py_ssize_t,
    )
    cpdef decrypt(self, bytes data)
    @cython.locals(size=Py_ssize_t)
    cpdef Py_ssize_t feed(self, bytes encrypted, Py_ssize_t at) except -1
    cpdef deliver(self, bytes data)
    @cython.locals(waiting=Py_ssize_t)
    cpdef flush_key_updates(self)
    cpdef encrypt(self, bytes data)
    @cython.locals(data=bytes)
    cpdef send_encrypted(self)
    cpdef send_close_notify(self)
