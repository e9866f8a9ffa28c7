# types of head.py
from libc.stdint cimport int64_t


cdef class RequestHead:
    cdef public str method, http_version, path
    cdef public bytes raw_target, raw_path, query_string, upgrade, host
    cdef public list headers
    cdef public int64_t content_length
    cdef public bint chunked, complete, expect_continue, may_push


cdef class HeadLines(RequestHead):
    cdef readonly Py_ssize_t end, scanned
    cdef readonly int method_length, minor
    cdef readonly bytes authority
    cdef readonly bint https
    cdef readonly list fields
    cdef readonly bytes value
    cdef readonly Py_ssize_t section_size, count
    cdef readonly int hosts, lengths, upgrades, options
    cdef readonly bytes expectation
    cdef readonly list codings

    cdef begin_lines(self)
    cdef begin_section(self)
