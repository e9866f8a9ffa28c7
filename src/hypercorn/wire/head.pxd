# types of head.py
from libc.stdint cimport int64_t


cdef class RequestHead:
    cdef public str method, http_version, path
    cdef public bytes raw_target, raw_path, query_string, upgrade, host
    cdef public list headers
    cdef public int64_t content_length
    cdef public bint chunked, complete, expect_continue, may_push, known_target
