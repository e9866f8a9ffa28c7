# types of context.py
cimport cython

from hypercorn.protocol.ports cimport Connection, Context

@cython.final
cdef class Gate:
    cdef public object proxy, overload, overloaded, misdirected, clients, throttled, challenges, challenged, broadcast
    cdef public dict answers

cdef class ASGIContext(Context):
    cdef public object app
    cdef public object request_opened
    cdef public object arm_deadline
    cdef public object connection_replaced
    cdef public Gate gate
    cdef public dict state
    cdef public str root_path
    cdef public str added_path
    cdef public bytes added_raw_path
    cdef public bint pathsend
