"""Serving on trio.

await serve(app, config)                                  until SIGINT or SIGTERM
await serve(app, config, shutdown_trigger=event.wait)     until the trigger returns
async with server(app, config) as running: ...            until the block ends
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

import trio

from hypercorn.application_types import Framework
from hypercorn.asgi.loading import resolve
from hypercorn.config import Config
from hypercorn.runtime.server import Server
from hypercorn.runtime.worker import Worker
from hypercorn.trio.worker import TrioRuntime, run_worker

__all__ = ("serve", "server")


async def serve(
    app: str | Framework,
    config: Config,
    *,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    mode: Literal["asgi", "wsgi"] | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves an application in this task, until the trigger returns or a signal comes.

    Without a `shutdown_trigger` SIGINT and SIGTERM end the server, where this runs in the main thread; in another
    thread no signal is handled. Cancelling the task ends the server gracefully. `app` may be named as on the command
    line ("module:app"). `task_status` is told the real
    addresses once connections are accepted (`await nursery.start(serve, app, config)`).

    Raises LifespanFailureError or LifespanTimeoutError when the application's startup or shutdown fails, OSError when
    a bind fails, ConfigError for a wrong option, NoAppError for an application that cannot be loaded, RuntimeError
    outside of trio.
    """
    _check_running("serve")
    warn_of_ignored(config)
    runtime = TrioRuntime()
    worker = Worker(resolve(app, config), config, runtime, mode)
    await run_worker(
        worker,
        runtime,
        shutdown_trigger=shutdown_trigger,
        handle_signals=shutdown_trigger is None,
        started=lambda: task_status.started(list(worker.addresses)),
    )


@asynccontextmanager
async def server(
    app: str | Framework, config: Config, *, mode: Literal["asgi", "wsgi"] | None = None
) -> AsyncIterator[Server]:
    """Serves an application while the block runs: from the moment that it accepts connections, to a graceful end.

    The server that it gives has the real `addresses` and `shutdown()`. No signal is handled. Raises as `serve` does.
    """
    _check_running("server")
    warn_of_ignored(config, stacklevel=4)  # contextlib stands between
    runtime = TrioRuntime()
    worker = Worker(resolve(app, config), config, runtime, mode)
    failures: list[BaseException] = []
    ready = trio.Event()

    async def run() -> None:
        try:
            await run_worker(worker, runtime, started=ready.set)
        except Exception as error:
            failures.append(error)
        ready.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await ready.wait()
        if not failures:
            try:
                yield Server(worker, runtime.token.run_sync_soon)
            finally:
                worker.stop()
    if failures:
        raise failures[0]


def _check_running(name: str) -> None:
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            f"hypercorn.trio.{name}() needs a running loop of trio; under asyncio use hypercorn.asyncio.{name}()"
        )


def warn_of_ignored(config: Config, stacklevel: int = 3) -> None:
    """Warns of options that mean nothing inside somebody else's run."""
    if config.debug:
        warnings.warn("The config `debug` has no affect when using serve", Warning, stacklevel=stacklevel)
    if config.workers != 1:
        warnings.warn("The config `workers` has no affect when using serve", Warning, stacklevel=stacklevel)
    if config.reload:
        warnings.warn("The config `reload` has no effect when using serve", Warning, stacklevel=stacklevel)
    if config.worker_class not in ("asyncio", "trio"):
        warnings.warn("The config `worker_class` has no affect when using serve", Warning, stacklevel=stacklevel)
