"""A program whose requests wait in functions of known names, for `python -m asyncio pstree`.

Its argument is who serves them: `plain`, or who moves the bytes of a server; with a loop, `asyncio` or `uvloop`. It
prints a line once the request waits, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

from tests.support.live import eventually, run
from tests.support.peer import Peer, request

import hypercorn.asyncio
from hypercorn.config import Config

waiting = threading.Event()


async def innermost() -> None:
    """Where a request waits."""
    waiting.set()
    await asyncio.sleep(600)


async def handler() -> None:
    """Waits for a task of its own."""
    await asyncio.create_task(innermost(), name="of the handler")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The application."""
    await handler()


def wait() -> None:
    """Says that the request waits, and then for the end of the input."""
    eventually(waiting.is_set)
    print("waits", flush=True)
    sys.stdin.read()


async def in_a_plain_task() -> None:
    """The twin."""
    task = asyncio.create_task(application({}, None, None))
    await asyncio.get_running_loop().run_in_executor(None, wait)
    task.cancel()


async def under_the_server(runtime: str) -> None:
    """The server, on the main thread as the twin: Python 3.14 shows no tasks of other threads."""
    config = Config(bind=["127.0.0.1:0"], runtime=runtime, lifespan="off", graceful_timeout=0.1)
    async with hypercorn.asyncio.server(application, config) as running:
        port = int(running.addresses[0].rsplit(":", 1)[1])
        await asyncio.get_running_loop().run_in_executor(None, ask, port)


def ask(port: int) -> None:
    """A request that is not answered."""
    with Peer(("127.0.0.1", port)) as peer:
        peer.send(request())
        wait()


def main() -> None:
    who, backend = sys.argv[1:]
    if who == "plain":
        run(backend, in_a_plain_task)
    else:
        run(backend, under_the_server, who)


if __name__ == "__main__":
    main()
