"""Hypercorn: an ASGI and WSGI server for asyncio, uvloop and trio with a compiled core."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hypercorn._build import choose

if TYPE_CHECKING:
    from hypercorn.api import run as run
    from hypercorn.api import serve as serve
    from hypercorn.api import server as server
    from hypercorn.config import Config as Config

__all__ = ("Config", "__version__", "build", "run", "serve", "server")

__version__ = "1.0.0"
_BUILD = choose()


def build() -> str:
    """The build that runs in this process: "compiled" or "pure"."""
    return _BUILD


def __getattr__(name: str) -> object:
    # Loaded when first asked for, so that importing one module of the package stays cheap.
    if name == "Config":
        from hypercorn.config import Config

        return Config
    if name == "run":
        return importlib.import_module("hypercorn.run")  # the module of earlier releases, which can be called
    if name in ("serve", "server"):
        return getattr(importlib.import_module("hypercorn.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
