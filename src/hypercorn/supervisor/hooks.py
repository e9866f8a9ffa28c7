"""What the operator's code does when a worker has ended.

A lifespan serves for all that a worker does itself. What has to be done for a worker that is gone, also one that was
killed, is `on_worker_exit`: for example prometheus_client's `mark_process_dead`. It runs in a process of its own, as
the supervisor imports no code but this package's.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys

from hypercorn.config import Config

WAIT_SECONDS = 5.0  # that calls have at the end of the server


class WorkerExitHook:
    """Calls `on_worker_exit`, and knows which calls still run."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[bytes]] = []

    def call(self, config: Config, pid: int, code: int) -> None:
        """Starts a call for a worker that has ended with this exit code (negative: a signal). Raises OSError."""
        if config.on_worker_exit is None:
            return
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        folder = os.path.abspath(config.app_dir or "")
        program = (
            f"import sys; sys.path[:0] = [{folder!r}, {root!r}]; from hypercorn.supervisor.hooks import call_function; "
            f"call_function({config.on_worker_exit!r}, {pid}, {code})"
        )
        self.running = [one for one in self.running if one.poll() is None]
        self.running.append(subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL))

    def finish(self) -> None:
        """Waits for the calls that run, though not for long."""
        for process in self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(WAIT_SECONDS)


def call_function(name: str, pid: int, code: int) -> None:
    """Calls "module:function" with a worker's process id and exit code. Raises what that raises."""
    module, _, function = name.partition(":")
    getattr(importlib.import_module(module), function)(pid, code)
