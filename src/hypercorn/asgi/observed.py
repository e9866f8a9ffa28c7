"""Exchanges that are observed: spans and metrics of OpenTelemetry, the `Server-Timing` field of responses.

A worker has this context in place of a `StreamContext` where an option asks for it, so that without one no request pays
for anything of this. What an application can see of its call stays the same: it is called by the same task, with the
same `receive` and `send`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.asgi.exchange import ASGIExchange
from hypercorn.asgi.http import HTTPExchange
from hypercorn.asgi.messages import Message, Scope
from hypercorn.asgi.scope import http_scope
from hypercorn.asgi.streams import StreamContext
from hypercorn.asgi.websocket import WebSocketExchange
from hypercorn.protocol.ports import Connection, Exchange
from hypercorn.wire.head import RequestHead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.asgi.context import ASGIContext
    from hypercorn.asgi.telemetry import RequestSpan, Telemetry
    from hypercorn.config import Config
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.protocol.limits import Limits
    from hypercorn.protocol.runtime import Runtime
    from hypercorn.protocol.websocket.handshake import Handshake

# Whose responses have a Server-Timing field: nobody's; those of requests that come from a trusted proxy; all.
NOBODY, TRUSTED, ALL = range(3)
LEFT = "ClientDisconnected"  # the error of a request whose client has left
TIMED = {"off": NOBODY, "trusted": TRUSTED, "on": ALL}  # the values of `server_timing`


class ObservedContext(StreamContext):
    """The context of a worker that observes its exchanges.

    telemetry: what spans and metrics go to, or None
    timed: whose responses have a Server-Timing field
    """

    __slots__ = ("telemetry", "timed")

    telemetry: Telemetry | None
    timed: int

    def __init__(
        self,
        runtime: Runtime,
        app: Callable[..., Awaitable[object]],
        config: Config,
        logger: ErrorLog,
        limits: Limits | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        StreamContext.__init__(self, runtime, app, config, logger, limits)
        self.telemetry = telemetry
        self.timed = TIMED[config.server_timing]

    def open_http(self, connection: Connection, head: RequestHead) -> Exchange:
        transport = connection.transport
        now = self.runtime.now()
        exchange = ObservedHTTPExchange.__new__(ObservedHTTPExchange)
        exchange.opened_at = transport.turn_at if transport.turn else now
        exchange.called_at = now  # until it is called
        exchange.timed = self.timed == ALL or (self.timed == TRUSTED and transport.trusted)
        if self.request_opened is not None:
            self.request_opened()
        scope = http_scope(self, transport, head)
        context = self if self.gate is None else self.pass_gate(connection, scope, head, self.gate)
        exchange.open(connection, context, scope, head)
        exchange.error = ""
        telemetry = self.telemetry
        exchange.span = None if telemetry is None else telemetry.begin(scope, transport, head.method)
        return exchange

    def websocket_exchange(
        self, connection: Connection, context: ASGIContext, scope: Scope, handshake: Handshake
    ) -> WebSocketExchange:
        exchange = ObservedWebSocketExchange(connection, context, scope, handshake)
        exchange.error = ""
        telemetry = self.telemetry
        method = "GET" if scope["http_version"] == "1.1" else "CONNECT"  # RFC 6455, RFC 8441 and RFC 9220
        exchange.span = None if telemetry is None else telemetry.begin(scope, connection.transport, method)
        return exchange

    def refused(self, connection: Connection, head: RequestHead | None, status: int, reason: str) -> None:
        StreamContext.refused(self, connection, head, status, reason)
        telemetry = self.telemetry
        if telemetry is not None:
            scope = self.refused_scope(connection, head)
            span = telemetry.begin(scope, connection.transport, scope["method"])
            if span is not None:
                span.end(scope, status, "", 0, connection.answered)


class ObservedHTTPExchange(HTTPExchange):
    """A request and its response.

    opened_at: when the turn began that brought its head, seconds of `Runtime.now`
    called_at: when the application was called; for WSGI, in its thread
    timed: its response has a Server-Timing field
    span: until it has ended, or None
    error: what went wrong, the name of an exception, or ""
    """

    __slots__ = ("called_at", "error", "opened_at", "span", "timed")

    called_at: float
    error: str
    span: RequestSpan | None
    opened_at: float
    timed: bool

    def call(self) -> Awaitable[object]:
        self.called_at = self.runtime.now()
        if self.span is not None:
            self.span.enter()
        return ASGIExchange.call(self)  # super() fails in a compiled method that overrides a C one

    def call_ended(self, error: BaseException | None) -> None:
        if error is not None and self.span is not None and not self.error:
            self.error = type(error).__qualname__
            self.span.raised(error)
        HTTPExchange.call_ended(self, error)

    def disconnected(self, status: int) -> None:
        if not status and not self.over:
            self.error = LEFT
        HTTPExchange.disconnected(self, status)

    def record(self) -> None:
        span = self.span
        if span is not None:
            self.span = None
            span.end(self.scope, self.status, self.error, self.received, self.sent)
        ASGIExchange.record(self)

    def send_start(self, message: Message) -> None:
        if self.timed:
            message = message.copy()  # the application may send it again
            message["headers"] = [*message.get("headers", ()), self.timing()]
        HTTPExchange.send_start(self, message)

    def timing(self) -> tuple[bytes, bytes]:
        """The Server-Timing field (W3C Server Timing section 3): milliseconds from the arrival of the head to the call
        of the application, and from there to the start of the response."""
        queue = (self.called_at - self.opened_at) * 1000
        app = (self.runtime.now() - self.called_at) * 1000
        return b"server-timing", b"queue;dur=%.1f, app;dur=%.1f" % (max(queue, 0.0), max(app, 0.0))


class ObservedWebSocketExchange(WebSocketExchange):
    """A WebSocket and its handshake; `span` and `error` as above."""

    __slots__ = ("error", "span")

    error: str
    span: RequestSpan | None

    def call(self) -> Awaitable[object]:
        if self.span is not None:
            self.span.enter()
        return ASGIExchange.call(self)

    def call_ended(self, error: BaseException | None) -> None:
        if error is not None and self.span is not None and not self.error:
            self.error = type(error).__qualname__
            self.span.raised(error)
        WebSocketExchange.call_ended(self, error)

    def disconnected(self, status: int) -> None:
        if not status and not self.over:
            self.error = LEFT
        WebSocketExchange.disconnected(self, status)

    def record(self) -> None:
        span = self.span
        if span is not None:
            self.span = None
            sent = self.sent if self.socket is None else self.socket.sent
            span.end(self.scope, self.status, self.error, self.received, sent)
        WebSocketExchange.record(self)
