"""A name for every request, in its scope, in its logs and in its response."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from secrets import token_hex
from typing import Any

from hypercorn.middleware.answers import App, Message, Receive, Send, field

SAFE = re.compile(rb"[A-Za-z0-9._~+/=:-]{1,128}")
STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

# The id of the request that the running task serves; "" outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIDMiddleware:
    """Gives every request and WebSocket an id: `scope["request_id"]`, the variable `request_id`, a response field.

    header: the field's name
    trusted: takes over the id that a request brings, where it is at most 128 letters, digits and some signs; only for
        servers behind a proxy that sets it
    new_id: makes an id; the default is 32 random hexadecimal digits
    """

    def __init__(
        self,
        app: App,
        *,
        header: str = "x-request-id",
        trusted: bool = False,
        new_id: Callable[[], str] = lambda: token_hex(16),
    ) -> None:
        self.app = app
        self.header = header.lower().encode("ascii")
        self.trusted = trusted
        self.new_id = new_id

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        brought = field(scope["headers"], self.header) if self.trusted else None
        raw = brought if brought is not None and SAFE.fullmatch(brought) else self.new_id().encode("ascii")
        name = raw.decode("ascii")

        async def send_with_id(message: Message) -> None:
            if message["type"] in STARTS:
                message = {**message, "headers": [*message.get("headers", ()), (self.header, raw)]}
            await send(message)

        token = request_id.set(name)
        try:
            await self.app({**scope, "request_id": name}, receive, send_with_id)
        finally:
            request_id.reset(token)


class RequestIDFilter(logging.Filter):
    """Gives log records the attribute `request_id`, for formats such as `[%(request_id)s] %(message)s`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get() or "-"
        return True
