"""Twice the load that a server can take: what its clients see, with the limits of overload and without.

    python -m bench.overload [--seconds 8] [--burn 2] [--factor 2]

The application computes for `--burn` milliseconds, so that the event loop is what is short. First the load that it
can take is measured, then `--factor` times that much is sent, each request at its time, whether those before were
answered or not (an open loop: a closed one would wait with the server, and so hide what it waits for). Times are
counted from when a request was due.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple

CONNECTIONS = 500
REQUEST = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"
SETTINGS = {
    "no limit": [],
    "limit_concurrency = 20": ["--limit-concurrency", "20"],
    "shed_delay = 50ms": ["--shed-delay", "50ms"],
}
BURN = float(os.environ.get("BURN_MS", "2")) / 1000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Computes for a while, half of it before and half of it after a wait."""
    if scope["type"] != "http":
        return
    burn(BURN / 2)
    await asyncio.sleep(0.001)
    burn(BURN / 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def burn(seconds: float) -> None:
    """Uses the processor for that long, other processes' shares left out."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Result(NamedTuple):
    """What the clients saw: seconds until 200s and 503s, and how many requests found no connection or broke."""

    served: list[float]
    refused: list[float]
    lost: int


class Client(asyncio.Protocol):
    """A connection that asks one thing after the other."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.due = 0.0
        self.busy = False
        self.received = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.free.append(self)

    def ask(self, due: float) -> None:
        """Sends a request that should have been sent at `due`."""
        self.due = due
        self.busy = True
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.received = body[length:]
        self.busy = False
        self.load.answered(self, int(head[9:12]), time.perf_counter() - self.due)

    def connection_lost(self, error: BaseException | None) -> None:
        self.load.broken(self)


class Load:
    """Requests at a rate."""

    def __init__(self) -> None:
        self.free: list[Client] = []
        self.times: dict[int, list[float]] = {200: [], 503: []}
        self.lost = 0
        self.closed = False
        self.closed_loop = False

    def answered(self, client: Client, status: int, seconds: float) -> None:
        """A response has come."""
        self.times.setdefault(status, []).append(seconds)
        if self.closed_loop:
            client.ask(time.perf_counter())
        else:
            self.free.append(client)

    def broken(self, client: Client) -> None:
        """A connection has ended."""
        if not self.closed:
            self.lost += client.busy
            if client in self.free:
                self.free.remove(client)

    async def connect(self, port: int, count: int) -> list[Client]:
        """Opens connections."""
        loop = asyncio.get_running_loop()
        made = []
        for _ in range(count):
            _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", port)
            made.append(client)
        return made

    async def capacity(self, port: int, seconds: float) -> float:
        """Requests a second that a few clients get answered, each as soon as the one before was."""
        self.closed_loop = True
        clients = await self.connect(port, 8)
        self.free.clear()
        start = time.perf_counter()
        for client in clients:
            client.ask(start)
        await asyncio.sleep(seconds)
        self.closed = True
        rate = len(self.times[200]) / (time.perf_counter() - start)
        for client in clients:
            client.transport.abort()
        return rate

    async def flood(self, port: int, rate: float, seconds: float) -> Result:
        """Sends requests at that rate."""
        clients = await self.connect(port, CONNECTIONS)
        start = due = time.perf_counter()
        while due < start + seconds:
            now = time.perf_counter()
            while due <= now:
                if self.free:
                    self.free.pop().ask(due)
                else:
                    self.lost += 1
                due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await asyncio.sleep(1.0)
        self.closed = True
        for client in clients:
            client.transport.abort()
        return Result(sorted(self.times[200]), sorted(self.times[503]), self.lost)


def serve(burn_ms: float, *options: str) -> tuple[subprocess.Popen[str], int]:
    """A server, and its port."""
    command = [sys.executable, "-m", "hypercorn", "-w", "0", "-b", "127.0.0.1:0", *options, "bench.overload:app"]
    environment = {**os.environ, "BURN_MS": str(burn_ms)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if "Running on" in line:
            return process, int(line.split(" (")[0].rpartition(":")[2])
    raise SystemExit("the server did not start")


def quantile(times: list[float], share: float) -> str:
    """Milliseconds, or a dash without any."""
    return f"{times[int(share * (len(times) - 1))] * 1000:.0f}" if times else "-"


def main() -> None:
    """Measures, and writes a table."""
    parser = argparse.ArgumentParser(description="The load of an overloaded server")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--burn", type=float, default=2.0, help="milliseconds of computing for each request")
    parser.add_argument("--factor", type=float, default=2.0)
    arguments = parser.parse_args()
    process, port = serve(arguments.burn)
    rate = asyncio.run(Load().capacity(port, 3.0))
    process.kill()
    process.wait()
    print(f"It can take {rate:.0f} requests/s; {arguments.factor:g} times that are sent.\n")
    print(f"{'':24}{'200/s':>7}{'503/s':>7}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}{'503 p99':>9}{'unsent':>8}")
    for name, options in SETTINGS.items():
        process, port = serve(arguments.burn, *options)
        try:
            found = asyncio.run(Load().flood(port, rate * arguments.factor, arguments.seconds))
        finally:
            process.kill()
            process.wait()
        rates = [len(times) / arguments.seconds for times in (found.served, found.refused)]
        quantiles = [quantile(found.served, share) for share in (0.5, 0.99, 1.0)]
        print(
            f"{name:24}{rates[0]:7.0f}{rates[1]:7.0f}"
            f"{quantiles[0]:>8}{quantiles[1]:>8}{quantiles[2]:>8}{quantile(found.refused, 0.99):>9}{found.lost:8}"
        )


if __name__ == "__main__":
    main()
