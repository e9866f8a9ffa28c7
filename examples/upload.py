"""Uploads of any size, in constant memory, with progress: `hypercorn examples.upload:app`.

The file is read piece by piece as it comes, and only its digest is kept: here a piece would be written to a disk or
sent on. It needs nothing but Python, and runs alike on asyncio, uvloop and trio. The page is `upload.html` beside this
file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".html").read_bytes()
LARGEST = 16 * 1024**3  # bytes


async def take(receive: Any) -> dict[str, Any] | None:
    """Size and SHA-256 of a request's body. None for one that is too large, or whose client went away."""
    digest, size = hashlib.sha256(), 0
    while True:
        message = await receive()  # the client is not read from until this asks for more
        if message["type"] == "http.disconnect":
            return None
        digest.update(message["body"])
        size += len(message["body"])
        if size > LARGEST:
            return None
        if not message["more_body"]:
            return {"bytes": size, "sha256": digest.hexdigest()}


async def respond(send: Any, status: int, body: bytes, kind: bytes = b"text/plain; charset=utf-8") -> None:
    """A whole response."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application: `/` is the page, `PUT /files/NAME` an upload."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        raise ValueError(f"no {scope['type']} here")
    if scope["method"] == "GET" and scope["path"] == "/":
        await respond(send, 200, PAGE, b"text/html; charset=utf-8")
    elif scope["method"] == "PUT" and scope["path"].startswith("/files/"):
        taken = await take(receive)
        if taken is None:
            await respond(send, 413, b"too large\n")
        else:
            taken["name"] = scope["path"].removeprefix("/files/")
            await respond(send, 200, json.dumps(taken).encode(), b"application/json")
    else:
        await respond(send, 404, b"There is nothing here. Try /\n")
