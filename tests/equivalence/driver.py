"""The twin of reference: it runs an application as the server has to, in the plainest way there is.

A request is one task, made by `asyncio.create_task(app(scope, receive, send))`, or by `nursery.start_soon` on trio.
There is no socket and no protocol: the messages that the client's side comes to are put into a queue, and what the
application sends is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

import trio
from tests.support.live import in_trio, run


class Exchange:
    """One request or WebSocket: the `receive` and `send` of its application."""

    def __init__(self, kind: str, path: str, messages: list[dict[str, Any]]) -> None:
        self.kind = kind
        self.path = path
        self.messages = deque(messages)
        self.sent: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.gone = False
        self.over = trio.Event() if in_trio() else asyncio.Event()

    def take_scope(self) -> dict[str, Any]:
        """A scope that is the application's alone."""
        scope: dict[str, Any] = {
            "type": self.kind,
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": "ws" if self.kind == "websocket" else "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "extensions": {},
            "state": {},
        }
        if self.kind == "http":
            scope["method"] = "GET"
        return scope

    def answer(self) -> tuple[int, bytes]:
        """The status and the body of the response; where the application failed before it, a server's 500."""
        if not self.sent:
            return 500, b""
        return self.sent[0]["status"], b"".join(message.get("body", b"") for message in self.sent[1:])

    def text(self) -> str:
        """All that the client of a response, or of a WebSocket, reads."""
        return "".join(one.get("text") or one.get("body", b"").decode() for one in self.sent)

    async def receive(self) -> dict[str, Any]:
        """The next message of the client; once there is none, it waits for the end of the response."""
        if not self.messages:
            await self.over.wait()
            return {"type": f"{self.kind}.disconnect"}
        return self.messages.popleft()

    def leave(self) -> None:
        """The client goes."""
        self.gone = True
        self.over.set()

    async def send(self, message: dict[str, Any]) -> None:
        """Keeps a message. Refuses what comes after the end, or after the client has gone, as a server does."""
        if self.gone:
            raise ConnectionError("the client is gone")
        if self.over.is_set() or message["type"] not in KNOWN:
            raise RuntimeError("a message out of place")
        self.sent.append(message)
        if message["type"] == "websocket.close" or (
            message["type"] == "http.response.body" and not message.get("more_body")
        ):
            self.over.set()


KNOWN = {
    "http.response.start",
    "http.response.body",
    "websocket.accept",
    "websocket.send",
    "websocket.close",
}


def messages_of(kind: str, texts: list[str]) -> list[dict[str, Any]]:
    """What an application receives of a client that sends `texts`."""
    if kind == "http":
        return [{"type": "http.request", "body": "".join(texts).encode(), "more_body": False}]
    received = [{"type": "websocket.receive", "bytes": None, "text": text} for text in texts]
    return [{"type": "websocket.connect"}, *received]


@asynccontextmanager
async def starter(backend: str) -> AsyncIterator[Callable[[Any, Exchange], None]]:
    """What begins the call of an exchange in a task of its own. All of them have ended when this is left."""
    if backend == "trio":
        async with trio.open_nursery() as nursery:
            yield lambda app, one: nursery.start_soon(app, one.take_scope(), one.receive, one.send, name=app)
        return
    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    yield lambda app, one: tasks.append(loop.create_task(app(one.take_scope(), one.receive, one.send)))
    await asyncio.gather(*tasks)


async def call_on_asyncio(app: Any, exchanges: list[Exchange]) -> None:
    """One task for each, which begins at once where Python can do that, as the server's does."""
    loop = asyncio.get_running_loop()
    for exchange in exchanges:
        task = loop.create_task(app(exchange.take_scope(), exchange.receive, exchange.send))
        await asyncio.wait([task])
        exchange.error = asyncio.CancelledError() if task.cancelled() else task.exception()


async def call_on_trio(app: Any, exchanges: list[Exchange]) -> None:
    """One task of a nursery for each."""

    async def call(exchange: Exchange) -> None:
        try:
            with trio.CancelScope():
                await app(exchange.take_scope(), exchange.receive, exchange.send)
        except Exception as error:
            exchange.error = error

    for exchange in exchanges:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, exchange, name=app)


@asynccontextmanager
async def lifespan(backend: str, app: Any) -> AsyncIterator[None]:
    """The application's lifespan around its calls, in a task of its own."""
    started, leaving = (trio.Event() if backend == "trio" else asyncio.Event() for _ in range(2))
    messages = deque(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        if len(messages) == 1:
            await leaving.wait()
        return {"type": messages.popleft()}

    async def send(message: dict[str, Any]) -> None:
        assert message["type"] in ("lifespan.startup.complete", "lifespan.shutdown.complete"), message
        started.set()

    async def live() -> None:
        try:
            await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        finally:
            started.set()

    async with AsyncExitStack() as stack:
        if backend == "trio":
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(live)
        else:
            stack.push_async_callback(asyncio.wait_for, asyncio.create_task(live()), None)
        await started.wait()
        try:
            yield
        finally:
            leaving.set()


def drive(
    backend: str, app: Any, kind: str, requests: list[tuple[str, list[str]]], *, lives: bool = False
) -> list[Exchange]:
    """Runs the calls of an application one after the other, as one client's requests are served. `lives`: between
    the two halves of its lifespan."""
    exchanges: list[Exchange] = []

    async def main() -> None:
        exchanges.extend(Exchange(kind, path, messages_of(kind, texts)) for path, texts in requests)
        call = call_on_trio if backend == "trio" else call_on_asyncio
        async with lifespan(backend, app) if lives else nullcontext():
            await call(app, exchanges)

    run(backend, main)
    return exchanges
