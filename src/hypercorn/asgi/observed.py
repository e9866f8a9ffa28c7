"""Exchanges that are observed: the `Server-Timing` field of their responses.

A worker has this context in place of a `StreamContext` where an option asks for it, so that without one no request pays
for anything of this. What an application can see of its call stays the same: it is called by the same task, with the
same `receive` and `send`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.asgi.exchange import ASGIExchange
from hypercorn.asgi.http import HTTPExchange
from hypercorn.asgi.messages import Message
from hypercorn.asgi.scope import http_scope
from hypercorn.asgi.streams import StreamContext
from hypercorn.protocol.ports import Connection, Exchange
from hypercorn.wire.head import RequestHead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.config import Config
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.protocol.limits import Limits
    from hypercorn.protocol.runtime import Runtime

# Whose responses have a Server-Timing field: nobody's; those of requests that come from a trusted proxy; all.
NOBODY, TRUSTED, ALL = range(3)
TIMED = {"off": NOBODY, "trusted": TRUSTED, "on": ALL}  # the values of `server_timing`


class ObservedContext(StreamContext):
    """The context of a worker that observes its exchanges.

    timed: whose responses have a Server-Timing field
    """

    __slots__ = ("timed",)

    timed: int

    def __init__(
        self,
        runtime: Runtime,
        app: Callable[..., Awaitable[object]],
        config: Config,
        logger: ErrorLog,
        limits: Limits | None = None,
    ) -> None:
        StreamContext.__init__(self, runtime, app, config, logger, limits)
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
        return exchange


class ObservedHTTPExchange(HTTPExchange):
    """A request and its response.

    opened_at: when the turn began that brought its head, seconds of `Runtime.now`
    called_at: when the application was called; for WSGI, in its thread
    timed: its response has a Server-Timing field
    """

    __slots__ = ("called_at", "opened_at", "timed")

    called_at: float
    opened_at: float
    timed: bool

    def call(self) -> Awaitable[object]:
        self.called_at = self.runtime.now()
        return ASGIExchange.call(self)  # super() fails in a compiled method that overrides a C one

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
