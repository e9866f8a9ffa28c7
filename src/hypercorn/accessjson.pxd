cimport cython

cdef object _quote
cdef str _NULL

cdef class JSONLines:
    cdef public long long second
    cdef public str stamp
    @cython.locals(
        second="long long", milliseconds=int, seconds="long long", microseconds=int, host=str, agent=str, referer=str,
        request_id=str, name=bytes, value=bytes,
    )
    cpdef str line(self, dict scope, status, response_headers, long long sent, double duration)

cpdef str quoted(bytes value)
