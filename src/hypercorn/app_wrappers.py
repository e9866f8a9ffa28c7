"""The application wrappers of earlier releases: old names, which warn and go in version 2.0."""

from __future__ import annotations

from hypercorn.compat import PLACES, old_module

__all__ = tuple(PLACES[__name__])
__getattr__ = old_module(__name__)
