"""The supervisor as its monitor and its control socket see it. The arbiter fills this contract."""

from __future__ import annotations

import selectors
from collections.abc import Callable

from hypercorn.config import Config
from hypercorn.logs.logger import Logger
from hypercorn.supervisor.pool import ProcessPool
from hypercorn.supervisor.process import WorkerProcess


class ManagedServer:
    """A server with worker processes."""

    config: Config
    log: Logger
    selector: selectors.BaseSelector  # each key's data is called when its file is readable
    pool: ProcessPool
    target: int  # the number of workers that there should be
    generation: int  # of the configuration
    previous: Config | None  # the configuration before, while workers are replaced
    addresses: list[str]
    ever_ready: bool
    handed_over: bool  # another program has the sockets

    @property
    def stopping(self) -> bool:
        """True once the server was told to stop, or has to."""
        raise NotImplementedError

    @property
    def workers(self) -> dict[int, WorkerProcess]:
        """The workers by process id."""
        raise NotImplementedError

    def call(self, function: Callable[[], object]) -> None:
        """Runs a function in the supervisor's loop; from any thread."""
        raise NotImplementedError

    def reload(self, why: str) -> None:
        """Replaces every worker, with a configuration that is read anew."""
        raise NotImplementedError

    def scale(self, count: int, why: str) -> int:
        """Changes the number of workers. Returns what it is now."""
        raise NotImplementedError

    def stop(self, why: str = "", seconds: float | None = None) -> None:
        """Begins a graceful stop, which may take `seconds`."""
        raise NotImplementedError
