"""A chat room over WebSockets, as a plain ASGI application: `hypercorn examples.chat:app`, then open two windows.

It needs nothing but Python, and runs alike on asyncio, uvloop and trio. The page is `chat.html` beside this file.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".html").read_bytes()
NAME_SIZE, TEXT_SIZE = 24, 2000  # characters
HISTORY = 20  # messages that a newcomer is shown
MEMBERS = 200  # who can be here at a time


class Room:
    """Who is here, and what was said last."""

    def __init__(self) -> None:
        self.members: dict[Any, str] = {}  # send -> name
        self.history: list[dict[str, Any]] = []

    async def tell(self, **message: Any) -> None:
        """Tells everybody. A member whose connection is gone is skipped: its own call cleans up after it. One that does
        not read makes the others wait, for as long as the server's `write_timeout` lets it."""
        message["at"] = int(time.time())
        if message["kind"] == "said":
            self.history = [*self.history[1 - HISTORY :], message]
        text = json.dumps({**message, "people": list(self.members.values())})
        for send in list(self.members):
            try:
                await send({"type": "websocket.send", "text": text})
            except OSError:
                continue

    def free_name(self, wanted: str) -> str:
        """The name, with a number behind it where somebody has it already."""
        taken = set(self.members.values())
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted} {number}", number + 1
        return name

    async def visit(self, receive: Any, send: Any) -> None:
        """One member, from coming to going. The first message is a name, the others are what it says."""
        name = " ".join((await next_text(receive)).split())[:NAME_SIZE].strip()
        if not name or len(self.members) >= MEMBERS:
            code, reason = (1013, "the room is full") if name else (1008, "a name, please")
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        name = self.free_name(name)
        self.members[send] = name
        try:
            welcome = json.dumps({"kind": "welcome", "name": name, "history": self.history})
            await send({"type": "websocket.send", "text": welcome})
            await self.tell(kind="came", name=name)
            while text := await next_text(receive):
                await self.tell(kind="said", name=name, text=text[:TEXT_SIZE])
        finally:
            del self.members[send]
            await self.tell(kind="left", name=name)


room = Room()


async def next_text(receive: Any) -> str:
    """The next text message; empty once the client has left."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return ""
        if message["text"]:
            return str(message["text"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application: `/` is the page, `/chat` the WebSocket."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    elif scope["type"] == "websocket":
        await receive()
        if scope["path"] != "/chat":
            await send({"type": "websocket.close"})  # before it is accepted: 403
            return
        await send({"type": "websocket.accept"})
        try:
            await room.visit(receive, send)
        except OSError:  # gone in the middle of a message
            return
    else:
        found = scope["path"] == "/"
        body = PAGE if found else b"There is nothing here. Try /\n"
        kind = b"text/html; charset=utf-8" if found else b"text/plain; charset=utf-8"
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})
