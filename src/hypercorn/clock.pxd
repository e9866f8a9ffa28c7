# types of clock.pyx
cpdef double monotonic() noexcept
cpdef long long unix_seconds() noexcept
