"""ASGI applications around an application. Each is loaded when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypercorn.middleware.http_to_https import HTTPToHTTPSRedirectMiddleware
    from hypercorn.middleware.proxy_fix import ProxyFixMiddleware
    from hypercorn.middleware.static import StaticFiles

__all__ = (
    "AsyncioWSGIMiddleware",
    "DispatcherMiddleware",
    "HTTPToHTTPSRedirectMiddleware",
    "ProxyFixMiddleware",
    "StaticFiles",
    "TrioWSGIMiddleware",
)

_MODULES = {
    "AsyncioWSGIMiddleware": "wsgi",
    "DispatcherMiddleware": "dispatcher",
    "HTTPToHTTPSRedirectMiddleware": "http_to_https",
    "ProxyFixMiddleware": "proxy_fix",
    "StaticFiles": "static",
    "TrioWSGIMiddleware": "wsgi",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"hypercorn.middleware.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
