"""Hypercorn: an ASGI and WSGI server for asyncio, uvloop and trio with a compiled core."""

from __future__ import annotations

from typing import Any

from hypercorn._build import choose

__all__ = ("Config", "__version__", "build")

__version__ = "1.0.0"
_BUILD = choose()


def build() -> str:
    """The build that runs in this process: "compiled" or "pure"."""
    return _BUILD


def __getattr__(name: str) -> Any:
    # Config is loaded when first asked for, so that importing one module of the package stays cheap.
    if name == "Config":
        from hypercorn.config import Config

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
