"""A server in memory: a test drives its connections with bytes and a clock moved by hand, on no event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hypercorn.asgi.clients import ClientLimits, limits_clients
from hypercorn.asgi.gate import Health, context_of, open_gate, telemetry_of, trusted_proxies
from hypercorn.asgi.validate import ASGIValidator
from hypercorn.config import Config
from hypercorn.metrics.counters import Counters
from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.ports import Connection, Transport
from hypercorn.runtime.deadlines import Deadlines
from hypercorn.runtime.memory import MemoryRuntime
from hypercorn.runtime.states import CLOSED, CLOSING, HALF_CLOSED, HALF_CLOSING, OPEN

if TYPE_CHECKING:
    from hypercorn.logs.access import Headers, Scope
    from hypercorn.logs.logger import ExcInfo


class LogEntry(NamedTuple):
    """A record of the error log."""

    level: str
    text: str
    error: BaseException | None


class AccessEntry(NamedTuple):
    """An access record: `status` is None where no response was sent, `duration` is seconds."""

    method: str
    path: bytes
    status: int | None
    body_bytes: int
    duration: float
    scope: Scope
    headers: Headers


class MemoryLog:
    """The two logs as lists."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.access: list[AccessEntry] = []

    def at(self, *levels: str) -> list[LogEntry]:
        """The entries of these levels: "debug", "info", "warning", "error"."""
        return [entry for entry in self.entries if entry.level in levels]

    def log_debug(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        self.keep("debug", message % args, exc_info)

    def log_info(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        self.keep("info", message % args, exc_info)

    def log_warning(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        self.keep("warning", message % args, exc_info)

    def log_error(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        self.keep("error", message % args, exc_info)

    def keep(self, level: str, text: str, error: ExcInfo) -> None:
        """Keeps a record of the error log."""
        self.entries.append(LogEntry(level, text, error if isinstance(error, BaseException) else None))

    def log_access(self, scope: Scope, status: int | None, headers: Headers, body_bytes: int, duration: float) -> None:
        path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        self.access.append(AccessEntry(scope.get("method", "GET"), path, status, body_bytes, duration, scope, headers))


class MemoryTransport(Transport):
    """A transport whose peer is a test. As over sockets, the end is told in a step of its own.

    writes: what was handed to the "kernel", one entry for each call
    arrived: what the peer has read of it
    """

    def __init__(self, server: MemoryServer, high_water: int) -> None:
        super().__init__(server.runtime)
        self.memory_server = server
        self.high_water = high_water
        self.writes: list[bytes] = []
        self.arrived = bytearray()
        self.pending = bytearray()  # written, and not read by the peer
        self.peer_reads = True
        self.incoming: list[bytes | None] = []  # what the peer sent while reading was paused; None is its end
        self.sending = OPEN
        self.aborted = False

    # -- from the peer

    def deliver(self, data: bytes | None) -> None:
        """The peer sent bytes, or (None) ended its side."""
        self.incoming.append(data)
        self.hand_up()

    def hand_up(self) -> None:
        while self.incoming and not self.reading_paused and self.connection is not None and self.sending < CLOSING:
            data = self.incoming.pop(0)
            if data is None:
                self.connection.eof_received()
            else:
                self.received(data)

    def peer_read(self, count: int) -> None:
        """The peer took `count` bytes of what waits for it."""
        self.arrived += self.pending[:count]
        del self.pending[:count]
        if self.writing_paused and len(self.pending) <= self.high_water // 4:
            self.resume_output()
        if not self.pending:
            if self.sending == HALF_CLOSING:
                self.sending = HALF_CLOSED
            elif self.sending == CLOSING:
                self.shut()

    def shut(self) -> None:
        """The connection is over, for whatever reason."""
        if self.sending != CLOSED:
            self.sending = CLOSED
            self.runtime.call_soon(self.tell)

    def tell(self) -> None:
        connection = self.connection
        self.connection = None
        self.out.clear()
        if connection is not None:
            self.memory_server.deadlines.connections.discard(connection)
            connection.connection_lost()

    # -- from the connection

    def send_bytes(self, data: bytes) -> None:
        if self.sending != OPEN:
            return
        self.writes.append(data)
        self.pending += data
        if self.peer_reads:
            self.peer_read(len(self.pending))
        elif not self.writing_paused and len(self.pending) > self.high_water:
            self.pause_output()

    def unsent(self) -> int:
        return len(self.pending)

    def close(self) -> None:
        self.flush()
        if self.sending < CLOSING:
            self.sending = CLOSING
            if not self.pending:
                self.shut()

    def abort(self) -> None:
        if self.sending != CLOSED:
            self.aborted = True
            self.pending.clear()
            self.shut()

    def write_eof(self) -> None:
        self.flush()
        if self.sending == OPEN:
            self.sending = HALF_CLOSING if self.pending else HALF_CLOSED

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        if self.reading_paused:
            self.reading_paused = False
            self.runtime.call_soon(self.hand_up)


class MemoryServer:
    """An application served in memory; `connect` gives a client.

    config: as for `serve()`; what concerns sockets, loops and processes has no effect. None: the defaults, with
        `validate_app`
    counted: `counters` has what a worker with metrics counts
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[object]],
        config: Config | None = None,
        *,
        eager: bool = True,
        counted: bool = False,
    ) -> None:
        self.config = config if config is not None else Config(validate_app=True)
        if self.config.validate_app:
            app = ASGIValidator(app)
        self.runtime = MemoryRuntime(eager=eager)
        self.log = MemoryLog()
        telemetry = telemetry_of(self.config, self.log)
        self.context = context_of(self.runtime, app, self.config, self.log, telemetry=telemetry)
        self.context.records.keep(self.log.log_access, None)
        self.deadlines = Deadlines(self.runtime, self.context)
        self.context.arm_deadline = self.deadlines.arm
        self.context.connection_replaced = self.replaced
        self.health = Health()
        self.counters = Counters() if counted else None
        self.proxies = trusted_proxies(self.config)
        clients = None
        if limits_clients(self.context.limits):
            clients = ClientLimits(self.runtime, self.context.limits, self.config.client_exempt_paths)
        open_gate(self.context, self.config, self.health, self.counters, clients)

    def connect(
        self,
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        server: tuple[str, int | None] | None = ("127.0.0.1", 8000),
        scheme: str = "http",
    ) -> Client:
        """Opens a connection. The arguments are what scopes say of it."""
        transport = MemoryTransport(self, self.context.limits.write_buffer_size)
        transport.client, transport.server, transport.scheme = client, server, scheme
        transport.trusted = self.proxies is not None and self.proxies.trusts(client)
        transport.hand_over(HTTP1Connection(transport, self.context))
        self.runtime.run()
        return Client(self, transport)

    def replaced(self, connection: Connection | None, successor: Connection) -> None:
        """A transport has a connection, in the place of another or as its first."""
        if connection is not None:
            self.deadlines.connections.discard(connection)
        self.deadlines.connections.add(successor)

    def shutdown(self) -> None:
        """The server goes down: idle connections end, the others take no further request."""
        self.context.terminating = True
        self.health.draining = True
        for connection in list(self.deadlines.connections):
            connection.shutdown()
        self.runtime.run()


class Client:
    """The peer of one connection."""

    def __init__(self, server: MemoryServer, transport: MemoryTransport) -> None:
        self.server = server
        self.runtime = server.runtime
        self.transport = transport
        self.log = server.log
        self.taken = 0

    @contextmanager
    def _settled(self) -> Iterator[None]:
        yield
        self.runtime.run()

    def send(self, data: bytes, *, size: int = 0) -> None:
        """Sends bytes, in pieces of `size` where it is given. What comes after the end is lost."""
        step = size or len(data) or 1
        for start in range(0, len(data), step):
            with self._settled():
                self.transport.deliver(data[start : start + step])

    def end(self) -> None:
        """Ends the sending side (FIN); the client still reads."""
        with self._settled():
            self.transport.deliver(None)

    def disconnect(self) -> None:
        """Is gone (RST)."""
        with self._settled():
            self.transport.pending.clear()
            self.transport.shut()

    def received(self) -> bytes:
        """The bytes that have arrived since the last call."""
        self.runtime.run()
        data = bytes(self.transport.arrived[self.taken :])
        self.taken += len(data)
        return data

    def stop_reading(self) -> None:
        """Reads nothing more of its own accord: output piles up at the server."""
        self.transport.peer_reads = False

    def read(self, count: int | None = None) -> bytes:
        """Reads `count` bytes of what waits (default: all). Returns what arrived since the last call."""
        with self._settled():
            self.transport.peer_read(len(self.transport.pending) if count is None else count)
        return self.received()

    def start_reading(self) -> None:
        """Reads whatever comes, again."""
        self.transport.peer_reads = True
        with self._settled():
            self.transport.peer_read(len(self.transport.pending))

    def advance(self, seconds: float) -> None:
        """Moves the clock of the server."""
        self.runtime.advance(seconds)

    @property
    def writes(self) -> list[bytes]:
        """The bytes that the server handed to the kernel, one entry for each system call."""
        return self.transport.writes

    @property
    def closed(self) -> bool:
        """The connection is over."""
        return self.transport.sending == CLOSED

    @property
    def aborted(self) -> bool:
        """The server cut the connection (RST)."""
        return self.transport.aborted

    @property
    def half_closed(self) -> bool:
        """The server ended its sending side."""
        return self.transport.sending in (HALF_CLOSED, CLOSED)

    @property
    def paused(self) -> bool:
        """The server does not read."""
        return self.transport.reading_paused

    @property
    def access(self) -> list[AccessEntry]:
        """The access records of the server."""
        return self.log.access

    @property
    def errors(self) -> list[LogEntry]:
        """The warnings and errors that the server has logged."""
        return self.log.at("warning", "error")


def connect(app: Callable[..., Awaitable[object]], config: Config | None = None, *, eager: bool = True) -> Client:
    """Serves an application in memory and connects to it."""
    return MemoryServer(app, config, eager=eager).connect()
