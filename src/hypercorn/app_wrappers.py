"""The earlier place of the application wrappers."""

from __future__ import annotations

from hypercorn.asgi.loading import ASGIWrapper
from hypercorn.asgi.wsgi import InvalidPathError, WSGIWrapper, _build_environ

__all__ = ("ASGIWrapper", "InvalidPathError", "WSGIWrapper", "_build_environ")
