# types of counters.py
cdef class Counters:
    cdef public long long requests_started, requests_ended, requests_aborted
    cdef public long long http1_requests, http2_requests, http3_requests, websocket_requests
    cdef public long long good, quick, bytes_received, bytes_sent
    cdef public double duration
    cdef public bint published
    cdef public object on_change
    cdef public list buckets
    cdef public dict others
    cpdef started(self, str version)
    cpdef ended(self, int status, double seconds, long long sent, long long received)
    cpdef refused(self, int status)

cpdef int bucket_of(double seconds) except -1
