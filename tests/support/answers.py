"""Small applications, and what they are made of, on any loop. Imports next to nothing: processes start with it."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any


class Gate:
    """An event that a test's thread sets and an application awaits, on any loop."""

    def __init__(self) -> None:
        self.state = threading.Event()

    def set(self) -> None:
        """Lets the application go on."""
        self.state.set()

    async def wait(self) -> None:
        """What the application awaits."""
        while not self.state.is_set():
            await pause(0.002)


def in_trio() -> bool:
    """True inside of trio."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def pause(seconds: float) -> None:
    """Sleeps, on any loop."""
    if in_trio():
        await sys.modules["trio"].sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def respond(send: Any, body: bytes = b"ok", status: int = 200, headers: Any = ()) -> None:
    """A whole response."""
    fields = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Any) -> bytes:
    """The whole request body. Raises ConnectionError where the client goes before its end."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def lifespan(receive: Any, send: Any) -> None:
    """Answers every lifespan event."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Says hello; knows lifespan."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await respond(send, b"hello")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request's body."""
    await respond(send, await body_of(receive))
