"""A poll whose bars move in every open window, by server-sent events: `hypercorn examples.poll:app`.

It needs nothing but Python, and runs alike on asyncio, uvloop and trio. The page is `poll.html` beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".html").read_bytes()
CHOICES = ("asyncio", "uvloop", "trio")


class Window:
    """One open window: an endless response. A slow one gets the latest state, not every state there was."""

    def __init__(self, send: Any) -> None:
        self.send = send
        self.sending = False
        self.outdated = False

    async def show(self, poll: Poll) -> None:
        """Sends the votes, unless this is being done already."""
        self.outdated = True
        if self.sending:
            return
        self.sending = True
        try:
            while self.outdated:
                self.outdated = False
                await self.send({"type": "http.response.body", "body": poll.event(), "more_body": True})
        except OSError:
            poll.windows.discard(self)  # its window is closed
        finally:
            self.sending = False


class Poll:
    """The votes, and who watches."""

    def __init__(self) -> None:
        self.votes = dict.fromkeys(CHOICES, 0)
        self.windows: set[Window] = set()

    def event(self) -> bytes:
        """The state as a server-sent event."""
        state = {"votes": self.votes, "windows": len(self.windows)}
        return f"data: {json.dumps(state)}\n\n".encode()

    async def tell(self) -> None:
        """Shows the votes in every window."""
        for window in list(self.windows):
            await window.show(self)

    async def watch(self, receive: Any, send: Any) -> None:
        """One window, from its opening to its closing."""
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        window = Window(send)
        self.windows.add(window)
        try:
            await self.tell()
            while (await receive())["type"] != "http.disconnect":
                continue
        finally:
            self.windows.discard(window)
        await self.tell()


poll = Poll()


async def respond(send: Any, status: int, body: bytes = b"", kind: bytes = b"text/plain; charset=utf-8") -> None:
    """A whole response."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application: `/` is the page, `/events` the votes as they come, `POST /vote/CHOICE` a vote."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        raise ValueError(f"no {scope['type']} here")
    method, path = scope["method"], scope["path"]
    choice = path.removeprefix("/vote/")
    if method == "GET" and path == "/":
        await respond(send, 200, PAGE, b"text/html; charset=utf-8")
    elif method == "GET" and path == "/events":
        await poll.watch(receive, send)
    elif method == "POST" and choice in poll.votes:
        poll.votes[choice] += 1
        await respond(send, 204)  # the voter need not wait for the windows
        await poll.tell()
    else:
        await respond(send, 404, b"There is nothing here. Try /\n")
