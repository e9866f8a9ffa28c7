# types of files.py
from hypercorn.asgi.exchange cimport Awaitable

cdef class SendFile(Awaitable):
    cdef public int fd
    cdef public long long offset
    cdef public long long left
    cdef public bint end
    cpdef release(self)
