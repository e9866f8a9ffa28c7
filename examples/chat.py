"""A chat room over WebSockets, as a plain ASGI application: `hypercorn examples.chat:app`, then open two windows.

It needs nothing but Python, and runs alike on asyncio, uvloop and trio. The page is `chat.html` beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".html").read_bytes()
NAME_SIZE, TEXT_SIZE = 24, 2000  # characters
HISTORY = 20  # messages that a newcomer is shown


class Room:
    """Who is here, and what was said last."""

    def __init__(self) -> None:
        self.members: dict[Any, str] = {}  # send -> name
        self.history: list[str] = []

    async def tell(self, **message: Any) -> None:
        """Tells everybody. A member whose connection is gone is skipped: its own call cleans up after it."""
        text = json.dumps({**message, "people": len(self.members)})
        if message["kind"] == "said":
            self.history = [*self.history[1 - HISTORY :], text]
        for send in list(self.members):
            try:
                await send({"type": "websocket.send", "text": text})
            except OSError:
                continue

    async def visit(self, receive: Any, send: Any) -> None:
        """One member, from coming to going. The first message is a name, the others are what it says."""
        name = (await next_text(receive))[:NAME_SIZE].strip()
        if not name:
            await send({"type": "websocket.close", "code": 1008, "reason": "a name, please"})
            return
        for text in self.history:
            await send({"type": "websocket.send", "text": text})
        self.members[send] = name
        try:
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
        await room.visit(receive, send)
    else:
        found = scope["path"] == "/"
        body = PAGE if found else b"There is nothing here. Try /\n"
        kind = b"text/html; charset=utf-8" if found else b"text/plain; charset=utf-8"
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})
