"""What a request costs where the server costs nothing: the call of the application alone, and the kernel.

    python -m bench.floors [--case starlette wait ...] [--loop asyncio uvloop trio] [--seconds 2]

`call` is the application's call as a task of the loop, 64 at once, with `receive` and `send` that do nothing. `kernel`
is the system time of this project's server under load. The sum is the floor of a case, to hold beside what the servers
need (`python -m bench.servers`). Times are CPU in us of a request.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bench.cases import CASES, Case
from bench.catalogue import all_servers, chosen
from bench.processes import ServerError, cpu_times, end_on_termination, free_port
from bench.servers import load_by

FLOORS = ("sleep0", "starlette", "varied", "wait", "fastapi", "fastapi-sync")
AT_ONCE = 64
ROUNDS = 40  # between two looks at the clock
WARM_SECONDS = 0.3


def scope_of(case: Case) -> dict[str, Any]:
    """The scope of a case's request."""
    path, _, query = case.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }


async def receive() -> dict[str, Any]:
    """A request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    """Takes a message, and does nothing with it."""


async def timed(batch: Callable[[], Awaitable[object]], seconds: float) -> float:
    """CPU of a call in us, where a batch makes AT_ONCE of them."""
    each = 0.0
    for lasts in (WARM_SECONDS, seconds):
        count, began, end = 0, time.process_time(), time.monotonic() + lasts
        while time.monotonic() < end:
            for _ in range(ROUNDS):
                await batch()
            count += ROUNDS * AT_ONCE
        each = (time.process_time() - began) / count * 1e6
    return each


async def on_asyncio(call: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> float:
    """CPU of a call in us, on the running loop of asyncio or uvloop."""
    loop = asyncio.get_running_loop()
    return await timed(lambda: asyncio.wait([loop.create_task(call()) for _ in range(AT_ONCE)]), seconds)


async def on_trio(call: Callable[[], Awaitable[None]], seconds: float) -> float:
    """CPU of a call in us, on trio."""
    import trio

    async def batch() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(call)

    return await timed(batch, seconds)


def call_cost(case: Case, loop: str, seconds: float) -> float:
    """CPU of the application's call in us."""
    module, _, name = case.app.partition(":")
    app = getattr(importlib.import_module(module), name)
    scope = scope_of(case)

    async def call() -> None:
        await app(dict(scope), receive, send)

    if loop == "trio":
        import trio

        return float(trio.run(on_trio, call, seconds))
    if loop == "uvloop":
        import uvloop

        return float(uvloop.run(on_asyncio(call, seconds)))
    return asyncio.run(on_asyncio(call, seconds))


def server_cost(case: Case, loop: str, seconds: int) -> tuple[float, float]:
    """User and system time of a request in us, of this project's server. Raises ServerError."""
    server = chosen(all_servers(None), [f"ours-{loop}*"])[0]  # the compiled build where it is there
    with server.start(case.app, free_port()) as process:
        load_by(case, process.port, 1)
        before = cpu_times(process.pid)
        load = load_by(case, process.port, seconds)
        after = cpu_times(process.pid)
    user, system = ((after[place] - before[place]) / load.requests * 1e6 for place in (0, 1))
    return user, system


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 when nothing could be measured."""
    parser = argparse.ArgumentParser("python -m bench.floors", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--case", nargs="+", choices=FLOORS, default=FLOORS)
    parser.add_argument(
        "--loop", nargs="+", choices=("asyncio", "uvloop", "trio"), default=("asyncio", "uvloop", "trio")
    )
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args(arguments)
    end_on_termination()
    print(f"{'us of CPU':14}{'loop':9}{'call':>8}{'kernel':>8}{'floor':>8}{'server':>8}")
    try:
        for name in options.case:
            for loop in options.loop:
                call = call_cost(CASES[name], loop, options.seconds)
                user, kernel = server_cost(CASES[name], loop, options.seconds)
                print(f"{name:14}{loop:9}{call:8.1f}{kernel:8.1f}{call + kernel:8.1f}{user + kernel:8.1f}", flush=True)
    except ServerError as error:
        print(f"bench.floors: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
