"""A worker: one application served on one event loop, from its startup to the end of its last connection.

Everything here is the same on every loop. A loop's own part is its `LoopRuntime`.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from hypercorn.asgi.gate import context_of, telemetry_of
from hypercorn.asgi.lifespan import Lifespan
from hypercorn.asgi.loading import ASGIWrapper, wrap_app
from hypercorn.config import Config
from hypercorn.config.options import grace_of, limits_of
from hypercorn.logs.logger import access_writer
from hypercorn.net.address import url
from hypercorn.net.sockets import Sockets, listen
from hypercorn.net.tls import LiveContext
from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.http2.connection import HTTP2Connection
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.ports import Connection, Transport
from hypercorn.protocol.runtime import Timer, Waiter
from hypercorn.runtime.contract import Link, WorkerBase
from hypercorn.runtime.deadlines import LAST_SECONDS, Deadlines
from hypercorn.runtime.handshakes import Handshakes
from hypercorn.runtime.operations import Operations
from hypercorn.runtime.ports import Listener, LoopRuntime
from hypercorn.runtime.preemption import Notice, PreemptionHook, PreemptionThread, preemption_text
from hypercorn.runtime.quic import QUICServer
from hypercorn.runtime.tls import TLSConnection

if TYPE_CHECKING:
    from hypercorn.asgi.telemetry import Telemetry
    from hypercorn.asgi.wsgi_threads import ThreadedWSGI
    from hypercorn.certificates.renewal import RenewalThread

LONGEST_SLEEP_SECONDS = 3600.0  # seconds of one sleep: loops take no infinite ones
AT_ONCE_SECONDS = 0.2  # seconds that cancelled calls get after a second signal
CANCELLED_SECONDS = 0.5  # seconds that they get otherwise
ORDER_SECONDS = 0.25  # seconds in which a supervisor's order follows the SIGTERM of a whole process group
THREADS_SECONDS = 3.0  # seconds that threads of the application get once its shutdown is over
AFTER_GRACE_SECONDS = 0.8  # ... but not more than that after `graceful_timeout`
BY_HAND_SECONDS = 0.4  # ... where somebody has pressed Ctrl-C
AT_LEAST_SECONDS = 0.2  # ... and not less than that
SILENCE_SECONDS = 1.0  # seconds after which the log says that the application's shutdown is waited for
FLUSH_SECONDS = 2.0  # seconds that the export of what telemetry has left gets
ACCEPT_TURNS = 4  # turns of a loop from the acceptance of a connection to its transport, and one more


class StopRequest(enum.IntEnum):
    """What a worker was asked for; a later request only asks for more."""

    NONE = 0
    GRACEFUL = 1  # end once the application's startup is over, and give requests their time
    INTERRUPT = 2  # ... and do not wait for the startup
    AT_ONCE = 3  # ... nor for requests: a second signal came


class Worker(WorkerBase):
    """One application, its listeners and its connections."""

    operations: Operations

    def __init__(
        self, app: object, config: Config, runtime: LoopRuntime, mode: str | None = None, link: Link | None = None
    ) -> None:
        config.validate()
        self.config = config
        self.link = Link() if link is None else link
        self.runtime = runtime
        self.log = config.log
        self.threads: ThreadedWSGI | None = None
        self.limits = Limits(limits_of(config))
        self.app = self.timed_app(self.plain_app(app, mode))
        self.telemetry = telemetry_of(config, self.log)
        self.context = context_of(runtime.inner, self.app, config, self.log, self.limits, self.telemetry)
        self.context.records.keep(access_writer(self.log, self.spawn_plain), None)
        self.operations = Operations(self)
        self.deadlines = Deadlines(runtime.inner, self.context)
        self.handshakes = Handshakes(runtime.inner)
        self.context.arm_deadline = self.deadlines.arm
        self.context.connection_replaced = self.replaced
        broadcast = None if self.context.gate is None else self.context.gate.broadcast
        self.lifespan = Lifespan(
            self.app,
            config,
            self.limits,
            runtime,
            runtime.start,
            self.context.state,
            self.notice,
            None if broadcast is None else broadcast.offer_to,
        )
        self.trace = None
        self.listeners: list[Listener] = []
        self.sockets: Sockets | None = None
        self.quic: QUICServer | None = None
        self.tls: LiveContext | None = None
        self.renewal: RenewalThread | None = None
        self.addresses: list[str] = []
        self.announced: list[str] = []
        self.stop_waiter: Waiter | None = None  # waiter of `wait_for_stop`
        self.stop_request = StopRequest.NONE
        self.terminated = False  # a supervised worker was sent SIGTERM
        self.stop_reason = ""  # what asked it to stop
        self.stopped_at = 0.0
        self.failure: BaseException | None = None  # what ended it
        self.ready = False  # it serves, and nothing has asked it to stop: what a readiness probe wants to know
        self.after_grace = AFTER_GRACE_SECONDS  # seconds that threads of the application get then
        self.shared = self.link.shared
        self.last_owner = not self.shared  # nobody else will accept what waits on its sockets
        self.shutdown_delay = config.shutdown_delay
        self.grace = grace_of(config)
        self.preemption: PreemptionThread | None = None  # waits for a notice
        self.empty_waiter: Waiter | None = None  # waiter of `drain`
        self.requests_left = 0
        if config.max_requests is not None:
            from random import randint  # which takes long to import

            self.requests_left = config.max_requests + randint(0, config.max_requests_jitter)
            self.context.request_opened = self.count_request

    def plain_app(self, app: object, mode: str | None) -> Callable[..., Awaitable[object]]:
        """The application as one ASGI callable. A WSGI application runs in threads."""
        wrapper = wrap_app(app, self.limits.wsgi_max_body_size, mode)
        if self.config.validate_app:
            from hypercorn.asgi.validate import validated  # which few need, and production does not

            wrapper = validated(wrapper)
        if isinstance(wrapper, ASGIWrapper):
            return wrapper.app
        from hypercorn.asgi.wsgi_threads import wsgi_settings  # which ASGI applications do not need

        settings = wsgi_settings(self.limits, wrapper.max_body_size, self.config.workers > 1)
        self.threads = wsgi_class(self.config)(wrapper.app, settings, self.runtime, self.log.log_warning)
        return self.threads

    def timed_app(self, app: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        """The application as it is; with `slow_request`, behind what times its requests."""
        self.slow = None
        if self.limits.slow_request == inf:
            return app
        from hypercorn.asgi.slow import SlowRequests

        self.slow = SlowRequests(self.runtime.inner, self.limits.slow_request)
        if self.threads is not None:
            self.threads.waited = self.slow.waited
        return self.slow.around(app)

    def spawn_plain(self, coroutine: Coroutine[object, None, object]) -> None:
        """Runs a coroutine that is no application call (an async logger's)."""

        async def run() -> None:
            with suppress(Exception):
                await coroutine

        self.runtime.start(run)

    def notice(self, text: str) -> None:
        """Logs at INFO what is true for all workers: once, where a supervisor has several."""
        if not self.link.notice(text):
            self.log.log_info(text)

    @property
    def at_once(self) -> bool:
        """True once the worker was asked to end at once."""
        return self.stop_request is StopRequest.AT_ONCE

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
        if self.stop_request >= StopRequest.INTERRUPT:
            return
        self.sockets = self.config.create_sockets() if sockets is None else sockets
        self.tls = LiveContext(self.config, self.log, self.link.tls) if self.sockets.secure_sockets else None
        for group, context in ((self.sockets.secure_sockets, self.tls), (self.sockets.insecure_sockets, None)):
            for sock in group:
                listen(sock, self.config.backlog)
                self.listeners.append(await self.runtime.listen(self, sock, context))
                self.addresses.append(url("https" if context is not None else "http", sock.getsockname()))
                self.announce(f"Running on {self.addresses[-1]} (CTRL + C to quit)")
        if self.sockets.quic_sockets:
            await self.start_quic(self.sockets)
        if self.config.dev_tls:
            from hypercorn.certificates.development import trust_text

            self.notice(trust_text())
        self.ready = True
        await self.operations.start(self.sockets)
        self.start_renewal()
        self.link.started(self.addresses, self.announced)
        hook = None if self.link.supervised else PreemptionHook.of(self.config, self.log)
        if hook is not None:
            self.preemption = PreemptionThread(hook, self.notice_came)

    def start_renewal(self) -> None:
        """Gets and renews the certificates of `acme`, where that is not for a supervisor to do."""
        acme = None if self.link.supervised else self.config.acme_settings()
        if acme is not None:
            from hypercorn.certificates.renewal import RenewalThread

            self.renewal = RenewalThread(acme, self.log)
            self.renewal.start()

    async def start_quic(self, sockets: Sockets) -> None:
        """Serves HTTP/3."""
        self.quic = QUICServer(self, sockets.quic_sockets)
        sockets.quic_sockets = []  # they stay open while connections drain
        self.quic.advertise()
        for address in await self.quic.start():
            self.announce(f"Running on {address} (QUIC) (CTRL + C to quit)")
            if address not in self.addresses:
                self.addresses.append(address)

    def announce(self, text: str) -> None:
        """Says in the log what a socket is for, or has the starter say it."""
        self.announced.append(text)
        if self.link.logs_addresses:
            self.log.log_info("%s", text)

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
                if self.stop_waiter is not None:
                    self.runtime.wake(self.stop_waiter)

        self.runtime.start(run)
        while not ended and self.stop_request < StopRequest.INTERRUPT:
            self.stop_waiter = self.runtime.waiter()
            await self.stop_waiter
        self.stop_waiter = None
        if ended and ended[0] is not None:
            raise ended[0]

    async def wait_for_stop(self) -> None:
        """Returns once `stop` was called."""
        while not self.stop_request:
            self.stop_waiter = self.runtime.waiter()
            await self.stop_waiter

    def stop(self, reason: str = "", request: StopRequest = StopRequest.GRACEFUL) -> None:
        """Asks the worker to stop, and says what asks. Not thread-safe."""
        first = not self.stop_request
        self.stop_request = max(self.stop_request, request)
        if first:
            self.stop_reason = reason
            self.stopped_at = self.runtime.now()
            if self.ready:
                self.ready = False
                self.link.stopping()
        if self.stop_waiter is not None:
            self.runtime.wake(self.stop_waiter)

    def notice_came(self, notice: Notice) -> None:
        """The machine is about to be taken away. From any thread."""
        self.runtime.call_threadsafe(partial(self.preempted, notice.seconds))

    def preempted(self, seconds: float | None) -> None:
        """Stops the worker, within `seconds` if they are known: at most half of them go by before it drains."""
        if seconds is not None and not self.stop_request:
            self.shutdown_delay = min(self.shutdown_delay, seconds / 2)
            self.grace = min(self.grace, seconds - self.shutdown_delay)
        self.interrupt(preemption_text(seconds))

    def stop_at_once(self, reason: str = "") -> None:
        """Asks the worker to end at once."""
        self.stop(reason, StopRequest.AT_ONCE)
        if self.empty_waiter is not None:
            self.runtime.wake(self.empty_waiter)

    def interrupt(self, reason: str = "") -> None:
        """Asks the worker to stop, even inside of the application's startup."""
        self.stop(reason, StopRequest.INTERRUPT)

    def on_interrupt(self, name: str) -> None:
        """Somebody at a terminal: the first signal asks for a graceful end, the second for one at once."""
        if self.stop_request:
            self.stop_at_once(name)
        else:
            self.end_idle_at_once()
            self.interrupt(name)

    def end_idle_at_once(self) -> None:
        """At the stop, connections without a request end without `idle_grace`. That time is for clients, and proxies,
        that send on a connection just while the server closes it; at a terminal somebody waits, and a browser that is
        open keeps several. Threads of the application have less time, too."""
        self.after_grace = BY_HAND_SECONDS
        self.context.limits = self.context.limits.changed(idle_grace=0.0)

    def on_terminate(self) -> None:
        """SIGTERM asks for a graceful end however often it comes, as many a platform sends it more than once.

        A supervised worker waits a moment for its supervisor's order: the signal was perhaps sent to all processes,
        and the order says more (whether other workers go on to accept).
        """
        if not self.link.supervised:
            self.interrupt("SIGTERM")
        elif not self.terminated:
            self.terminated = True
            self.runtime.call_at(self.runtime.now() + ORDER_SECONDS, partial(self.interrupt, "SIGTERM"))

    def signal_actions(self) -> dict[str, Callable[[], None]]:
        """The loop's handlers of signals, by name. In a process that only serves, `Ending` takes SIGTERM and SIGINT as
        long as the process lives; a supervised worker leaves a terminal's SIGINT to its supervisor."""
        actions: dict[str, Callable[[], None]] = {}
        if not self.link.owns_process:
            actions["SIGTERM"] = self.on_terminate
        if not self.link.supervised:
            for name in ("SIGBREAK",) if self.link.owns_process else ("SIGINT", "SIGBREAK"):
                actions[name] = partial(self.on_interrupt, name)
        if self.link.owns_process:
            actions["SIGQUIT"] = partial(self.stop_at_once, "SIGQUIT")
        return {**actions, **self.link.signals()}

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
        if self.renewal is not None:
            self.renewal.stop()
        if self.stop_request and self.link.logs_addresses:
            self.log.log_info("Stopping%s", f" ({self.stop_reason})" if self.stop_reason else "")
        if self.listeners and self.shutdown_delay:
            await self.pause(self.shutdown_delay)
        self.context.terminating = True
        if self.operations.management is not None and not self.last_owner:
            await self.operations.management.stop_accepting()
        if self.quic is not None:
            self.quic.withdraw()
        if self.last_owner:
            await self.accept_waiting(self.listeners)
        await self.wait_for_accepted(self.listeners)
        self.close_listeners()
        await self.wait_for_accepted()
        self.for_each_connection(lambda connection: connection.shutdown())
        notify = self.config.shutdown_notify_delay
        if notify is not None:
            self.runtime.call_at(self.runtime.now() + notify, self.notify)
        self.log_waiting()
        await self.wait_until_empty(self.grace)
        if self.deadlines.connections or self.runtime.active_calls():
            self.log_cut()
            if self.threads is not None:
                self.threads.release()
            self.runtime.cancel_calls()
            self.for_each_connection(lambda connection: connection.abort())
            await self.wait_until_empty(AT_ONCE_SECONDS if self.at_once else CANCELLED_SECONDS)
        if self.operations.management is not None:
            await self.operations.management.stop_accepting()
            await self.wait_until_empty(2 * LAST_SECONDS)
        if self.quic is not None:
            self.quic.close()
        self.deadlines.stop()
        if self.threads is not None:
            self.threads.close()
        self.operations.stop()
        self.link.drained()

    def cut(self) -> None:
        """Ends at once what is open, after `drain` was cancelled."""
        self.close_listeners()
        self.runtime.cancel_calls()
        self.for_each_connection(lambda connection: connection.abort())

    async def end(self) -> None:
        """Ends the connections, then runs the application's shutdown. Raises as `Lifespan.shutdown`."""
        timer: Timer | None = None
        try:
            await self.drain()
            timer = self.runtime.call_at(self.runtime.now() + SILENCE_SECONDS, self.log_shutdown)
            await self.lifespan.shutdown()
        except Exception as error:
            self.failure = self.failure or error
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if self.preemption is not None:
                self.preemption.close()
            if self.telemetry is not None:
                await self.flush_telemetry(self.telemetry)
            self.link.over(self.failure, self.time_left())
            if self.stop_request and self.link.logs_addresses:
                self.log.log_info("Stopped")

    async def flush_telemetry(self, telemetry: Telemetry) -> None:
        """Exports spans and metrics that wait, but does not wait for that for long."""
        waiter = self.runtime.waiter()

        def done() -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self.runtime.call_threadsafe(partial(self.runtime.wake, waiter))

        telemetry.flush(done)
        await self.runtime.sleep_until(waiter, AT_ONCE_SECONDS if self.at_once else FLUSH_SECONDS)

    def time_left(self) -> float:
        """Seconds that threads of the application have once its shutdown is over."""
        if self.at_once or not self.stop_request:
            return AT_LEAST_SECONDS
        end = self.stopped_at + self.shutdown_delay + self.grace + self.after_grace
        return max(AT_LEAST_SECONDS, min(THREADS_SECONDS, end - self.runtime.now()))

    def log_waiting(self) -> None:
        """Tells the log what is waited for."""
        calls = self.runtime.active_calls()
        if calls and not self.at_once and self.grace:
            limit = f"up to {self.grace:g} s " if self.grace < inf else ""
            hint = "; CTRL + C again ends at once" if self.stop_reason == "SIGINT" else ""
            self.log.log_info("Waiting %sfor %s to end%s", limit, counted(calls, "request"), hint)

    def log_cut(self) -> None:
        """Tells the log what is cut, and why."""
        calls = self.runtime.active_calls()
        cut = counted(calls, "request") if calls else counted(len(self.deadlines.connections), "connection")
        reason = "asked to end at once" if self.at_once else f"graceful_timeout ({self.grace:g} s)"
        self.log.log_info("Cut %s: %s", cut, reason)

    def log_shutdown(self) -> None:
        """Tells the log that the application takes its time."""
        timeout = self.limits.shutdown_timeout
        limit = f"up to {timeout:g} s " if timeout < inf else ""
        self.log.log_info("Waiting %sfor the application's lifespan shutdown", limit)

    def notify(self) -> None:
        """Tells the applications that stream a response that the server stops, as if their clients had disconnected."""
        self.for_each_connection(lambda connection: connection.notify_shutdown())

    def for_each_connection(self, what: Callable[[Connection], None]) -> None:
        """Tells every connection something. One that fails is ended; the others go on."""
        for connection in list(self.deadlines.connections):
            try:
                what(connection)
            except Exception as error:
                connection.transport.internal_error(error)

    async def accept_waiting(self, listeners: Sequence[Listener]) -> None:
        """Accepts what waits on sockets that nobody else is left to accept on."""
        for listener in listeners:
            with suppress(OSError):
                accepting = listener.accept_waiting()
                if accepting is not None:
                    await accepting

    async def wait_for_accepted(self, listeners: Sequence[Listener] = ()) -> None:
        """Lets connections that a loop's own listeners have just accepted begin, which takes the loop some turns."""
        if getattr(self.runtime, "reactor", None) is None:
            for listener in listeners:
                listener.hold()
            for _ in range(ACCEPT_TURNS):
                await self.runtime.sleep_until(self.runtime.waiter(), 0)

    async def pause(self, seconds: float) -> None:
        """Waits for `seconds`, or until the worker has to stop at once."""
        end = self.runtime.now() + seconds
        while not self.at_once and (left := end - self.runtime.now()) > 0:
            self.empty_waiter = self.runtime.waiter()
            await self.runtime.sleep_until(self.empty_waiter, left)
        self.empty_waiter = None

    async def wait_until_empty(self, seconds: float) -> None:
        """Waits until no connection and no call is left, but not longer than `seconds`."""
        end = self.runtime.now() + seconds
        while self.occupied():
            left = min(end - self.runtime.now(), AT_ONCE_SECONDS if self.at_once else seconds, LONGEST_SLEEP_SECONDS)
            if left <= 0 or (self.at_once and seconds > AT_ONCE_SECONDS):
                return
            self.empty_waiter = self.runtime.waiter()
            await self.runtime.sleep_until(self.empty_waiter, left)
        self.empty_waiter = None

    def notify_if_empty(self) -> None:
        """Wakes who waits for the end, once no connection and no call is left."""
        if self.empty_waiter is not None and not self.occupied():
            self.runtime.wake(self.empty_waiter)

    def occupied(self) -> bool:
        """True while a connection or a call is left."""
        management = self.operations.management
        leaving = management is not None and management.leaving
        return bool(self.deadlines.connections or self.runtime.active_calls() or leaving)

    # -- connections

    def connected(self, transport: Transport, tls: LiveContext | None) -> None:
        """Takes a new transport."""
        try:
            if not self.operations.checks_connections or self.operations.admit(transport, tls):
                self.begin(transport, tls)
        except Exception as error:
            self.context.records.log_fault(error)
            transport.abort()

    def begin(self, transport: Transport, tls: LiveContext | None, rest: bytes = b"") -> None:
        """Puts a connection on a transport. `rest`: what the transport has received already."""
        connection: Connection
        if tls is None:
            connection = self.open_connection(transport)
        else:
            transport.scheme = "https"
            connection = TLSConnection(transport, self.context, tls.latest(self.runtime.now()), self)
        transport.hand_over(connection, rest)

    def open_connection(self, transport: Transport) -> Connection:
        """The connection of the protocol that the peer chose, or the one that traces it."""
        traced = self.trace.connection(transport) if self.trace is not None else None
        return self.protocol_connection(transport) if traced is None else traced

    def protocol_connection(self, transport: Transport) -> Connection:
        """The connection of the protocol that the peer chose (RFC 7301). Without TLS, its first bytes tell."""
        if transport.scheme == "https" and transport.get_extra_info("alpn") == "h2":
            return HTTP2Connection(transport, self.context)
        return HTTP1Connection(transport, self.context)

    def handshake_failed(self, error: BaseException, transport: Transport) -> None:
        """A TLS handshake came to nothing."""
        if self.context.records.counters is not None:
            self.context.records.counters.count("tls_failures")
        self.runtime.report_handshake_failure(error, transport)

    def disconnected(self, connection: Connection) -> None:
        """A transport is closed."""
        self.deadlines.connections.discard(connection)
        try:
            connection.connection_lost()
        except Exception as error:
            self.context.records.log_fault(error)
        if self.operations.checks_connections:
            self.operations.closed(connection)
        if self.empty_waiter is not None:
            self.notify_if_empty()

    def replaced(self, connection: Connection | None, successor: Connection) -> None:
        """A transport has a connection, in the place of another or as its first."""
        if connection is not None:
            self.deadlines.connections.discard(connection)
        self.deadlines.connections.add(successor)
        if self.operations.checks_connections:
            self.operations.replaced(connection, successor)

    def count_request(self) -> None:
        """`max_requests`: the worker stops after that many, or goes on until another has taken its place."""
        self.requests_left -= 1
        if self.requests_left == 0 and not self.stop_request and not self.link.recycle("max_requests"):
            self.stop("max_requests")


def wsgi_class(config: Config) -> type[ThreadedWSGI]:
    """What runs a WSGI application in threads."""
    if config.server_timing == "off":
        from hypercorn.asgi.wsgi_threads import ThreadedWSGI

        return ThreadedWSGI
    from hypercorn.asgi.wsgi_timing import TimedWSGI  # which few need

    return TimedWSGI


def counted(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
