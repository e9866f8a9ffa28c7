"""The services of a worker for its operators: counts, limits on connections, trust in proxies, health, the watchdog.

Nothing of it costs a request anything where no option asks for it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from hypercorn.asgi.clients import ClientLimits, limits_clients
from hypercorn.asgi.gate import Health, open_gate, trusted_proxies
from hypercorn.asgi.overload import can_be_overloaded
from hypercorn.config.options.option import LARGEST
from hypercorn.errors import ProtocolError
from hypercorn.metrics import Board, BoardSlot, Counters, current_board_slot
from hypercorn.net.address import url
from hypercorn.net.sockets import Sockets
from hypercorn.net.tls import LiveContext
from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.http2.connection import HTTP2Connection
from hypercorn.protocol.ports import Connection, Transport
from hypercorn.protocol.runtime import Timer
from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.runtime.contract import OperationsBase, WorkerBase
from hypercorn.runtime.proxy import ProxyConnection
from hypercorn.runtime.tls import TLSTransport
from hypercorn.runtime.watchdog import Watchdog

if TYPE_CHECKING:
    from hypercorn.runtime.management import Management

MAX_REJECTED = 1000  # connections that are answered by a refusal at a time; more are cut
PUBLISH_SECONDS = 0.25  # seconds between two publications of counts that change
_PROTOCOLS = {HTTP1Connection: "http1", HTTP2Connection: "http2", WebSocketConnection: "websocket"}


class Operations(OperationsBase):
    """The operator's side of one worker."""

    def __init__(self, worker: WorkerBase) -> None:
        config, limits = worker.config, worker.context.limits
        self.worker = worker
        self.health = Health(lambda: worker.ready)
        self.board: Board | None = None
        self.own_board = False
        self.slot: BoardSlot | None = current_board_slot()
        if self.slot is not None:
            self.board = self.slot.board
        elif config.metrics_bind:
            self.board = Board.create()
            self.own_board = True
            self.slot = self.board.slot(0)
            self.slot.claim()
        self.counters = Counters() if self.slot is not None or can_be_overloaded(limits) else None
        self.clients: ClientLimits | None = None
        if limits_clients(limits):
            self.clients = ClientLimits(worker.runtime.inner, limits, config.client_exempt_paths)
        open_gate(worker.context, config, self.health, self.counters, self.clients)
        self.proxies = trusted_proxies(config)
        self.proxy_protocol = config.proxy_protocol and self.proxies is not None
        self.limit = limits.limit_connections
        self.open = 0  # connections, where they are counted
        self.rejected: set[Connection] = set()
        self.checks_connections = bool(
            self.limit < LARGEST or self.proxies is not None or self.counters is not None or self.clients is not None
        )
        self.management: Management | None = None
        self.watchdog: Watchdog | None = None
        self.timer: Timer | None = None
        self.publish_at = 0.0
        if self.slot is not None and self.counters is not None:
            self.counters.on_change = self.counts_changed

    # -- the worker's life

    async def start(self, sockets: Sockets) -> None:
        """Opens the listeners of `metrics_bind`, and tells that the worker serves."""
        if sockets.metrics_sockets:
            from hypercorn.runtime.management import Management  # which few need

            self.management = Management(self.worker)
            # They outlive the other sockets.
            own, sockets.metrics_sockets = sockets.metrics_sockets, []
            await self.management.open(own)
            for sock in own:
                self.worker.announce(f"Metrics, health and readiness on {url('http', sock.getsockname())}")
        slow = self.worker.context.limits.slow_callback
        if slow < inf:
            self.watchdog = Watchdog(self.worker, slow, self.blocked)
            self.watchdog.start()
        self.publish()

    def stop(self) -> None:
        """The worker has ended."""
        if self.watchdog is not None:
            self.watchdog.stop()
        if self.management is not None:
            self.management.close()
        if self.timer is not None:
            self.timer.cancel()
        if self.counters is not None:
            self.counters.published = False
        self.publish("gone")
        flush = getattr(self.worker.log, "flush", None)
        if flush is not None:
            flush()
        if self.own_board and self.board is not None:
            self.board.close()
            self.board = self.slot = None

    # -- counts

    def counts_changed(self) -> None:
        """The first change after a publication."""
        if self.counters is not None:
            self.counters.published = False
        self.publish_at = self.worker.runtime.now() + PUBLISH_SECONDS
        self.timer = self.worker.runtime.call_at(self.publish_at, self.tick)

    def tick(self) -> None:
        """Publishes. How late the loop is with it is a measure of its own."""
        assert self.counters is not None
        lag = int((self.worker.runtime.now() - self.publish_at) * 1_000_000)
        self.counters.others["loop_lag"] = max(0, lag)
        self.timer = None
        self.publish()
        self.counters.published = True

    def publish(self, state: str = "") -> None:
        """Makes the counts seen by others."""
        if self.slot is not None and self.counters is not None:
            dropped = getattr(self.worker.log, "dropped", 0)
            self.counters.others["log_dropped"] = dropped if isinstance(dropped, int) else 0
            self.slot.publish(self.counters, state or ("serving" if self.worker.ready else "draining"))

    def blocked(self) -> None:
        """Counts a time that the loop was blocked. The watchdog calls this on the loop."""
        if self.counters is not None:
            self.counters.count("loop_blocked")

    # -- connections

    def trusts(self, client: tuple[str, int] | None) -> bool:
        """Returns True where forwarding headers of that peer count."""
        return self.proxies is not None and self.proxies.trusts(client)

    def admit(self, transport: Transport, tls: LiveContext | None) -> bool:
        """Checks a new transport before it gets its connection. Returns False where it got another one."""
        worker = self.worker
        if self.open >= self.limit:
            self.reject(transport, tls, ProtocolError(503, "too many connections"))
            return False
        if self.proxies is not None:
            transport.trusted = self.proxies.trusts(transport.client)
        if not self.admit_client(transport):
            self.reject(transport, tls, ProtocolError(429, "too many connections of this client"))
            return False
        self.open += 1
        if self.proxy_protocol and transport.trusted:
            connection = ProxyConnection(transport, worker.context, tls, worker)
            transport.connection = connection
            worker.deadlines.connections.add(connection)
            return False
        return True

    def admit_client(self, transport: Transport) -> bool:
        """Counts a transport for its client. Returns False for one too many. A trusted proxy's has many clients."""
        return self.clients is None or transport.trusted or self.clients.connect(transport, transport.client)

    def forget_client(self, transport: Transport) -> None:
        """The connection of a transport has ended."""
        if self.clients is not None:
            self.clients.disconnect(transport)

    def reject(self, transport: Transport, tls: LiveContext | None, error: ProtocolError) -> None:
        """Refuses a connection by an answer, where that costs no handshake."""
        connection = HTTP1Connection(transport, self.worker.context)
        transport.connection = connection
        self.worker.deadlines.connections.add(connection)
        crowded = len(self.rejected) >= min(self.limit, MAX_REJECTED)
        self.rejected.add(connection)
        if tls is not None or crowded:
            if self.counters is not None:
                self.counters.refused(error.status)
            connection.abort()
        else:
            connection.refuse(error)

    def closed(self, connection: Connection) -> None:
        """A connection's transport is gone."""
        if connection in self.rejected:
            self.rejected.discard(connection)
            return
        if not isinstance(connection.transport, TLSTransport):
            self.open -= 1
            self.forget_client(connection.transport)
        name = _PROTOCOLS.get(type(connection))
        if name is not None and self.counters is not None:
            self.counters.count(f"{name}_closed")

    def replaced(self, connection: Connection | None, successor: Connection) -> None:
        """A transport has a connection, in the place of another or as its first."""
        for one, what in ((connection, "closed"), (successor, "opened")):
            name = _PROTOCOLS.get(type(one))
            if name is not None and self.counters is not None:
                self.counters.count(f"{name}_{what}")
