"""Worker processes on asyncio and uvloop, as the command line starts them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypercorn.asgi.loading import load_configured
from hypercorn.asyncio.worker import AsyncioRuntime, run_worker
from hypercorn.config import Config
from hypercorn.net.sockets import Sockets
from hypercorn.runtime.contract import Link
from hypercorn.runtime.ports import StopEvent
from hypercorn.runtime.worker import Worker

CANCELLED_TASKS_SECONDS = 1.0  # seconds that cancelled tasks of the application have


async def worker_serve(
    app: object,
    config: Config,
    *,
    sockets: Sockets | None = None,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    link: Link | None = None,
) -> None:
    """Serves a loaded application until the trigger returns or, without one, a signal comes. Raises as `serve`."""
    runtime = AsyncioRuntime(asyncio.get_running_loop(), quiet=True)
    worker = Worker(app, config, runtime, link=link)
    await run_worker(
        worker, runtime, sockets=sockets, shutdown_trigger=shutdown_trigger, handle_signals=shutdown_trigger is None
    )


def asyncio_worker(
    config: Config, sockets: Sockets | None = None, shutdown_event: StopEvent | None = None, link: Link | None = None
) -> None:
    """Loads the application and serves it on asyncio's own loop."""
    run_process(config, sockets, shutdown_event, None, link)


def uvloop_worker(
    config: Config, sockets: Sockets | None = None, shutdown_event: StopEvent | None = None, link: Link | None = None
) -> None:
    """Loads the application and serves it on uvloop. Raises ImportError where it is not installed."""
    try:
        import uvloop
    except ImportError as error:
        raise ImportError("uvloop is not installed (pip install 'hypercorn[uvloop]')") from error
    run_process(config, sockets, shutdown_event, uvloop.new_event_loop, link)


def run_process(
    config: Config,
    sockets: Sockets | None,
    shutdown_event: StopEvent | None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None,
    link: Link | None,
) -> None:
    """Loads the application before any loop runs, as an import may take long, then serves it."""
    app = None if link is None else link.app
    if app is None:
        app = load_configured(config)
    trigger = None if shutdown_event is None else event_trigger(shutdown_event)
    main = worker_serve(app, config, sockets=sockets, shutdown_trigger=trigger, link=link)
    loop = asyncio.new_event_loop() if new_loop is None else new_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.set_debug(config.debug)
        loop.run_until_complete(main)
    finally:
        try:
            cancel_all(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Ends the tasks that the application left behind."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        done, _ = loop.run_until_complete(asyncio.wait(tasks, timeout=CANCELLED_TASKS_SECONDS))
        for task in done:
            if not task.cancelled():
                task.exception()  # nobody else asks for it


def event_trigger(event: StopEvent) -> Callable[[], Awaitable[None]]:
    """A trigger that waits for an event of `threading` or `multiprocessing`."""

    async def trigger() -> None:
        while not event.is_set():
            await asyncio.sleep(0.1)

    return trigger
