"""Opens the stream that fits a request: the last piece of the `Context` that connections know."""

from __future__ import annotations

from typing import Any

from hypercorn.asgi.context import ASGIContext
from hypercorn.asgi.http import HTTPStream
from hypercorn.asgi.scope import http_scope, websocket_scope
from hypercorn.asgi.websocket import WebSocketStream
from hypercorn.protocol.ports import Connection, Stream
from hypercorn.wire.head import RequestHead


class StreamContext(ASGIContext):
    """The context of a worker that serves an ASGI application."""

    __slots__ = ()

    def open_http(self, connection: Connection, head: RequestHead) -> Stream:
        if self.request_opened is not None:
            self.request_opened()
        scope = http_scope(self, connection.transport, head)
        return HTTPStream(connection, self, scope, head.complete)

    def open_websocket(self, connection: Connection, head: RequestHead, handshake: Any) -> Stream:
        if self.request_opened is not None:
            self.request_opened()
        scope = websocket_scope(self, connection.transport, head, handshake.subprotocols)
        return WebSocketStream(connection, self, scope, handshake)

    def refused(self, connection: Connection, head: RequestHead | None, status: int, reason: str) -> None:
        self.log_refusal(connection, status, reason)
        if self.access is not None and head is not None:
            target = head.raw_target
            scope = http_scope(self, connection.transport, None)
            scope["http_version"] = head.http_version
            scope["method"] = head.method or "-"
            scope["raw_path"], _, scope["query_string"] = target.partition(b"?")
            self.access(scope, status, (), connection.answered, 0.0)
