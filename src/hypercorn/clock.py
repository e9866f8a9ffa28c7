"""The two clocks that every request reads."""

from __future__ import annotations

from time import monotonic, time

__all__ = ("monotonic", "unix_seconds")


def unix_seconds() -> int:
    """Whole seconds since 1970 (POSIX)."""
    return int(time())
