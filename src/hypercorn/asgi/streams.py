"""Opens the exchange that fits a request: the last piece of the `Context` that connections know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.asgi.context import ASGIContext, Gate
from hypercorn.asgi.http import open_exchange
from hypercorn.asgi.messages import Scope
from hypercorn.asgi.scope import add_root_path, http_scope, websocket_scope
from hypercorn.asgi.websocket import WebSocketExchange
from hypercorn.protocol.ports import Connection, Exchange
from hypercorn.wire.head import HeadLines, RequestHead

if TYPE_CHECKING:
    from hypercorn.protocol.websocket.handshake import Handshake


class StreamContext(ASGIContext):
    """The context of a worker that serves an ASGI application."""

    __slots__ = ()

    def open_http(self, connection: Connection, head: RequestHead) -> Exchange:
        if self.request_opened is not None:
            self.request_opened()
        scope = http_scope(self, connection.transport, head)
        if self.gate is not None:
            return open_exchange(connection, self.pass_gate(connection, scope, head, self.gate), scope, head)
        return open_exchange(connection, self, scope, head)

    def open_websocket(self, connection: Connection, head: RequestHead, handshake: Handshake) -> Exchange:
        if self.request_opened is not None:
            self.request_opened()
        scope = websocket_scope(self, connection.transport, head, handshake.subprotocols)
        gate = self.gate
        if gate is None:
            return self.websocket_exchange(connection, self, scope, handshake)
        context = self.pass_gate_to_websocket(connection, scope, gate)
        exchange = self.websocket_exchange(connection, context, scope, handshake)
        if gate.broadcast is not None and context is self:
            exchange.subscriber = gate.broadcast.offer(exchange)
        return exchange

    def websocket_exchange(
        self, connection: Connection, context: ASGIContext, scope: Scope, handshake: Handshake
    ) -> WebSocketExchange:
        """The exchange of a WebSocket whose application `context` has."""
        return WebSocketExchange(connection, context, scope, handshake)

    def pass_gate_to_websocket(self, connection: Connection, scope: Scope, gate: Gate) -> ASGIContext:
        """The same as `pass_gate` for a WebSocket, to which the server has no answers of its own."""
        if self.added_path:
            add_root_path(self, scope)
        if connection.transport.trusted:
            gate.proxy.apply(scope)
            if gate.misdirected is not None and not self.serves_scope(scope):
                return gate.misdirected
        if gate.clients is not None and gate.clients.wait(scope, scope["path"]):
            return gate.throttled
        if gate.overload is not None and gate.overload.refuses():
            return gate.overloaded
        counters = self.records.counters
        if counters is not None:
            counters.websocket_requests += 1
            counters.requests_started += 1
        return self

    def pass_gate(self, connection: Connection, scope: Scope, head: RequestHead, gate: Gate) -> ASGIContext:
        """Takes a request through the gate: proxies, the server's own answers, limits, counters. Returns the context
        whose application answers it."""
        if self.added_path:
            add_root_path(self, scope)
        if connection.transport.trusted:
            gate.proxy.apply(scope)
            if gate.misdirected is not None and not self.serves_scope(scope):
                return gate.misdirected
        if gate.answers is not None:
            context = gate.answers.get(head.path)  # as it was asked for: proxies name another
            if context is not None:
                return context
        if gate.challenges is not None and gate.challenges.answer(head.path) is not None:
            return gate.challenged
        if gate.clients is not None and gate.clients.wait(scope, head.path):
            return gate.throttled
        if gate.overload is not None and gate.overload.refuses():
            return gate.overloaded
        counters = self.records.counters
        if counters is not None:
            counters.started(head.http_version)
        if gate.broadcast is not None:
            gate.broadcast.offer_to(scope)
        return self

    def serves_scope(self, scope: Scope) -> bool:
        """True where the host of a request, as a proxy has named it, is one of `server_names`."""
        for name, value in scope["headers"]:
            if name.lower() == b"host":
                return self.serves(value)
        return False

    def refused(self, connection: Connection, head: RequestHead | None, status: int, reason: str) -> None:
        records = self.records
        records.log_refusal(connection.transport.client, status, reason)
        if records.counters is not None:
            records.counters.refused(status)
        if records.access is not None and head is not None:
            records.access(self.refused_scope(connection, head), status, (), connection.answered, 0.0)

    def refused_scope(self, connection: Connection, head: RequestHead | None) -> Scope:
        """What is known of a request that no application sees, as a scope has it."""
        scope = http_scope(self, connection.transport, None)
        if head is None:
            return scope
        scope["http_version"] = head.http_version
        scope["method"] = head.method or "-"
        scope["raw_path"], _, scope["query_string"] = head.raw_target.partition(b"?")
        # None where they were too large to be read. HTTP/1 has what it has read; its `headers` are an older head's.
        fields = head.fields if isinstance(head, HeadLines) else getattr(head, "headers", None)
        scope["headers"] = fields or []
        if self.added_path:
            add_root_path(self, scope)
        gate = self.gate
        if gate is not None and connection.transport.trusted:
            gate.proxy.apply(scope)
        return scope
