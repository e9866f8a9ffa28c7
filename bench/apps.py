"""The plain ASGI application that every server of the comparison serves, and the in-memory harness too."""

from __future__ import annotations

import asyncio
from typing import Any

HELLO = b"Hello, world!\n"
PIECE = b"y" * 1024
PIECES = 32
PLAIN = (b"content-type", b"text/plain")
BODIES = {"/": HELLO, "/sleep0": HELLO, "/10k": b"x" * 10240, "/1m": b"x" * 1048576}
HEADERS = {path: [PLAIN, (b"content-length", b"%d" % len(body))] for path, body in BODIES.items()}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers `BODIES`, streams `/stream` and gives back what `/echo` and WebSockets get."""
    if scope["type"] != "http":
        await other(scope, receive, send)
        return
    path = scope["path"]
    if path in BODIES:
        if path == "/sleep0":
            await pause()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS[path]})
        await send({"type": "http.response.body", "body": BODIES[path]})
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [PLAIN]})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/echo":
        await echo(receive, send)
    else:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def echo(receive: Any, send: Any) -> None:
    """Reads the whole body, as a framework does, then gives it back."""
    parts = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    headers = [PLAIN, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def pause() -> None:
    """Lets the event loop run once."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


async def echo_messages(receive: Any, send: Any) -> None:
    """Gives back every message of a WebSocket."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def other(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """WebSockets, and the lifespan. Any other kind of scope is refused, as the ASGI specification asks."""
    if scope["type"] == "websocket":
        await echo_messages(receive, send)
        return
    if scope["type"] != "lifespan":
        raise ValueError(f"no {scope['type']} here")
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
