"""A WSGI application whose calls tell when they got a thread: for `Server-Timing`, the wait for one is queueing."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.asgi.observed import ObservedHTTPExchange
from hypercorn.asgi.wsgi_threads import Call, ThreadedWSGI, Threads

# The exchange of the request that a call is for, where it is one that is observed.
EXCHANGE: ContextVar[ObservedHTTPExchange | None] = ContextVar("exchange")


class TimedThreads(Threads):
    """Threads that tell the exchange of a call when one of them takes it."""

    def run(self, call: Call) -> None:
        exchange = call.context.get(EXCHANGE)
        if exchange is not None:
            exchange.called_at = exchange.runtime.now()
        super().run(call)


class TimedWSGI(ThreadedWSGI):
    """The ASGI application."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.threads: Threads = TimedThreads(self.settings.threads)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = getattr(receive, "__self__", None)  # `receive` is its method
        EXCHANGE.set(exchange if isinstance(exchange, ObservedHTTPExchange) else None)
        await super().handle(scope, receive, send)
