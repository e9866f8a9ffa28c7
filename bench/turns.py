"""How long a burst of requests holds the event loop, and when its first answer arrives.

    python -m bench.turns                     asyncio, uvloop and trio

A task in the loop sleeps 1 ms, over and over, and keeps its longest gap, beside 500 pipelined requests whose
applications compute for 1 ms each (limit: 20 ms). Then 20 pipelined requests of 10 ms each: when the first answer
arrives (limit: 30 ms).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

import sniffio

from bench.processes import ServerProcess, free_port

BURST, BURST_MS, GAP_LIMIT_MS = 500, 1, 20
SERIES, SERIES_MS, FIRST_LIMIT_MS = 20, 10, 30
TICK_SECONDS = 0.001
LOOPS = ("asyncio", "uvloop", "trio")
longest = 0.0


async def tick() -> None:
    """Sleeps for short times, and keeps the longest time in which it could not go on."""
    global longest
    if sniffio.current_async_library() == "trio":
        from trio import sleep
    else:
        from asyncio import sleep
    while True:
        before = time.perf_counter()
        await sleep(TICK_SECONDS)
        longest = max(longest, time.perf_counter() - before - TICK_SECONDS)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """`/MILLISECONDS` computes for so long; `/longest` answers the longest gap, in milliseconds, and forgets it."""
    global longest
    if scope["type"] == "lifespan":
        await serve_lifespan(receive, send)
        return
    if scope["path"] == "/longest":
        body, longest = b"%.2f" % (longest * 1000), 0.0
    else:
        until = time.perf_counter() + int(scope["path"][1:]) / 1000
        while time.perf_counter() < until:
            pass
        body = b"x"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def serve_lifespan(receive: Any, send: Any) -> None:
    """The ticker lives as long as the server."""
    await receive()
    if sniffio.current_async_library() == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            nursery.cancel_scope.cancel()
    else:
        import asyncio

        task = asyncio.create_task(tick())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        task.cancel()
    await send({"type": "lifespan.shutdown.complete"})


def ask(port: int, path: str, count: int) -> tuple[float, bytes]:
    """Sends pipelined requests. Returns the milliseconds to the first answer, and all answers."""
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        begin = time.perf_counter()
        sock.sendall(request * count)
        data = sock.recv(65536)
        first = (time.perf_counter() - begin) * 1000
        while data.count(b"HTTP/1.1 200") < count or not data.rpartition(b"\r\n\r\n")[2]:
            data += sock.recv(65536)
    return first, data


def measure(loop: str) -> tuple[float, float]:
    """The longest gap and the time of the first answer, in milliseconds."""
    port = free_port()
    command = [sys.executable, "-m", "hypercorn", "-k", loop, "-w", "0", "-b", f"127.0.0.1:{port}", "bench.turns:app"]
    with ServerProcess(command, port, os.environ):
        ask(port, "/0", 100)
        ask(port, "/longest", 1)
        ask(port, f"/{BURST_MS}", BURST)
        gap = float(ask(port, "/longest", 1)[1].rpartition(b"\r\n\r\n")[2])
        first, _ = ask(port, f"/{SERIES_MS}", SERIES)
    return gap, first


def main() -> int:
    """Returns 1 where a limit was passed."""
    good = True
    for loop in LOOPS:
        gap, first = measure(loop)
        good = good and gap <= GAP_LIMIT_MS and first <= FIRST_LIMIT_MS
        limits = f"limits: {GAP_LIMIT_MS} and {FIRST_LIMIT_MS}"
        print(f"{loop:8} longest gap {gap:5.1f} ms, first answer {first:5.1f} ms ({limits})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
