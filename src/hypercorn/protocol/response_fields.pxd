# types of response_fields.py
cimport cython

from hypercorn.clock cimport unix_seconds

@cython.final
cdef class ResponseFields:
    cdef public bint with_date, secure_alt_svc
    cdef public bytes server_line, date_line, lines, more, alt_svc, keep_alive_hint
    cdef public list pairs, more_pairs, alt_svc_pairs
    cdef public long long second
    cpdef renew(self, long long now)
    cpdef bytes encoded(self, bint has_date, bint has_server)
    cpdef list in_pairs(self, bint has_date, bint has_server)
