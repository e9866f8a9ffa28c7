"""The choice between the compiled reactor and the loop's transports (`runtime = auto|reactor|loop`)."""

from __future__ import annotations

from typing import Any

from hypercorn.errors import ConfigError
from hypercorn.protocol.runtime import Runtime


def new_reactor(choice: str, runtime: Runtime, log: object) -> Any:
    """A reactor for a worker, or None where the loop's transports serve it.

    Raises ConfigError where `reactor` was asked for by name and cannot be had.
    """
    if choice == "loop":
        return None
    try:
        from hypercorn.runtime.reactor import Reactor, available
    except ImportError:
        return no_reactor(choice, "this is the pure build")
    if not available():
        return no_reactor(choice, "this platform has neither epoll nor kqueue")
    try:
        return Reactor(runtime, log)
    except OSError as error:
        return no_reactor(choice, str(error))


def no_reactor(choice: str, why: str) -> None:
    """The reactor cannot be had: an error only where nothing else will do."""
    if choice == "reactor":
        raise ConfigError(f"runtime = 'reactor' cannot be had: {why}")
