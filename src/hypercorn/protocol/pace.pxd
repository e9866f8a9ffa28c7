cdef double BLOCKED, AGAIN
cdef double BURST

cdef class Pace:
    cdef public double rate, left, due
    cdef public long long octets
    cpdef run(self, double now)
    cpdef rest(self, double now)
    cpdef bint late(self, double now, double most) except -1

cpdef double output_seconds(double rate, double grace) except -1
