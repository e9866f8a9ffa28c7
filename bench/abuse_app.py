"""The application of `abuse.py`: answers, echoes, sends 10 MB, keeps WebSockets open."""

from __future__ import annotations

from typing import Any

PIECE = bytes(65536)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/large sends 10 MB; a body is read to its end first."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["method"] == "POST":
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        for _ in range(160 if scope["path"] == "/large" else 0):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b"fine"})
    except OSError:
        pass  # the client is gone
