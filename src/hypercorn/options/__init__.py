"""Every option, declared once: `Config`, command line, environment and validation come from these tables."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hypercorn.options import (
    application,
    binding,
    limits,
    logs,
    operations,
    proxy,
    responses,
    timeouts,
    tls,
    websocket,
    workers,
)
from hypercorn.options.option import ENV_PREFIX, UNSET, Option

__all__ = ["BY_NAME", "ENV_OTHERS", "ENV_PREFIX", "OPTIONS", "STORED_AS", "UNSET", "Option", "nearest"]

# Variables with that prefix that are no options.
ENV_OTHERS = frozenset({"CONFIG", "PURE_PYTHON", "NO_EXTENSIONS", "REQUIRE_EXTENSIONS"})

OPTIONS: tuple[Option, ...] = (
    *application.OPTIONS,
    *binding.OPTIONS,
    *workers.OPTIONS,
    *limits.OPTIONS,
    *timeouts.OPTIONS,
    *websocket.OPTIONS,
    *proxy.OPTIONS,
    *operations.OPTIONS,
    *tls.OPTIONS,
    *responses.OPTIONS,
    *logs.OPTIONS,
)

BY_NAME: dict[str, Option] = {option.name: option for option in OPTIONS}
# Options that `Config` keeps behind a property.
STORED_AS: dict[str, str] = {
    "bind": "_bind",
    "insecure_bind": "_insecure_bind",
    "quic_bind": "_quic_bind",
    "root_path": "_root_path",
}


def nearest(name: str, known: Iterable[str] = BY_NAME, cutoff: float = 0.6) -> str | None:
    """The known name that looks most like `name`, or None."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return found[0] if found else None
