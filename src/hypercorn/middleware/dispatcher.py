"""Several applications side by side, each under a path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from hypercorn.asgi.messages import Message, Receive, Scope, Send
from hypercorn.middleware.answers import App, answer, deny, relative_path

STAGES = ("startup", "shutdown")


class Event(Protocol):
    """The methods that asyncio's and trio's events have in common."""

    def set(self) -> None:
        """Wakes all tasks that wait."""

    async def wait(self) -> object:
        """Returns once it is set."""


class Dispatcher:
    """Sends each request to the application with the longest path that it lies under, and its lifespan to all.

    mounts: applications by path. "/a" is for "/a" and what is below it, "" or "/" for all that is under no other.
        The path is added to `root_path`; `path` is kept (ASGI)

    Where nothing fits the answer is 404. An application that does not know the lifespan is served without; one that
    fails in its startup ends the startup of all.
    """

    def __init__(self, mounts: dict[str, App]) -> None:
        self.mounts = mounts
        self.ordered = sorted(((path.rstrip("/"), app) for path, app in mounts.items()), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handles one call of the server (ASGI)."""
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        path = relative_path(scope)
        for prefix, app in self.ordered:
            if not prefix or path == prefix or path.startswith(prefix + "/"):
                root = scope.get("root_path", "")
                await app({**scope, "root_path": root.rstrip("/") + prefix if prefix else root}, receive, send)
                return
        if scope["type"] == "websocket":
            await deny(scope, receive, send, 404)
        else:
            await answer(send, 404)

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan of all."""
        raise NotImplementedError


class AsyncioDispatcherMiddleware(Dispatcher):
    """The dispatcher on asyncio."""

    __doc__ = Dispatcher.__doc__

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the lifespan of every application."""
        parts = [Part(path, app, scope, asyncio.Event) for path, app in self.ordered]
        tasks = []

        def start(part: Part) -> None:
            tasks.append(asyncio.ensure_future(part.run()))

        try:
            await fan_out(parts, start, receive, send)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class TrioDispatcherMiddleware(Dispatcher):
    """The dispatcher on trio."""

    __doc__ = Dispatcher.__doc__

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the lifespan of every application."""
        import trio

        parts = [Part(path, app, scope, trio.Event) for path, app in self.ordered]
        async with trio.open_nursery() as nursery:

            def start(part: Part) -> None:
                nursery.start_soon(part.run)

            await fan_out(parts, start, receive, send)
            nursery.cancel_scope.cancel()


DispatcherMiddleware = AsyncioDispatcherMiddleware


class Part:
    """The lifespan of one application."""

    def __init__(self, path: str, app: App, scope: Scope, new_event: Callable[[], Event]) -> None:
        self.path = path
        self.app = app
        self.scope = dict(scope)
        self.stopping = new_event()
        self.never = new_event()
        self.done = {stage: new_event() for stage in STAGES}  # answered, or never to be
        self.answers: dict[str, Message] = {}
        self.asked: list[str] = []

    async def run(self) -> None:
        """The application's call. What it raises before it has started only says that it knows no lifespan."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except Exception as error:
            if self.started() and "shutdown" not in self.answers:
                logger = logging.getLogger("hypercorn.error")
                logger.error("The lifespan of the application under %r ended in an error", self.path, exc_info=error)
        finally:
            for event in self.done.values():
                event.set()

    def started(self) -> bool:
        """True once it has completed its startup."""
        return self.answers.get("startup", {}).get("type") == "lifespan.startup.complete"

    async def receive(self) -> Message:
        """Its `receive`."""
        if self.asked == ["startup"]:
            await self.stopping.wait()
        elif self.asked:
            await self.never.wait()
        self.asked.append(STAGES[len(self.asked)])
        return {"type": f"lifespan.{self.asked[-1]}"}

    async def send(self, message: Message) -> None:
        """Its `send`."""
        stage = message["type"].split(".")[1]
        self.answers[stage] = message
        self.done[stage].set()


async def fan_out(parts: list[Part], start: Callable[[Part], None], receive: Receive, send: Send) -> None:
    """Startup and shutdown of all parts. Returns without an answer where none of them knows the lifespan."""
    await receive()
    for part in parts:
        start(part)
    for part in parts:
        await part.done["startup"].wait()
    failed = failures(parts, "startup")
    if failed:
        await stop(parts)
        await send({"type": "lifespan.startup.failed", "message": failed})
    elif any(part.started() for part in parts):
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await stop(parts)
        failed = failures(parts, "shutdown")
        if failed:
            await send({"type": "lifespan.shutdown.failed", "message": failed})
        else:
            await send({"type": "lifespan.shutdown.complete"})


async def stop(parts: list[Part]) -> None:
    """The shutdown of those that have started."""
    for part in parts:
        part.stopping.set()
    for part in parts:
        if part.started():
            await part.done["shutdown"].wait()


def failures(parts: list[Part], stage: str) -> str:
    """The failure of this stage as text, or ""."""
    failed = [part for part in parts if part.answers.get(stage, {}).get("type") == f"lifespan.{stage}.failed"]
    return "; ".join(f"{part.path or '/'}: {part.answers[stage].get('message', '')}" for part in failed)
