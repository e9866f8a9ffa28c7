"""A server in a trio run of its own, for a thread beside the one that uses it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from hypercorn.config import Config
from hypercorn.runtime.server import Server
from hypercorn.runtime.worker import Worker
from hypercorn.trio.worker import TrioRuntime, run_worker


def serve_here(
    app: object, config: Config, mode: str | None, loop_name: str, started: Callable[[Server], None]
) -> None:
    """Serves in this thread until the server that `started` was given is shut down. Raises as `hypercorn.trio.serve`
    does."""

    async def main() -> None:
        runtime = TrioRuntime()
        worker = Worker(app, config, runtime, mode)
        await run_worker(worker, runtime, started=lambda: started(Server(worker, runtime.token.run_sync_soon)))

    trio.run(main)
