"""Metrics, health and readiness on a bind of their own: a small application of the server's, apart from the other
connections and their limits. It answers to the very end of a drain; but a worker that leaves others behind leaves it to
them at once, and finishes what it has begun."""

from __future__ import annotations

from socket import socket

from hypercorn.asgi.gate import HEALTH, READY, respond_in_text
from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.asgi.responses import length_of, respond
from hypercorn.asgi.streams import StreamContext
from hypercorn.metrics.openmetrics import CONTENT_TYPE, PLAIN_CONTENT_TYPE, render, wants_openmetrics
from hypercorn.net.sockets import listen
from hypercorn.net.tls import LiveContext
from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.ports import Connection, Transport
from hypercorn.runtime.contract import WorkerBase
from hypercorn.runtime.deadlines import LAST_SECONDS, Deadlines
from hypercorn.runtime.ports import Listener

CONNECTIONS = 64  # that are open at the same time at the most


class Management:
    """The listeners of `metrics_bind`. To transports it is what a worker is."""

    def __init__(self, worker: WorkerBase) -> None:
        self.worker = worker
        self.config = worker.config
        self.log = worker.log
        self.shared = worker.shared
        self.context = StreamContext(worker.runtime.inner, self.app, worker.config, worker.log, worker.limits)
        self.context.http2 = False
        self.context.websocket = None
        self.deadlines = Deadlines(worker.runtime.inner, self.context)
        self.context.arm_deadline = self.deadlines.arm
        self.listeners: list[Listener] = []
        self.sockets: list[socket] = []
        self.apps = {
            "/metrics": self.metrics,
            worker.config.health_path or HEALTH: worker.operations.health.alive,
            worker.config.ready_path or READY: worker.operations.health.ready,
        }

    async def open(self, sockets: list[socket]) -> None:
        """Accepts connections."""
        self.sockets = sockets
        for sock in sockets:
            listen(sock, CONNECTIONS)
            self.listeners.append(await self.worker.runtime.listen(self, sock, None))

    @property
    def leaving(self) -> bool:
        """True while it accepts no more, and answers those that it has accepted."""
        return not self.listeners and bool(self.deadlines.connections)

    async def stop_accepting(self) -> None:
        """Accepts no more. Idle connections end as those of the worker do, the others with their answer."""
        if not self.listeners:
            return
        self.context.terminating = True
        if self.worker.last_owner:
            limits = self.context.limits
            self.context.limits = limits.changed(idle_grace=min(limits.idle_grace, LAST_SECONDS))
            await self.worker.accept_waiting(self.listeners)
        await self.worker.wait_for_accepted(self.listeners)
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        for sock in self.sockets:
            sock.close()
        self.sockets.clear()
        await self.worker.wait_for_accepted()
        for connection in list(self.deadlines.connections):
            connection.shutdown()

    def close(self) -> None:
        """Ends everything."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        for sock in self.sockets:
            sock.close()
        for connection in list(self.deadlines.connections):
            connection.abort()
        self.deadlines.stop()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application."""
        app = self.apps.get(scope["path"])
        if app is None:
            await respond_in_text(scope, send, 404, b"not found\n")
        elif scope["method"] not in ("GET", "HEAD"):
            await respond_in_text(scope, send, 405, b"GET and HEAD only\n", (b"allow", b"GET, HEAD"))
        else:
            await app(scope, receive, send)

    async def metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        """/metrics: the sums over all workers, in the format that the Accept field asks for."""
        board = self.worker.operations.board
        if board is None:
            await respond_in_text(scope, send, 404, b"not found\n")
            return
        self.worker.operations.publish()
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
        openmetrics = wants_openmetrics(accept.decode("latin-1"))
        body = render(board, openmetrics)
        kind = CONTENT_TYPE if openmetrics else PLAIN_CONTENT_TYPE
        await respond(send, 200, [(b"content-type", kind), (b"vary", b"accept"), length_of(body)], body)

    # -- from transports

    def connected(self, transport: Transport, tls: LiveContext | None) -> None:
        """Puts a connection on a new transport."""
        connection = HTTP1Connection(transport, self.context)
        transport.connection = connection
        full = len(self.deadlines.connections) >= CONNECTIONS
        self.deadlines.connections.add(connection)
        if full:
            connection.abort()

    def disconnected(self, connection: Connection) -> None:
        """A transport is gone."""
        self.deadlines.connections.discard(connection)
        connection.connection_lost()
        self.worker.notify_if_empty()
