"""Worker processes on trio, as the command line starts them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from hypercorn.asgi.loading import load_configured
from hypercorn.config import Config
from hypercorn.net.sockets import Sockets
from hypercorn.runtime.contract import Link
from hypercorn.runtime.ports import StopEvent
from hypercorn.runtime.worker import Worker
from hypercorn.trio.worker import TrioRuntime, run_worker


async def worker_serve(
    app: object,
    config: Config,
    *,
    sockets: Sockets | None = None,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    link: Link | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves a loaded application until the trigger returns or, without one, a signal comes. Raises as `serve`."""
    runtime = TrioRuntime(quiet=True)
    worker = Worker(app, config, runtime, link=link)
    await run_worker(
        worker,
        runtime,
        sockets=sockets,
        shutdown_trigger=shutdown_trigger,
        handle_signals=shutdown_trigger is None,
        started=lambda: task_status.started(list(worker.addresses)),
    )


def trio_worker(
    config: Config, sockets: Sockets | None = None, shutdown_event: StopEvent | None = None, link: Link | None = None
) -> None:
    """Loads the application before trio runs, as an import may take long, then serves it."""
    app = None if link is None else link.app
    if app is None:
        app = load_configured(config)

    async def main() -> None:
        trigger = None if shutdown_event is None else event_trigger(shutdown_event)
        await worker_serve(app, config, sockets=sockets, shutdown_trigger=trigger, link=link)

    trio.run(main)


def event_trigger(event: StopEvent) -> Callable[[], Awaitable[None]]:
    """A trigger that waits for an event of `threading` or `multiprocessing`."""

    async def trigger() -> None:
        while not event.is_set():
            await trio.sleep(0.1)

    return trigger
