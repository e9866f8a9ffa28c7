# types of http2_head.py
cimport cython

from hypercorn.objects cimport same_text
from hypercorn.wire.head cimport RequestHead
from hypercorn.wire.hpack cimport Field

cdef int GOOD, MALFORMED
cdef int AUTHORITY, BAD_PSEUDO, COOKIE, EXPECT, FORBIDDEN, HOST, LENGTH, METHOD, PATH, PRIORITY, PROTOCOL, REGULAR
cdef int SCHEME, TE, USUAL

@cython.final
cdef class HTTP2Head(RequestHead):
    cdef public bytes protocol, priority, scheme, host_field
    cdef public Py_ssize_t cookie_at
    cdef public list crumbs
    cdef public bint takes_trailers
    cpdef clear(self)

@cython.locals(headers=list, seen=int, regular=bint, verdict=int, field=Field, kind=int)
cpdef int judge_request(list fields, HTTP2Head head) except -2
cpdef bint take_pseudo(HTTP2Head head, int kind, Field field) except -1
cpdef take_cookie(HTTP2Head head, Field field)
cpdef int judge_target(HTTP2Head head, int seen) except -2
cpdef int judge_whole(HTTP2Head head, int seen, int verdict) except -2
@cython.locals(value=bytes)
cpdef int take_regular(HTTP2Head head, int kind, Field field, int verdict) except -2
cpdef bint take_host(HTTP2Head head, int has_authority) except -1
cpdef take_target(HTTP2Head head, memo)
