"""A database server, its driver and a pool of connections, which work as asyncpg's do.

A connection is an `asyncio.Protocol` with one waiter; a query that is cancelled is cancelled at the server by a task of
the driver's own, and the connection can be used again when that has ended. Releasing is shielded, and connections that
nobody uses for a while are closed by a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

IDLE_SECONDS = 0.01


class Backend(asyncio.Protocol):
    """The server's side: `sleep` answers once it is cancelled, anything else is echoed."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            if line == "cancel":
                self.transport.write(b"cancelled\n")
            elif line != "sleep":
                self.transport.write(f"{line}\n".encode())


class Connection(asyncio.Protocol):
    """The driver's side."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[str] | None = None
        self.cancelling: asyncio.Task[None] | None = None
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(data.decode().strip())

    async def ask(self, text: str) -> str:
        """Sends a line, and waits for the next one."""
        if self.waiter is not None:
            raise RuntimeError("another operation is in progress")
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(f"{text}\n".encode())
        try:
            return await self.waiter
        finally:
            self.waiter = None

    async def query(self, text: str, timeout: float | None = None) -> str:
        """The answer. Where it is cancelled, or late, the server is told."""
        try:
            return await asyncio.wait_for(self.ask(text), timeout)
        except (asyncio.CancelledError, asyncio.TimeoutError):
            self.cancelling = asyncio.get_running_loop().create_task(self.cancel())
            raise

    async def cancel(self) -> None:
        """Cancels what the server does."""
        await self.ask("cancel")


class Holder:
    """A place for a connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: Connection | None = None
        self.idle: asyncio.TimerHandle | None = None

    async def connect(self) -> Connection:
        """Its connection, a new one if need be."""
        if self.idle is not None:
            self.idle.cancel()
        if self.connection is None or self.connection.lost:
            loop = asyncio.get_running_loop()
            _, self.connection = await loop.create_connection(Connection, "127.0.0.1", self.port)
        return self.connection

    async def reset(self) -> None:
        """Makes the connection ready for somebody else."""
        assert self.connection is not None
        if self.connection.cancelling is not None:
            await self.connection.cancelling
            self.connection.cancelling = None
        await self.connection.ask("reset")
        self.idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.close)

    def close(self) -> None:
        """Closes the connection."""
        if self.connection is not None:
            self.connection.transport.close()
            self.connection = None


class Pool:
    """`size` places. `acquire` is a context manager."""

    def __init__(self, port: int, size: int) -> None:
        self.holders: asyncio.LifoQueue[Holder] = asyncio.LifoQueue()
        for _ in range(size):
            self.holders.put_nowait(Holder(port))

    @asynccontextmanager
    async def acquire(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """A connection. Raises asyncio.TimeoutError where none is free in time."""
        holder = await asyncio.wait_for(self.holders.get(), timeout)
        try:
            yield await holder.connect()
        finally:
            await asyncio.shield(self.release(holder))

    async def release(self, holder: Holder) -> None:
        """Gives one back."""
        await holder.reset()
        self.holders.put_nowait(holder)

    async def close(self) -> None:
        """Closes all connections."""
        while not self.holders.empty():
            self.holders.get_nowait().close()


@asynccontextmanager
async def database(size: int) -> AsyncIterator[Pool]:
    """A server, and a pool of connections to it."""
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", 0)
    pool = Pool(server.sockets[0].getsockname()[1], size)
    try:
        yield pool
    finally:
        await pool.close()
        server.close()


Say = Callable[..., None]


async def use(pool: Pool, path: str, say: Say) -> None:
    """What a request does with a pool of two connections, and what it observes."""
    task: Any = asyncio.current_task()
    async with pool.acquire(1) as connection:
        say("answer", await connection.query(path), pool.holders.qsize())
        other = asyncio.ensure_future(connection.query("sleep"))
        await asyncio.sleep(0)
        for _ in range(2):
            try:
                await connection.query("meanwhile")
            except RuntimeError as error:
                say(error)
        other.cancel()
        say("cancelled", (await asyncio.gather(other, return_exceptions=True))[0].__class__.__name__)
    say("free", pool.holders.qsize())

    async def one(number: int) -> str:
        async with pool.acquire() as connection:
            return await connection.query(f"{path}{number}")

    say("together", await asyncio.gather(*map(one, range(5))), pool.holders.qsize())
    async with pool.acquire() as first, pool.acquire() as second:
        say("two", first is not second, pool.holders.qsize())
        try:
            async with pool.acquire(0.001):
                say("never")
        except asyncio.TimeoutError as error:
            say("none is free", type(error.__context__).__name__)
        try:
            await first.query("sleep", 0.001)
        except asyncio.TimeoutError:
            say("too late")
    # Cancelled while it releases: the connection comes back all the same.
    try:
        async with pool.acquire():
            asyncio.get_running_loop().call_soon(task.cancel, "why")
    except asyncio.CancelledError as error:
        say("cancelled", error.args)
        if hasattr(task, "uncancel"):
            say(task.uncancel())
    while pool.holders.qsize() < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(2 * IDLE_SECONDS)
    say("closed when idle", sum(holder.connection is None for holder in pool.holders._queue))  # type: ignore[attr-defined]
