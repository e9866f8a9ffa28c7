"""The link of a worker to whoever started it: the supervisor's process, or the command in this one.

The worker tells of its life, and asks what it may do. Nothing here knows of processes; `supervisor/` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypercorn.runtime.worker import Worker


class Link:
    """A worker that belongs to nobody: `serve()` in somebody's program."""

    shared = False  # other processes accept on the same sockets
    supervised = False  # a terminal's SIGINT is not for this process
    speaks = True  # the worker logs where it runs
    owns_process = False  # the process serves and does nothing else
    app: Any = None  # the application, where it was loaded ahead
    tls: Any = None  # the `LiveContext`, where one was made ahead

    def attach(self, worker: Worker, call: Callable[[Callable[[], Any]], Any]) -> None:
        """The worker's loop runs. `call` runs a function on it, from any thread."""

    def signals(self) -> dict[str, Callable[[], None]]:
        """Signals to handle beside those that end the worker: what to do on the loop, by name."""
        return {}

    def started(self, addresses: list[str]) -> None:
        """The worker accepts connections."""

    def recycle(self, reason: str) -> bool:
        """The worker has done as much as it should. True where it goes on until it is told to stop."""
        return False

    def stopping(self) -> None:
        """The worker was asked to stop, and begins to drain."""

    def drained(self) -> None:
        """The worker's last connection has ended; the application's shutdown comes next."""

    def over(self, failure: BaseException | None, seconds: float) -> None:
        """The application's shutdown has ended, and `failure` is what went wrong with the server. Threads of the
        application that still run have so many seconds."""
