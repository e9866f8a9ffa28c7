"""A server on an event loop of its own, for a thread beside the one that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypercorn.asyncio.worker import AsyncioRuntime, run_worker
from hypercorn.config import Config
from hypercorn.runtime.server import Server
from hypercorn.runtime.worker import Worker


def serve_here(
    app: object, config: Config, mode: str | None, loop_name: str, started: Callable[[Server], None]
) -> None:
    """Serves in this thread, on "asyncio" or "uvloop", until the server that `started` was given is shut down.

    Raises as `hypercorn.asyncio.serve` does, and ImportError where uvloop is not installed.
    """
    if loop_name == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()

    async def main() -> None:
        runtime = AsyncioRuntime(loop)
        worker = Worker(app, config, runtime, mode)
        await run_worker(worker, runtime, started=lambda: started(Server(worker, loop.call_soon_threadsafe)))

    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
    finally:
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True) if tasks else asyncio.sleep(0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
