cimport cython

cdef object _quote
cdef str _NULL
cdef Py_ssize_t KNOWN, LONGEST
cdef dict _known

cdef class JSONLines:
    cdef public long long second
    cdef public str stamp
    @cython.locals(
        now=double, second="long long", milliseconds=int, seconds="long long", microseconds=int, host=str, agent=str, referer=str,
        request_id=str, name=bytes, value=bytes,
    )
    cpdef str line(self, dict scope, status, response_headers, long long sent, double duration)

@cython.locals(text=str)
cpdef str quoted(bytes value)
