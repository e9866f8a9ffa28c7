"""No framework: the ASGI messages themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.support.live import pause

from hypercorn.errors import ClientDisconnected

SIZES = {"/stream": b"text/plain", "/events": b"text/event-stream"}


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    clients: set[Any] = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["type"] == "websocket":
            await chat(receive, send)
        elif scope["path"] == "/error":
            raise ValueError("broken")
        elif scope["path"] in SIZES:
            await stream(scope["path"], send)
        else:
            await answer(scope, receive, send)

    async def live(receive: Any, send: Any) -> None:
        for event in ("startup", "shutdown"):
            await receive()
            notes.append(event)
            await send({"type": f"lifespan.{event}.complete"})

    async def chat(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        clients.add(send)
        try:
            while (message := await receive())["type"] == "websocket.receive":
                for client in clients:
                    await client({"type": "websocket.send", "text": message["text"]})
        finally:
            clients.discard(send)

    async def stream(path: str, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", SIZES[path])]})
        number = 0
        try:
            while path == "/events" or number < 5:
                piece = b"%d " % number if path == "/stream" else b"data: %d\n\n" % number
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await pause(0.002)
                number += 1
        except ClientDisconnected:
            notes.append("events ended")
            raise
        await send({"type": "http.response.body"})

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        size, pieces, more = 0, [], True
        while more:
            message = await receive()
            size += len(message["body"])
            if path == "/json":
                pieces.append(message["body"])
            more = message["more_body"]
        body = {
            "/hello": lambda: f"hello {parse_qs(scope['query_string'].decode())['name'][0]}".encode(),
            "/json": lambda: json.dumps({"got": json.loads(b"".join(pieces))}).encode(),
            "/upload": lambda: b"%d" % size,
            "/background": lambda: b"working",
            "/file": lambda: b"",
        }[path]()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path == "/file":
            await send({"type": "http.response.pathsend", "path": str(file)})
            return
        await send({"type": "http.response.body", "body": body})
        if path == "/background":
            await pause(0.01)
            notes.append("worked")

    return app
