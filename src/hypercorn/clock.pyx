# twin of clock.py
"""The compiled twin of `clock.py`: the same clocks, read without making objects."""

cdef extern from "clock.h":
    double hc_monotonic() nogil
    long long hc_unix_seconds() nogil

__all__ = ("monotonic", "unix_seconds")


cpdef double monotonic() noexcept:
    """Seconds of a clock that never goes back; the same as `time.monotonic`."""
    return hc_monotonic()


cpdef long long unix_seconds() noexcept:
    """Whole seconds since 1970 (POSIX)."""
    return hc_unix_seconds()
