"""Workers on trio: listening, threads, and a worker's life around a shutdown trigger."""

from __future__ import annotations

import errno
import math
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from hypercorn.asgi.calling import run_call, without_partials
from hypercorn.asgi.exchange import ASGIExchange
from hypercorn.net.sockets import Sockets, waiting
from hypercorn.protocol.ports import Transport
from hypercorn.protocol.runtime import Waiter
from hypercorn.runtime.choice import new_reactor
from hypercorn.runtime.ports import Acceptor, Listener, LoopRuntime
from hypercorn.runtime.worker import Worker
from hypercorn.trio.loop import TrioLoop
from hypercorn.trio.transport import TrioTransport
from hypercorn.trio.udp import UDPListener

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.net.tls import LiveContext
    from hypercorn.runtime.reactor import Reactor

READ_BYTES = 65536
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ACCEPTS = 64  # connections accepted before the loop gets its turn
ACCEPT_PAUSE_SECONDS = 0.5  # seconds without accepting when descriptors have run out
_T = TypeVar("_T")
BRIEF_SECONDS = 0.001  # seconds that something may take which should be there already


class TrioWaiter:
    """Suspends one task until it is woken; remembers a wake that came first."""

    __slots__ = ("task", "woken")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.woken = False

    async def wait(self) -> None:
        """Waits for `wake`."""
        if self.woken:
            return
        self.task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def __await__(self) -> Generator[object, object, None]:
        return self.wait().__await__()

    def wake(self) -> None:
        """Ends the wait, now or when it begins."""
        if not self.woken:
            self.woken = True
            if self.task is not None:
                task, self.task = self.task, None
                trio.lowlevel.reschedule(task)


class TrioListener(Listener):
    """The task that accepts on one socket."""

    def __init__(self, sock: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        self.scope = trio.CancelScope()
        self.sock = sock
        self.serve = serve  # begins to serve an accepted socket

    async def accept_waiting(self) -> None:
        for client in waiting(self.sock):
            self.serve(client)
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self.scope.cancel()


class TrioRuntime(LoopRuntime):
    """All that a worker needs of the running trio."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.inner: TrioLoop = TrioLoop(self.token, TrioWaiter, trio.CancelScope)
        self.quiet = quiet  # under the command line: handshake failures only at DEBUG
        self.log: ErrorLog
        self.call_nursery: trio.Nursery
        self.calls_end = trio.Event()
        self.background: Any = None
        self.reactor: Reactor | None = None  # drives the sockets where it is there, else a task for each does
        self.set_up(self.inner)

    def set_up(self, inner: TrioLoop) -> None:
        """Gives the hot half what it needs of trio."""
        inner.run_call = self.run_app
        inner.start_timer = self.begin_timer
        inner.report = self.report

    def open(self, worker: Worker) -> None:
        """Gets ready to serve a worker's sockets."""
        self.log = worker.log
        self.inner.ended = worker.notify_if_empty
        # A task of a call has the application's name, as if the nursery had been given that.
        self.inner.start_call = partial(self.call_nursery.start_soon, name=task_name(worker.app))
        self.reactor = new_reactor(worker.config.runtime, self.inner, worker.log)
        if self.reactor is not None:
            self.background.start_soon(self.run_reactor, self.reactor)

    async def run_reactor(self, reactor: Reactor) -> None:
        """The task that watches the reactor's descriptor."""
        try:
            while True:
                await trio.lowlevel.wait_readable(reactor.fd)
                reactor.turn()
        finally:
            trio.lowlevel.notify_closing(reactor.fd)
            reactor.close()

    async def run_app(self, call: ASGIExchange, scope: trio.CancelScope | None) -> None:
        """The task of an application call. Whatever the application raises was logged, and ends nothing else."""
        try:
            while not self.inner.may_begin():
                with trio.CancelScope(shield=True):  # a call that is cancelled begins all the same
                    await self.inner.next_round()
            if scope is None:
                await run_call(call)
            else:
                with scope:
                    await run_call(call)
        except KeyboardInterrupt:
            raise
        except BaseException:  # nor does a cancellation go on from here: the nursery waits for the task alone
            pass
        nurseries = trio.lowlevel.current_task().child_nurseries
        if nurseries:
            await self.keep_open(nurseries)

    async def keep_open(self, nurseries: list[trio.Nursery]) -> None:
        """Holds the task of a call that has left nurseries open until the server ends. Trio makes the end of such a
        task an error of the nursery around it, which would cancel every other call."""
        self.log.log_error("The application left a nursery open")
        for nursery in nurseries:
            nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await self.calls_end.wait()

    def begin_timer(self, seconds: float, callback: Callable[[], object]) -> trio.CancelScope:
        """Runs `callback` after `seconds`, unless the scope that this returns is cancelled first."""
        scope = trio.CancelScope()
        self.start_task(self.run_timer, scope, seconds, callback)
        return scope

    def start_task(self, function: Callable[..., object], *args: object) -> None:
        """Starts a task of the server, with the context variables of its start whoever calls this."""
        # A middleware's runtime serves no worker, and has no nursery.
        start: Any = trio.lowlevel.spawn_system_task if self.background is None else self.background.start_soon
        self.inner.variables.copy().run(start, function, *args)

    async def run_timer(self, scope: trio.CancelScope, seconds: float, callback: Callable[[], object]) -> None:
        """The task of one timer."""
        with scope:
            await trio.sleep(seconds)
            self.inner.run_guarded(callback)

    def report(self, error: Exception) -> None:
        self.log.log_error("A callback of the server failed", exc_info=error)

    def start(self, function: Callable[[], Coroutine[object, None, None]]) -> None:
        self.start_task(function)

    async def sleep_until(self, waiter: Waiter, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await waiter

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        self.token.run_sync_soon(callback)

    async def await_briefly(self, awaitable: Awaitable[_T]) -> _T | None:
        with trio.move_on_after(BRIEF_SECONDS):
            return await awaitable
        return None

    async def wait_although_cancelled(self, waiter: Waiter) -> None:
        with trio.CancelScope(shield=True):
            await waiter

    def active_calls(self) -> int:
        return len(self.inner.calls)

    def open_calls(self) -> list[tuple[ASGIExchange, object]]:
        coroutines: dict[object, object] = {}
        for task in self.call_nursery.child_tasks:
            frame = task.coro.cr_frame
            if frame is not None:
                coroutines[frame.f_locals.get("call")] = task.coro
        return [(call, coroutines.get(call)) for call in self.inner.calls if isinstance(call, ASGIExchange)]

    def cancel_calls(self) -> None:
        for call in self.inner.calls:
            call.cancelled_by_server = True
        self.calls_end.set()
        self.call_nursery.cancel_scope.cancel()

    async def run_call_nursery(self, task_status: trio.TaskStatus[None]) -> None:
        """The task around all application calls: they can be cancelled while the worker's own life goes on."""
        try:
            async with trio.open_nursery() as calls:
                self.call_nursery = calls
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    self.calls_end.set()
        except BaseException as error:
            if not only_left_nurseries(error):
                raise

    def report_handshake_failure(self, error: BaseException, transport: Transport) -> None:
        level = self.log.log_debug if self.quiet or isinstance(error, ConnectionError) else self.log.log_warning
        level("TLS handshake with %s failed: %s", transport.client, error)

    def close_socket(self, sock: socket.socket) -> None:
        """Closes a socket that tasks may be waiting on."""
        if sock.fileno() >= 0:
            trio.lowlevel.notify_closing(sock)
            with suppress(OSError):  # it is closed all the same
                sock.close()

    # -- listening

    async def listen(self, worker: Acceptor, sock: socket.socket, tls: LiveContext | None) -> Listener:
        if self.reactor is not None:
            return self.reactor.listen(worker, sock, tls, worker.shared)
        sock.setblocking(False)

        def serve(client: socket.socket) -> None:
            self.background.start_soon(self.serve_socket, worker, client, tls)

        listener = TrioListener(sock, serve)
        self.background.start_soon(self.accept, listener, worker, sock, tls)
        return listener

    async def listen_datagrams(self, sock: socket.socket, udp: object) -> Listener:
        return UDPListener(sock, udp, self.background.start_soon, self.report)

    async def accept(
        self, listener: TrioListener, worker: Acceptor, sock: socket.socket, tls: LiveContext | None
    ) -> None:
        """The task that accepts on one socket."""
        with listener.scope:
            await trio.lowlevel.checkpoint_if_cancelled()  # the socket may be closed before this task began
            while True:
                await trio.lowlevel.wait_readable(sock)
                try:
                    for _ in range(ACCEPTS):
                        client, _ = sock.accept()
                        self.background.start_soon(self.serve_socket, worker, client, tls)
                except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                    continue
                except OSError as error:
                    if error.errno in OUT_OF_DESCRIPTORS:
                        self.log.log_error("Cannot accept a connection: %s", error)
                    await trio.sleep(ACCEPT_PAUSE_SECONDS)

    async def serve_socket(self, worker: Acceptor, sock: socket.socket, tls: LiveContext | None) -> None:
        """The task that reads one connection."""
        transport = None
        try:
            sock.setblocking(False)
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = TrioTransport(self.inner, worker, sock, self.start_writer, self.close_socket)
            worker.connected(transport, tls)
            await self.read(transport, sock)
        except (OSError, trio.ClosedResourceError, trio.BusyResourceError):
            pass
        except Exception as error:
            self.log.log_error("A connection ended in an internal error", exc_info=error)
        finally:
            if transport is not None:
                transport.lost()
            else:
                sock.close()

    async def read(self, transport: TrioTransport, sock: socket.socket) -> None:
        """Reads until the connection is closed."""
        at_end = False
        while not transport.closed:
            if at_end or transport.reading_paused:
                transport.read_waiter = TrioWaiter()
                await transport.read_waiter
                transport.read_waiter = None
                continue
            await trio.lowlevel.wait_readable(sock)
            if transport.closed or transport.reading_paused:
                continue
            try:
                data = sock.recv(READ_BYTES)
            except (BlockingIOError, InterruptedError):
                continue
            if data:
                transport.received(data)
            else:
                at_end = True
                transport.eof_received()

    def start_writer(self, transport: TrioTransport) -> None:
        """Starts the task that sends what the kernel refused."""
        self.start_task(self.write, transport)

    async def write(self, transport: TrioTransport) -> None:
        """The task that sends what the kernel refused, until it has taken all."""
        try:
            while transport.pending and not transport.closed:
                try:
                    await trio.lowlevel.wait_writable(transport.sock)
                except (OSError, trio.ClosedResourceError, trio.BusyResourceError):
                    return
                transport.send_pending()
        except Exception as error:
            transport.internal_error(error)
        finally:
            transport.writing = False


async def run_worker(
    worker: Worker,
    runtime: TrioRuntime,
    *,
    sockets: Sockets | None = None,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    handle_signals: bool = False,
    started: Callable[[], None] | None = None,
) -> None:
    """Starts a worker, waits for the trigger, a signal or `worker.stop`, and ends it.

    Cancelling the scope around this ends the worker gracefully too: the server's own tasks are shielded, and a task
    outside of the shield passes the cancellation on as a stop.
    """
    failure: BaseException | None = None
    broken: list[BaseException] = []
    worker.link.attach(worker, runtime.token.run_sync_soon)
    async with trio.open_nursery() as outer:
        outer.start_soon(stop_when_cancelled, worker)
        if handle_signals and threading.current_thread() is threading.main_thread():
            outer.start_soon(act_on_signals, worker.signal_actions())
        if shutdown_trigger is not None:
            outer.start_soon(stop_on_trigger, worker, shutdown_trigger, broken)
        with trio.CancelScope(shield=True):
            try:
                async with trio.open_nursery() as background:
                    runtime.background = background
                    try:
                        await background.start(runtime.run_call_nursery)
                        failure = await run_lifetime(worker, runtime, sockets, started)
                    finally:
                        # A signal may still start a timer, which a closed nursery would refuse.
                        runtime.background = None
                        background.cancel_scope.cancel()
            finally:
                worker.close_listeners()
        outer.cancel_scope.cancel()
    for error in (failure, *broken):
        if error is not None:
            raise error


def only_left_nurseries(error: BaseException) -> bool:
    """True for a group of nothing but cancellations and trio's errors about nurseries that were left open: tasks of
    calls end in no other RuntimeError."""
    split = getattr(error, "split", None)
    return split is not None and split((trio.Cancelled, RuntimeError))[1] is None


def task_name(app: Callable[..., object]) -> str:
    """The name that trio gives a task of this async function, made once instead of for every call."""
    app = without_partials(app)
    try:
        return f"{app.__module__}.{app.__qualname__}"
    except AttributeError:
        return repr(app)


async def run_lifetime(
    worker: Worker, runtime: TrioRuntime, sockets: Sockets | None, started: Callable[[], None] | None
) -> BaseException | None:
    """A worker from start to end. Gives what went wrong rather than raising it through the nurseries, which would
    wrap it."""
    try:
        runtime.open(worker)
        await worker.start(sockets)
        if started is not None:
            started()
        await worker.wait_for_stop()
    except Exception as error:
        worker.failure = error
    with suppress(Exception):  # it is the worker's failure
        await worker.end()
    return worker.failure


async def stop_when_cancelled(worker: Worker) -> None:
    """Passes a cancellation from outside on to the worker."""
    try:
        await trio.sleep(math.inf)
    finally:
        worker.stop()


async def act_on_signals(actions: dict[str, Callable[[], None]]) -> None:
    """Does on signals what `actions` says; the handlers of before come back with the end of the receiver."""
    by_number = {getattr(signal, name): action for name, action in actions.items() if hasattr(signal, name)}
    with trio.open_signal_receiver(*by_number) as arrivals:
        async for number in arrivals:
            by_number[number]()


async def stop_on_trigger(
    worker: Worker, trigger: Callable[..., Awaitable[object]], broken: list[BaseException]
) -> None:
    """Ends the worker when the trigger returns; what it raises is kept for the caller, as no group wraps it there."""
    try:
        await trigger()
    except Exception as error:
        broken.append(error)
        worker.failure = worker.failure or error
    worker.stop("shutdown_trigger")
