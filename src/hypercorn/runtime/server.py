"""The handle of a running server that `server()` gives."""

from __future__ import annotations

from collections.abc import Callable

from hypercorn.runtime.worker import Worker


class Server:
    """A server that is accepting connections."""

    def __init__(self, worker: Worker, call_threadsafe: Callable[[Callable[[], None]], object]) -> None:
        self._worker = worker
        self._call_threadsafe = call_threadsafe

    @property
    def addresses(self) -> list[str]:
        """The real URLs, ports that the system chose included, in the order of the binds."""
        return list(self._worker.addresses)

    def shutdown(self) -> None:
        """Asks the server to end gracefully. May be called from any thread, and more than once."""
        self._call_threadsafe(self._worker.stop)
