"""Requests that take their time, to see how the server explains them:

    hypercorn --slow-request 1s examples.slow:app
    curl http://127.0.0.1:8000/report                          # five seconds
    curl --limit-rate 500k -o /dev/null http://127.0.0.1:8000/export   # as long as the client takes

Meanwhile, in another terminal:

    hypercorn ctl requests                                     # each with the line where it waits
    hypercorn ctl trace --client 127.0.0.1 --for 10s --output trace.jsonl
    hypercorn trace trace.jsonl                                # what was sent in these ten seconds
    hypercorn ctl slow                                         # afterwards: where their time went
"""

from __future__ import annotations

import asyncio
from typing import Any

SECONDS = 5.0  # of a report
BLOCK = bytes(65536)
BLOCKS = 200  # of an export


async def total() -> int:
    """Adds up what takes long."""
    await asyncio.sleep(SECONDS)
    return 42


async def report(send: Any) -> None:
    """Computes first, then sends."""
    body = b"%d\n" % await total()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


async def export(send: Any) -> None:
    """Sends more than fits into the buffers, so it waits for the client."""
    fields = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    for _ in range(BLOCKS):
        await send({"type": "http.response.body", "body": BLOCK, "more_body": True})
    await send({"type": "http.response.body"})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """`/report` and `/export`."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/report":
        await report(send)
    elif scope["path"] == "/export":
        await export(send)
    else:
        await send({"type": "http.response.start", "status": 404})
        await send({"type": "http.response.body"})
