"""Workers on asyncio: listening, threads, and a worker's life around a shutdown trigger."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, TypeVar

from hypercorn.asgi.calling import run_call_in_turn, under_name_of
from hypercorn.asgi.exchange import ASGIExchange
from hypercorn.asyncio.loop import AsyncioLoop
from hypercorn.asyncio.transport import AsyncioTransport, is_unix
from hypercorn.asyncio.udp import listen_datagrams
from hypercorn.net.sockets import Sockets, waiting
from hypercorn.protocol.ports import Transport
from hypercorn.protocol.runtime import Waiter
from hypercorn.runtime.choice import new_reactor, no_reactor
from hypercorn.runtime.ports import Acceptor, Listener, LoopRuntime
from hypercorn.runtime.worker import Worker

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.net.tls import LiveContext
    from hypercorn.runtime.reactor import Reactor

_T = TypeVar("_T")
BRIEF_SECONDS = 0.001  # seconds that something may take which should be there already


class AsyncioListener(Listener):
    """asyncio's server object over one socket."""

    def __init__(
        self, server: asyncio.AbstractServer, sock: socket, connect: Callable[[socket], Awaitable[object]]
    ) -> None:
        self.server = server
        self.sock = sock
        self.connect = connect  # serves an accepted socket

    async def accept_waiting(self) -> None:
        for client in waiting(self.sock):
            await self.connect(client)

    def hold(self) -> None:
        # asyncio fails for a connection whose server is closed between its `accept` and its transport.
        loop = self.server.get_loop()
        if isinstance(loop, asyncio.SelectorEventLoop) and self.sock.fileno() >= 0:
            loop.remove_reader(self.sock)

    def close(self) -> None:
        # Never wait_closed(): since 3.12 it waits for the connections too.
        self.server.close()


class AsyncioRuntime(LoopRuntime):
    """All that a worker needs of the running loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, quiet: bool = False) -> None:
        self.loop = loop
        self.inner: AsyncioLoop = AsyncioLoop(loop)
        self.quiet = quiet  # under the command line: handshake failures only at DEBUG
        self.log: ErrorLog
        self.background: set[asyncio.Task[None]] = set()
        self.reactor: Reactor | None = None  # drives the sockets where it is there, else the loop's transports do

    def open(self, worker: Worker) -> None:
        """Gets ready to serve a worker's sockets."""
        self.log = worker.log
        self.inner.ended = worker.notify_if_empty
        self.inner.run_call = under_name_of(worker.app)
        self.inner.run_call_in_turn = under_name_of(worker.app, run_call_in_turn)
        reactor = new_reactor(worker.config.runtime, self.inner, worker.log)
        if reactor is None:
            return
        try:
            self.loop.add_reader(reactor.fd, reactor.turn)
        except NotImplementedError:  # a loop that watches no descriptors (Windows' proactor)
            reactor.close()
            no_reactor(worker.config.runtime, "this event loop has no add_reader")
        else:
            self.reactor = reactor

    def close(self) -> None:
        """Ends what `open` began."""
        if self.reactor is not None:
            self.loop.remove_reader(self.reactor.fd)
            self.reactor.close()
            self.reactor = None

    def start(self, function: Callable[[], Coroutine[object, None, None]]) -> None:
        task: asyncio.Task[None] = self.inner.variables.copy().run(self.loop.create_task, function())
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def sleep_until(self, waiter: Waiter, seconds: float) -> None:
        await asyncio.wait([waiter], timeout=seconds)

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(callback, context=self.inner.variables.copy())

    async def await_briefly(self, awaitable: Awaitable[_T]) -> _T | None:
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(awaitable, BRIEF_SECONDS)
        return None

    async def wait_although_cancelled(self, waiter: Waiter) -> None:
        await asyncio.wait([waiter])  # a second cancellation ends it: the loop may be about to close

    async def listen(self, worker: Acceptor, sock: socket, tls: LiveContext | None) -> Listener:
        if self.reactor is not None:
            return self.reactor.listen(worker, sock, tls, worker.shared)
        factory = partial(AsyncioTransport, self.inner, worker, tls)
        backlog = worker.config.backlog
        create: Callable[..., Awaitable[asyncio.AbstractServer]] = self.loop.create_server
        connect: Callable[..., Awaitable[object]] = self.loop.connect_accepted_socket
        options: dict[str, object] = {}
        if is_unix(sock):
            create = self.loop.create_unix_server
            if takes(create, "cleanup_socket"):
                options["cleanup_socket"] = False  # the file is its maker's: other workers serve on it
        server = await create(factory, sock=sock, backlog=backlog, **options)
        return AsyncioListener(server, sock, partial(connect, factory))

    async def listen_datagrams(self, sock: socket, udp: object) -> Listener:
        return await listen_datagrams(self.loop, sock, udp)

    def active_calls(self) -> int:
        return len(self.inner.calls)

    def open_calls(self) -> list[tuple[ASGIExchange, object]]:
        # What a task factory of the application's makes need not be a task.
        coroutines = {call: getattr(task, "get_coro", None) for call, task in self.inner.calls.items()}
        return [
            (call, None if coroutine is None else coroutine())
            for call, coroutine in coroutines.items()
            if isinstance(call, ASGIExchange)
        ]

    def cancel_calls(self) -> None:
        self.inner.cancel_calls()

    def report_handshake_failure(self, error: BaseException, transport: Transport) -> None:
        if self.quiet or isinstance(error, ConnectionError):
            self.log.log_debug("TLS handshake with %s failed: %s", transport.client, error)
        else:
            self.loop.call_exception_handler(
                {"message": "TLS handshake failed", "exception": error, "transport": transport.get_extra_info("socket")}
            )

    async def stop_background(self) -> None:
        """Ends the background tasks."""
        tasks = list(self.background)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


def takes(function: Callable[..., object], name: str) -> bool:
    """True where a function has a parameter of that name."""
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # compiled, and without a signature
        return False


@contextmanager
def signals_handled(loop: asyncio.AbstractEventLoop, actions: dict[str, Callable[[], None]]) -> Iterator[None]:
    """Does on signals what `actions` says, in the main thread only, and restores what was there before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for name, action in actions.items():
        number = getattr(signal, name, None)
        if number is None:
            continue
        before[number] = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, action)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_, action=action: loop.call_soon_threadsafe(action))
    try:
        yield
    finally:
        # The loop sets the default in between, by which SIGTERM would end the process.
        mask = getattr(signal, "pthread_sigmask", None)
        blocked = mask and mask(signal.SIG_BLOCK, before)
        try:
            for number, handler in before.items():
                with suppress(NotImplementedError, ValueError):
                    loop.remove_signal_handler(number)
                if handler is not None:
                    signal.signal(number, handler)
        finally:
            if mask:
                mask(signal.SIG_SETMASK, blocked)


async def run_worker(
    worker: Worker,
    runtime: AsyncioRuntime,
    *,
    sockets: Sockets | None = None,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    handle_signals: bool = False,
    started: Callable[[], None] | None = None,
) -> None:
    """Starts a worker, waits for the trigger, a signal or `worker.stop`, and ends it.

    Cancelling the task that runs this ends the worker gracefully too, then raises CancelledError.
    """
    loop = runtime.loop
    runtime.open(worker)
    handler = signals_handled(loop, worker.signal_actions()) if handle_signals else None
    worker.link.attach(worker, loop.call_soon_threadsafe)
    if handler is not None:
        handler.__enter__()
    trigger: asyncio.Future[object] | None = None
    try:
        await worker.start(sockets)
        if started is not None:
            started()
        if shutdown_trigger is not None:
            trigger = asyncio.ensure_future(as_coroutine(shutdown_trigger))
            trigger.add_done_callback(lambda _: worker.stop("shutdown_trigger"))
        await worker.wait_for_stop()
        if trigger is not None and trigger.done() and not trigger.cancelled():
            trigger.result()  # what the trigger raised is the caller's
    except BaseException as error:
        worker.failure = error
        raise
    finally:
        if trigger is not None and not trigger.done():
            trigger.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await trigger
        try:
            await uninterrupted(end_worker(worker, runtime))
        finally:
            if handler is not None:
                handler.__exit__(None, None, None)


async def as_coroutine(trigger: Callable[..., Awaitable[object]]) -> object:
    """Awaits whatever awaitable a trigger gives."""
    return await trigger()


async def end_worker(worker: Worker, runtime: AsyncioRuntime) -> None:
    """Drains the connections, then runs the application's shutdown."""
    try:
        await worker.end()
    except asyncio.CancelledError:
        worker.cut()
        raise
    finally:
        await runtime.stop_background()
        runtime.close()
        await asyncio.sleep(0)  # transports tell of their end in the next turn of the loop


async def uninterrupted(coroutine: Coroutine[object, None, None]) -> None:
    """Awaits a coroutine to its end even where the task is cancelled meanwhile; a second cancellation ends it.

    One that has the same message as the first is that one again: anyio cancels a task in each round of the loop until
    it has left its scope, and a server in a task group of anyio ends gracefully all the same.
    """
    task = asyncio.ensure_future(coroutine)
    first: tuple[object, ...] | None = None
    while True:
        try:
            await asyncio.shield(task)
            return
        except asyncio.CancelledError as error:
            if task.done():
                raise
            if first is None:
                first = error.args
            elif not first or error.args != first:
                task.cancel()
