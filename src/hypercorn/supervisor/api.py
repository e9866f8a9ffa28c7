"""The supervisor as a part of somebody's program."""

from __future__ import annotations

import threading

from hypercorn.config import Config
from hypercorn.errors import HypercornError
from hypercorn.supervisor.arbiter import Arbiter

__all__ = ("Supervisor", "SupervisorError")


class SupervisorError(HypercornError):
    """The workers could not start. `code` is what the command would have exited with."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the workers could not start (exit code {code})")
        self.code = code


class Supervisor:
    """Worker processes that serve `config.application_path`, beside the program that made this.

    Signals are the program's. Every method may be called from any thread. Not on Windows.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._arbiter: Arbiter | None = None
        self._ready = threading.Event()
        self._code: int | None = None
        self._thread = threading.Thread(target=self._run, name="hypercorn-arbiter", daemon=True)

    def _run(self) -> None:
        arbiter = Arbiter(self.config)
        arbiter.monitor.serving_callbacks.append(self._ready.set)
        self._arbiter = arbiter
        try:
            self._code = arbiter.run()
        finally:
            self._ready.set()

    def start(self) -> None:
        """Starts the workers, and returns when one serves. Raises SupervisorError where none can."""
        self._thread.start()
        self._ready.wait()
        if self._code is not None:
            self._thread.join()
            raise SupervisorError(self._code)

    @property
    def addresses(self) -> list[str]:
        """The URLs that are served."""
        return list(self._running.addresses)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that serve."""
        return [worker.pid for worker in list(self._running.workers.values()) if worker.ready]

    def scale(self, count: int) -> None:
        """Changes the number of workers."""
        self._running.call(lambda: self._running.scale(count, "the program"))

    def reload(self) -> None:
        """Replaces every worker, one after the other."""
        self._running.call(lambda: self._running.reload("the program"))

    def stop(self, timeout: float | None = None) -> int | None:
        """Ends the server gracefully. Returns the exit code, or None where it takes longer than `timeout` seconds."""
        if self._arbiter is not None and self._code is None:
            arbiter = self._arbiter
            arbiter.call(lambda: arbiter.stop("the program"))
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits for the end. Returns as `stop` does."""
        self._thread.join(timeout)
        return self._code

    @property
    def _running(self) -> Arbiter:
        if self._arbiter is None:
            raise RuntimeError("the supervisor was not started")
        return self._arbiter

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
