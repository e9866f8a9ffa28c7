"""Every option, declared once: `Config`, command line, environment and validation come from these tables."""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.config.options import (
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
from hypercorn.config.options.option import ENV_PREFIX, UNSET, Option

__all__ = [
    "ALIASES",
    "BY_NAME",
    "ENV_OTHERS",
    "ENV_PREFIX",
    "OPTIONS",
    "UNSET",
    "Option",
    "grace_of",
    "limits_of",
    "nearest",
    "number_of",
]

# Variables with that prefix that are no options.
ENV_OTHERS = frozenset({"CONFIG", "PLAIN", "PURE_PYTHON", "NO_EXTENSIONS", "REQUIRE_EXTENSIONS"})

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
# The name of the option for each other name that it has.
ALIASES: dict[str, str] = {alias: option.name for option in OPTIONS for alias in option.aliases}


def limits_of(config: object) -> dict[str, float]:
    """The limits that protocols enforce, by the names of the options: numbers, also where there is no limit."""
    replaced = {option.replaces: getattr(config, option.name) for option in OPTIONS if option.replaces}
    numbers = {}
    for option in OPTIONS:
        if option.limits:
            value = replaced.get(option.name)
            numbers[option.name] = option.number(getattr(config, option.name) if value is None else value)
    return numbers


def number_of(config: object, name: str) -> float:
    """The value of one option as a number, also where it is none: infinity for a time."""
    return BY_NAME[name].number(getattr(config, name))


def grace_of(config: object) -> float:
    """The seconds that open requests have at shutdown: infinity where `graceful_timeout` is none."""
    return number_of(config, "graceful_timeout")


def nearest(name: str, known: Iterable[str] = BY_NAME, cutoff: float = 0.6) -> str | None:
    """The known name that looks most like `name`, or None."""
    import difflib  # not needed to serve

    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return found[0] if found else None
