"""The choice between the compiled reactor and the loop's transports (`runtime = auto|reactor|loop`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.errors import ConfigError
from hypercorn.protocol.runtime import Runtime

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.runtime.reactor import Reactor


def new_reactor(choice: str, runtime: Runtime, log: ErrorLog) -> Reactor | None:
    """A reactor for a worker, or None where the loop's transports serve it.

    Raises ConfigError where `reactor` was asked for by name and cannot be had.
    """
    if choice == "loop":
        return None
    try:
        from hypercorn.runtime import reactor

        if not reactor.available():
            raise OSError("this platform has neither epoll nor kqueue")
        return reactor.Reactor(runtime, log)
    except ImportError:
        no_reactor(choice, "this is the pure build")
    except OSError as error:
        no_reactor(choice, str(error))
    return None


def no_reactor(choice: str, why: str) -> None:
    """The reactor cannot be had: an error only where nothing else will do."""
    if choice == "reactor":
        raise ConfigError(f"runtime = 'reactor' cannot be had: {why}")
