"""Serving on asyncio, and on uvloop, which is an asyncio loop.

await serve(app, config)                                  until SIGINT or SIGTERM
await serve(app, config, shutdown_trigger=event.wait)     until the trigger returns
async with server(app, config) as running: ...            until the block ends
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, Protocol

from hypercorn.application_types import Framework
from hypercorn.asgi.loading import resolve
from hypercorn.asyncio.worker import AsyncioRuntime, run_worker
from hypercorn.config import Config
from hypercorn.runtime.server import Server
from hypercorn.runtime.worker import Worker

__all__ = ("serve", "server")


class _TaskStatus(Protocol):
    """As anyio's `TaskGroup.start` passes it."""

    def started(self, value: list[str]) -> object: ...


async def serve(
    app: str | Framework,
    config: Config,
    *,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    mode: Literal["asgi", "wsgi"] | None = None,
    task_status: _TaskStatus | None = None,
) -> None:
    """Serves an application on the running loop, until the trigger returns or a signal comes.

    Without a `shutdown_trigger` SIGINT, SIGTERM and SIGBREAK end the server, where this runs in the main thread; in
    another thread no signal is handled. Cancelling the task ends the server gracefully. `mode` says what kind of
    application it is, where it cannot be told from its form. `app` may be named as on the command line ("module:app").
    `task_status` is told the real addresses once connections are accepted (anyio's `await group.start(serve, app,
    config)`).

    Raises LifespanFailureError or LifespanTimeoutError when the application's startup or shutdown fails, OSError when
    a bind fails, ConfigError for a wrong option, NoAppError for an application that cannot be loaded, RuntimeError
    where no loop of asyncio runs.
    """
    loop = _running_loop("serve")
    warn_of_ignored(config)
    runtime = AsyncioRuntime(loop)
    worker = Worker(resolve(app, config), config, runtime, mode)

    def started() -> None:
        if task_status is not None:
            task_status.started(list(worker.addresses))

    await run_worker(
        worker,
        runtime,
        shutdown_trigger=shutdown_trigger,
        handle_signals=shutdown_trigger is None,
        started=started,
    )


@asynccontextmanager
async def server(
    app: str | Framework, config: Config, *, mode: Literal["asgi", "wsgi"] | None = None
) -> AsyncIterator[Server]:
    """Serves an application while the block runs: from the moment that it accepts connections, to a graceful end.

    The server that it gives has the real `addresses` and `shutdown()`. No signal is handled. Raises as `serve` does.
    """
    warn_of_ignored(config, stacklevel=4)  # contextlib stands between
    loop = _running_loop("server")
    runtime = AsyncioRuntime(loop)
    worker = Worker(resolve(app, config), config, runtime, mode)
    started = loop.create_future()
    task = asyncio.ensure_future(run_worker(worker, runtime, started=lambda: started.set_result(None)))
    try:
        await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task  # raises why it did not start
        yield Server(worker, loop.call_soon_threadsafe)
    finally:
        worker.stop()
        try:
            await task
        finally:
            started.cancel()


def _running_loop(name: str) -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"hypercorn.asyncio.{name}() needs a running loop of asyncio; under trio use hypercorn.trio.{name}()"
        ) from None


def warn_of_ignored(config: Config, stacklevel: int = 3) -> None:
    """Warns of options that mean nothing inside somebody else's loop."""
    if config.debug:
        warnings.warn("The config `debug` has no affect when using serve", Warning, stacklevel=stacklevel)
    if config.workers != 1:
        warnings.warn("The config `workers` has no affect when using serve", Warning, stacklevel=stacklevel)
    if config.reload:
        warnings.warn("The config `reload` has no effect when using serve", Warning, stacklevel=stacklevel)
    if config.worker_class != "asyncio":
        warnings.warn("The config `worker_class` has no affect when using serve", Warning, stacklevel=stacklevel)
