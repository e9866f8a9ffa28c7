"""The last slow requests, and where their time went: a wrapper of the application, where `slow_request` asks for it.

Without the option there is no wrapper, and serving costs what it did.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import update_wrapper
from types import FunctionType, MethodType

from hypercorn.asgi.calling import without_partials
from hypercorn.asgi.exchange import ASGIExchange
from hypercorn.asgi.messages import Message, Receive, Scope, Send
from hypercorn.protocol.runtime import Runtime

KEPT = 100  # slow requests that a worker remembers
MAX_PATH = 200  # characters of a path
App = Callable[..., Awaitable[object]]


class Timing:
    """The times of one request, in seconds of `Runtime.now`."""

    __slots__ = ("body_came", "first_sent_at", "last_sent_at", "queued", "receiving", "sending", "started_at", "status")

    def __init__(self, started_at: float, queued: float) -> None:
        self.started_at = started_at  # when the request's head was complete
        self.queued = queued  # seconds until the application was called, or a thread was free
        self.receiving = 0.0  # seconds that the application waited for the request's body
        self.sending = 0.0  # seconds in `send`
        self.body_came = False
        self.first_sent_at = 0.0
        self.last_sent_at = 0.0
        self.status: int | None = None


class SlowRequests:
    """The last requests of one worker that took `threshold` seconds or longer."""

    def __init__(self, runtime: Runtime, threshold: float) -> None:
        self.now = runtime.now
        self.threshold = threshold
        self.kept: deque[dict[str, object]] = deque(maxlen=KEPT)
        self.timings: dict[Receive, Timing] = {}  # of requests in flight, by what their calls were given

    def around(self, app: App) -> App:
        """The application with its HTTP requests timed."""

        async def timed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self.run(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        named = without_partials(app)
        # Its tasks have the application's name all the same.
        function: Callable[..., object] = named if isinstance(named, FunctionType) else type(named).__call__
        return update_wrapper(timed, function, assigned=("__module__", "__name__", "__qualname__"), updated=())

    async def run(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        now = self.now
        began_at = now()
        exchange = getattr(receive, "__self__", None)
        started_at = exchange.started_at if isinstance(exchange, ASGIExchange) and exchange.started_at else began_at
        timing = Timing(started_at, began_at - started_at)
        # As the request came, whatever the application makes of its scope.
        record: dict[str, object] = {
            "method": scope["method"],
            "path": scope["raw_path"].decode("ascii", "backslashreplace")[:MAX_PATH],
            "client": scope["client"],
            "protocol": f"HTTP/{scope['http_version']}",
        }

        async def receive_timed(_: object) -> Message:
            if timing.body_came:
                message: Message = await receive()
                return message
            before = now()
            try:
                message = await receive()
            finally:
                timing.receiving += now() - before
            timing.body_came = not message.get("more_body", False)
            return message

        async def timed_send(message: Message) -> None:
            before = now()
            try:
                await send(message)
            finally:
                timing.last_sent_at = now()
                timing.sending += timing.last_sent_at - before
            if timing.status is None:
                # What is no final response's head, such as early hints, has no status.
                timing.status = message.get("status")
            elif not timing.first_sent_at:
                timing.first_sent_at = timing.last_sent_at

        # A method of the same object as before: who looks for the exchange of a `receive` finds it.
        timed_receive = MethodType(receive_timed, exchange if exchange is not None else self)
        self.timings[timed_receive] = timing
        try:
            await app(scope, timed_receive, timed_send)
        finally:
            del self.timings[timed_receive]
            self.ended(timing, record)

    def waited(self, receive: Receive, seconds: float) -> None:
        """A WSGI call has waited so long for a thread."""
        timing = self.timings.get(receive)
        if timing is not None:
            timing.queued += seconds

    def ended(self, timing: Timing, record: dict[str, object]) -> None:
        """Keeps a request, if it was slow. It ends with what was sent last, as its call may go on."""
        total = (timing.last_sent_at or self.now()) - timing.started_at
        if total < self.threshold:
            return
        first = timing.first_sent_at - timing.started_at if timing.first_sent_at else None
        rest = total - timing.queued - timing.receiving - timing.sending
        record.update(
            ended=round(time.time(), 3),
            status=timing.status,
            total=round(total, 6),
            queue=round(timing.queued, 6),
            receiving=round(timing.receiving, 6),
            application=round(max(0.0, rest), 6),  # tasks of it may receive and send at the same time
            sending=round(timing.sending, 6),
            first_byte=None if first is None else round(first, 6),
        )
        self.kept.append(record)

    def listed(self) -> dict[str, object]:
        """What is kept, the last first, for `hypercorn ctl slow`."""
        return {"threshold": self.threshold, "requests": list(reversed(self.kept))}
