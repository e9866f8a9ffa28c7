"""Whole requests without a socket: bytes go into a connection, its response is counted in memory.

The same objects as in a server (HTTP1Connection, StreamContext, the asyncio runtime), only the transport is
not: what is measured here is this project's code and nothing of the kernel or the network.

    python -m bench.harness CASE REQUESTS      plays one case, for a profiler to watch
"""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from typing import Any, NamedTuple

import hypercorn
from bench.apps import PIECE, PIECES, app
from bench.cases import BROWSER
from hypercorn.asgi.gate import context_of, telemetry_of
from hypercorn.asyncio.loop import AsyncioLoop
from hypercorn.config import Config
from hypercorn.config.options.option import LARGEST
from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.http1.states import IDLE
from hypercorn.protocol.ports import Connection, Transport
from hypercorn.protocol.runtime import Runtime
from hypercorn.protocol.turns import IN_TURN

HOST = b"Host: 127.0.0.1:8000\r\n"
HELLO_REQUEST = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
BROWSER_REQUEST = b"GET / HTTP/1.1\r\n%b%b\r\n" % (
    HOST,
    b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in BROWSER.items()),
)


def build_line() -> str:
    """Version, build and Python in a line: every figure belongs to one of these."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"hypercorn {hypercorn.__version__}, {hypercorn.build()} build, {python}"


class Exchange(NamedTuple):
    """What one read brings, and what must come back."""

    data: bytes
    ending: bytes  # of the output
    requests: int = 1  # in `data`
    opening: bytes = b""  # what opens a WebSocket first


def post(size: int) -> bytes:
    """A request that sends `size` bytes and wants them back."""
    return b"POST /echo HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (HOST, size, b"a" * size)


def masked(payload: bytes) -> bytes:
    """A client's binary frame of up to 64 KiB."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x82" + length + b"\1\2\3\4" + bytes(byte ^ (i & 3) + 1 for i, byte in enumerate(payload))


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EXCHANGES = {
    "hello": Exchange(HELLO_REQUEST, b"\r\n\r\nHello, world!\n"),
    "headers": Exchange(BROWSER_REQUEST, b"\r\n\r\nHello, world!\n"),
    "echo1k": Exchange(post(1024), b"\r\n\r\n" + b"a" * 1024),
    "stream": Exchange(
        b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\r\n\r\n" + b"400\r\n%b\r\n" % PIECE * PIECES + b"0\r\n\r\n",
    ),
    "pipeline": Exchange(HELLO_REQUEST * 16, b"\r\n\r\nHello, world!\n", 16),
    "websocket": Exchange(masked(b"a" * 125), b"\x82\x7d" + b"a" * 125, opening=HANDSHAKE),
}


class MemoryTransport(Transport):
    """A peer that takes everything at once, and counts it."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.writes = 0
        self.received = 0  # bytes
        self.kept: list[bytes] | None = None  # what was sent, while somebody wants to see it
        self.closed = False
        self.client = ("127.0.0.1", 50000)
        self.server = ("127.0.0.1", 8000)

    def send_bytes(self, data: bytes) -> None:
        self.writes += 1
        self.received += len(data)
        if self.kept is not None:
            self.kept.append(data)

    def unsent(self) -> int:
        return 0

    def close(self) -> None:
        self.flush()
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def write_eof(self) -> None:
        self.flush()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class FailingLogger:
    """Anything that the server would log during a measurement makes the measurement void."""

    def __getattr__(self, name: str) -> Any:
        def fail(message: str, *args: Any, **_: Any) -> None:
            raise AssertionError(f"{name}: {message % args if args else message}")

        return fail


class Harness:
    """One connection and everything above it, on a loop that is running or about to run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.runtime = AsyncioLoop(loop)
        self.serve_with(Config())
        self.socket: Connection | None = None  # what the connection became
        self.messages = 0  # answered on it

    def serve_with(self, config: Config) -> None:
        """Sets up a fresh connection to a server with this configuration."""
        telemetry = telemetry_of(config, FailingLogger())
        self.context = context_of(self.runtime, app, config, FailingLogger(), telemetry=telemetry)
        self.context.limits = self.context.limits.changed(keep_alive_max_requests=LARGEST)
        self.transport = MemoryTransport(self.runtime)
        self.connection = HTTP1Connection(self.transport, self.context)
        self.transport.connection = self.connection

    @property
    def answered(self) -> int:
        """Requests and messages so far."""
        return self.connection.requests if self.socket is None else self.messages

    async def play(self, exchange: Exchange, times: int) -> None:
        """Takes the same input `times` times, each after the response to the one before."""
        if exchange.opening:
            await self.play_messages(exchange, times)
            return
        transport, connection, data = self.transport, self.connection, exchange.data
        receive, end_turn = connection.data_received, transport.end_turn
        for _ in range(times):
            goal = connection.requests + exchange.requests
            transport.turn = IN_TURN
            receive(data)
            end_turn()
            # Where tasks do not start eagerly (before Python 3.12), where the application waits, and where a turn ends.
            while connection.state != IDLE or connection.requests < goal:
                await asyncio.sleep(0)

    async def play_messages(self, exchange: Exchange, times: int) -> None:
        """The same of a WebSocket, which is opened first."""
        transport, data = self.transport, exchange.data
        if self.socket is None:
            transport.turn = IN_TURN
            self.connection.data_received(exchange.opening)
            transport.end_turn()
            while not transport.writes or transport.connection is self.connection:
                await asyncio.sleep(0)
            self.socket = transport.connection
        receive, end_turn = self.socket.data_received, transport.end_turn
        # A server reads outside of any task.
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        enter, leave = asyncio.tasks._enter_task, asyncio.tasks._leave_task
        for _ in range(times):
            before = transport.writes
            transport.turn = IN_TURN
            leave(loop, task)
            receive(data)
            end_turn()
            enter(loop, task)
            while transport.writes == before:
                await asyncio.sleep(0)
            self.messages += 1

    async def check(self, exchange: Exchange) -> None:
        """Plays it once. Raises AssertionError unless the response is the one that was to come."""
        before = self.answered
        self.transport.kept = []
        await self.play(exchange, 1)
        sent = b"".join(self.transport.kept)
        self.transport.kept = None
        answered = self.answered - before
        assert answered == exchange.requests, f"{answered} of {exchange.requests} requests were answered"
        assert not self.transport.closed, "the connection was closed"
        assert sent.endswith(exchange.ending), f"the response was {sent[:200]!r}"


def main(arguments: list[str]) -> None:
    """Plays one case so many times, and says how long a request took."""
    if len(arguments) != 2 or arguments[0] not in EXCHANGES or not arguments[1].isdigit():
        sys.exit(f"usage: python -m bench.harness {{{','.join(EXCHANGES)}}} REQUESTS")
    exchange = EXCHANGES[arguments[0]]
    times = max(1, int(arguments[1]) // exchange.requests)

    async def play() -> float:
        harness = Harness(asyncio.get_running_loop())
        await harness.check(exchange)
        begin = time.perf_counter()
        await harness.play(exchange, times)
        return time.perf_counter() - begin

    seconds = asyncio.run(play()) / (times * exchange.requests)
    print(f"{arguments[0]}: {seconds * 1e6:.2f} us a request ({build_line()})")


if __name__ == "__main__":
    main(sys.argv[1:])
