"""An application that answers nothing twice: another etag, id and cookie each time; and one whose calls wait."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Any

from bench.apps import other

PIECE_BYTES = 65536
PIECES = 16
WAIT_SECONDS = 0.001
MULTIPLIER = 0x9E3779B97F4A7C15F39CC0605CEDC835  # spreads a counter over 128 bits
MASK = (1 << 128) - 1
counter = itertools.count(int.from_bytes(os.urandom(8), "big"))


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """/wait answers after 1 ms, /mebibyte with 1 MiB that is new, everything else with a small page."""
    if scope["type"] != "http":
        await other(scope, receive, send)
    elif scope["path"] == "/mebibyte":
        await mebibyte(send)
    else:
        if scope["path"] == "/wait":
            await wait()
        await page(scope, send)


async def page(scope: dict[str, Any], send: Any) -> None:
    """A page with fields that come once."""
    name = b"%032x" % (next(counter) * MULTIPLIER & MASK)
    body = b"item " + scope["path"].encode() + b" of " + name
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"etag", b'"' + name + b'"'),
        (b"x-request-id", name),
        (b"set-cookie", b"session=" + name + b"; Path=/; HttpOnly"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def mebibyte(send: Any) -> None:
    """1 MiB in pieces, none of which is an object that was sent before."""
    length = (b"content-length", b"%d" % (PIECE_BYTES * PIECES))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    for number in range(PIECES):
        piece = next(counter).to_bytes(16, "big") * (PIECE_BYTES // 16)
        await send({"type": "http.response.body", "body": piece, "more_body": number < PIECES - 1})


async def wait() -> None:
    """Waits as for a database."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.sleep(WAIT_SECONDS)
    else:
        await asyncio.sleep(WAIT_SECONDS)
