"""A worker: one application served on one event loop, from its startup to the end of its last connection.

Everything here is the same on every loop. A loop's own part is its `LoopRuntime`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from random import randint
from typing import Any

from hypercorn.app_wrappers import WSGIWrapper
from hypercorn.asgi.lifespan import Lifespan
from hypercorn.asgi.loading import wrap_app
from hypercorn.asgi.streams import StreamContext
from hypercorn.asgi.wsgi_threads import ThreadedWSGI, wsgi_settings
from hypercorn.config import Config
from hypercorn.logging import access_writer
from hypercorn.net.address import url
from hypercorn.net.sockets import Sockets, listen
from hypercorn.net.tls import LiveContext
from hypercorn.protocol.http1 import HTTP1Connection
from hypercorn.protocol.http2 import HTTP2Connection
from hypercorn.protocol.ports import Connection, Transport
from hypercorn.runtime.deadlines import Deadlines
from hypercorn.runtime.link import Link
from hypercorn.runtime.management import LAST
from hypercorn.runtime.operations import Operations
from hypercorn.runtime.ports import Listener, LoopRuntime
from hypercorn.runtime.quic import QUICServer
from hypercorn.runtime.tls import TLSConnection

HURRY = 0.2  # seconds that cancelled calls get after a second signal
CANCELLED = 0.5  # seconds that they get otherwise
SETTLING = 4  # turns of a loop from the acceptance of a connection to its transport, and one more


class Worker:
    """One application, its listeners and its connections."""

    def __init__(
        self, app: Any, config: Config, runtime: LoopRuntime, mode: Any = None, link: Link | None = None
    ) -> None:
        config.validate()
        self.config = config
        self.link = Link() if link is None else link
        self.runtime = runtime
        self.log = config.log
        self.threads: ThreadedWSGI | None = None
        self.app = self.plain_app(app, mode)
        self.context = StreamContext(runtime.inner, self.app, config, self.log)
        self.context.access = access_writer(self.log, self.spawn_plain)
        self.context.records = self.context.access is not None
        self.operations = Operations(self)
        self.deadlines = Deadlines(runtime.inner, self.context)
        self.context.arm_deadline = self.deadlines.arm
        self.context.connection_replaced = self.replaced
        self.lifespan = Lifespan(self.app, config, runtime, runtime.start, self.context.state)
        self.listeners: list[Listener] = []
        self.sockets: Sockets | None = None
        self.quic: QUICServer | None = None
        self.tls: LiveContext | None = None
        self.addresses: list[str] = []
        self.stopping: Any = None  # waiter of `wait_for_stop`
        self.stop_asked = False
        self.interrupted = False  # ... in a way that a startup does not hold up
        self.hurried = False  # a second signal came: end now
        self.ready = False  # it serves, and nothing has asked it to stop: what a readiness probe wants to know
        self.last_owner = not self.link.shared  # nobody else will accept what waits on its sockets
        self.shutdown_delay = config.shutdown_delay
        self.emptied: Any = None  # waiter of `drain`
        self.requests_left = 0
        if config.max_requests is not None:
            self.requests_left = config.max_requests + randint(0, config.max_requests_jitter)
            self.context.request_opened = self.count_request

    def plain_app(self, app: Any, mode: Any) -> Callable[..., Any]:
        """The application as one ASGI callable. A WSGI application runs in threads."""
        wrapper = app if hasattr(app, "max_body_size") else wrap_app(app, self.config.wsgi_max_body_size, mode)
        if isinstance(wrapper, WSGIWrapper):
            self.threads = ThreadedWSGI(wrapper.app, wsgi_settings(self.config, wrapper.max_body_size), self.runtime)
            return self.threads
        inner: Callable[..., Any] = getattr(wrapper, "app", wrapper)
        return inner

    def spawn_plain(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Runs a coroutine that is no application call (an async logger's)."""

        async def run() -> None:
            with suppress(Exception):
                await coroutine

        self.runtime.start(run)

    @property
    def draining(self) -> bool:
        """True from the moment that the worker is on its way out: its readiness fails."""
        return self.operations.health.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self.operations.health.draining = value
        self.operations.publish()

    def reload_certificates(self) -> bool:
        """Reads the files of TLS again; connections that are open go on. False where they cannot be used."""
        return self.tls is None or self.tls.reload()

    # -- from start to stop

    async def start(self, sockets: Sockets | None = None) -> None:
        """Runs the application's startup, then opens the listeners.

        Raises LifespanFailureError, LifespanTimeoutError, and OSError for a bind that fails.
        """
        await self.startup()
        if self.interrupted:
            return
        self.sockets = self.config.create_sockets() if sockets is None else sockets
        self.tls = LiveContext(self.config, self.log, self.link.tls) if self.sockets.secure_sockets else None
        for group, context in ((self.sockets.secure_sockets, self.tls), (self.sockets.insecure_sockets, None)):
            for sock in group:
                listen(sock, self.config.backlog)
                self.listeners.append(await self.runtime.listen(self, sock, context))
                self.addresses.append(url("https" if context is not None else "http", sock.getsockname()))
                if self.link.speaks:
                    self.log.log_info("Running on %s (CTRL + C to quit)", self.addresses[-1])
        if self.sockets.quic_sockets:
            await self.start_quic(self.sockets)
        self.ready = True
        await self.operations.start(self.sockets)
        self.link.started(self.addresses)

    async def start_quic(self, sockets: Sockets) -> None:
        """Serves HTTP/3."""
        self.quic = QUICServer(self, sockets.quic_sockets)
        sockets.quic_sockets = []  # they stay open while connections drain
        self.quic.advertise()
        for address in await self.quic.start():
            if self.link.speaks:
                self.log.log_info("Running on %s (QUIC) (CTRL + C to quit)", address)
            if address not in self.addresses:
                self.addresses.append(address)

    async def startup(self) -> None:
        """The application's startup; who is asked to stop meanwhile does not wait for it."""
        ended: list[BaseException | None] = []

        async def run() -> None:
            try:
                await self.lifespan.startup()
            except BaseException as error:
                ended.append(error)
                if not isinstance(error, Exception):
                    raise
            else:
                ended.append(None)
            finally:
                if self.stopping is not None:
                    self.runtime.wake(self.stopping)

        self.runtime.start(run)
        while not ended and not self.interrupted:
            self.stopping = self.runtime.waiter()
            await self.stopping
        self.stopping = None
        if ended and ended[0] is not None:
            raise ended[0]

    async def wait_for_stop(self) -> None:
        """Returns once `stop` was called."""
        while not self.stop_asked:
            self.stopping = self.runtime.waiter()
            await self.stopping

    def stop(self) -> None:
        """Asks the worker to stop. Not thread-safe."""
        if not self.stop_asked:
            self.stop_asked = True
            if self.ready:
                self.ready = False
                self.link.stopping()
        if self.stopping is not None:
            self.runtime.wake(self.stopping)

    def hurry(self) -> None:
        """Asks the worker to end at once."""
        self.hurried = True
        if self.emptied is not None:
            self.runtime.wake(self.emptied)
        self.stop()

    def signalled(self) -> None:
        """A signal came: the first asks for a graceful end, the second for one at once."""
        if self.stop_asked:
            self.hurry()
        else:
            self.interrupt()

    def interrupt(self) -> None:
        """Asks the worker to stop, even inside of the application's startup."""
        self.interrupted = True
        self.stop()

    def signal_actions(self) -> dict[str, Callable[[], None]]:
        """What to do on signals, by name. A supervised worker leaves a terminal's SIGINT to its supervisor."""
        names = ("SIGTERM",) if self.link.supervised else ("SIGINT", "SIGTERM", "SIGBREAK")
        return {**dict.fromkeys(names, self.signalled), **self.link.signals()}

    def close_listeners(self) -> None:
        """Accepts no more connections; the sockets are closed."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        sockets, self.sockets = self.sockets, None
        if sockets is not None:
            sockets.close()

    async def drain(self) -> None:
        """Ends every connection: idle ones soon, the others within `graceful_timeout` seconds, then all.

        Before that, `shutdown_delay` seconds go by in which all is served as ever, and only `ready` is False.
        """
        self.draining = True
        if self.listeners and self.shutdown_delay:
            await self.pause(self.shutdown_delay)
        self.context.terminating = True
        if self.operations.management is not None and not self.last_owner:
            await self.operations.management.leave()
        if self.quic is not None:
            self.quic.withdraw()
        if self.last_owner:
            await self.accept_waiting(self.listeners)
        await self.settle(self.listeners)
        self.close_listeners()
        await self.settle()
        self.tell_all(lambda connection: connection.shutdown())
        notify = self.config.shutdown_notify_delay
        if notify is not None:
            self.runtime.call_at(self.runtime.now() + notify, self.notify)
        await self.wait_until_empty(self.config.graceful_timeout)
        if self.deadlines.connections or self.runtime.active_calls():
            self.runtime.cancel_calls()
            self.tell_all(lambda connection: connection.abort())
            await self.wait_until_empty(HURRY if self.hurried else CANCELLED)
        if self.operations.management is not None:
            await self.operations.management.leave()
            await self.wait_until_empty(2 * LAST)
        if self.quic is not None:
            self.quic.close()
        self.deadlines.stop()
        if self.threads is not None:
            self.threads.close()
        self.operations.stop()
        self.link.drained()

    def notify(self) -> None:
        """Tells the applications that stream a response that the server goes down, as if their clients had gone."""
        self.tell_all(lambda connection: connection.notify_streams())

    def tell_all(self, what: Callable[[Connection], None]) -> None:
        """Tells every connection something. One that fails is ended, and keeps nobody else."""
        for connection in list(self.deadlines.connections):
            try:
                what(connection)
            except Exception as error:
                connection.transport.broken(error)

    async def accept_waiting(self, listeners: Sequence[Listener]) -> None:
        """Accepts what waits on sockets that nobody else is left to accept on."""
        for listener in listeners:
            with suppress(OSError):
                accepting = listener.accept_waiting()
                if accepting is not None:
                    await accepting

    async def settle(self, listeners: Sequence[Listener] = ()) -> None:
        """What a loop's own listeners have accepted just now becomes connections, which takes the loop some turns."""
        if getattr(self.runtime, "reactor", None) is None:
            for listener in listeners:
                listener.hold()
            for _ in range(SETTLING):
                await self.runtime.sleep_until(self.runtime.waiter(), 0)

    async def pause(self, seconds: float) -> None:
        """Waits, but not once the worker has to hurry."""
        end = self.runtime.now() + seconds
        while not self.hurried and (left := end - self.runtime.now()) > 0:
            self.emptied = self.runtime.waiter()
            await self.runtime.sleep_until(self.emptied, left)
        self.emptied = None

    async def wait_until_empty(self, seconds: float) -> None:
        """Waits until no connection and no call is left, but not longer than `seconds`."""
        end = self.runtime.now() + seconds
        while self.occupied():
            left = min(end - self.runtime.now(), HURRY if self.hurried else seconds)
            if left <= 0 or (self.hurried and seconds > HURRY):
                return
            self.emptied = self.runtime.waiter()
            await self.runtime.sleep_until(self.emptied, left)
        self.emptied = None

    def one_less(self) -> None:
        """A connection or a call has ended."""
        if self.emptied is not None and not self.occupied():
            self.runtime.wake(self.emptied)

    def occupied(self) -> bool:
        """True while a connection or a call is left."""
        management = self.operations.management
        leaving = management is not None and management.leaving
        return bool(self.deadlines.connections or self.runtime.active_calls() or leaving)

    # -- connections

    def connected(self, transport: Transport, tls: Any) -> None:
        """Takes a new transport."""
        try:
            if not self.operations.guarded or self.operations.admit(transport, tls):
                self.begin(transport, tls)
        except Exception as error:
            self.context.log_fault(error)
            transport.abort()

    def begin(self, transport: Transport, tls: Any) -> None:
        """Puts a connection on a transport."""
        connection: Connection
        if tls is None:
            connection = self.open_connection(transport)
        else:
            transport.scheme = "https"
            connection = TLSConnection(transport, self.context, tls.fresh(self.runtime.now()), self)
        transport.connection = connection
        self.deadlines.connections.add(connection)

    def open_connection(self, transport: Transport) -> Connection:
        """The connection of the protocol that the peer chose (RFC 7301). Without TLS, its first bytes tell."""
        connection: Connection
        if transport.scheme == "https" and transport.get_extra_info("alpn") == "h2":
            connection = HTTP2Connection(transport, self.context)
        else:
            connection = HTTP1Connection(transport, self.context)
        if self.operations.guarded:
            self.operations.opened(connection)
        return connection

    def handshake_failed(self, error: BaseException, transport: Transport) -> None:
        """A TLS handshake came to nothing."""
        if self.context.counters is not None:
            self.context.counters.count("tls_failures")
        self.runtime.report_handshake_failure(error, transport)

    def disconnected(self, connection: Connection) -> None:
        """A transport is gone."""
        self.deadlines.connections.discard(connection)
        try:
            connection.connection_lost()
        except Exception as error:
            self.context.log_fault(error)
        if self.operations.guarded:
            self.operations.closed(connection)
        if self.emptied is not None:
            self.one_less()

    def replaced(self, connection: Connection, successor: Connection) -> None:
        """A connection went on as another (a protocol switch)."""
        self.deadlines.connections.discard(connection)
        self.deadlines.connections.add(successor)
        if self.operations.guarded:
            self.operations.replaced(connection, successor)

    def count_request(self) -> None:
        """`max_requests`: the worker stops after that many, or goes on until another has taken its place."""
        self.requests_left -= 1
        if self.requests_left == 0 and not self.stop_asked and not self.link.recycle("max_requests"):
            self.stop()
