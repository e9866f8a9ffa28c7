"""A server and other work on one asyncio loop: `python -m examples.embed_asyncio [PORT]`, Ctrl-C ends both.

With uvloop: the same, run by `uvloop.run` (`python -m examples.embed_asyncio PORT uvloop`).
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config


class Clock:
    """The other work: it counts, and the server tells how far it is."""

    def __init__(self) -> None:
        self.ticks = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self.ticks += 1

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = f"{self.ticks} ticks\n".encode()
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})


async def main(port: int) -> None:
    clock = Clock()
    work = asyncio.create_task(clock.run())
    try:
        await serve(clock.app, Config.from_mapping(bind=f"127.0.0.1:{port}"))  # until SIGINT or SIGTERM
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    print(f"ended after {clock.ticks} ticks")


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    if "uvloop" in sys.argv:
        import uvloop

        uvloop.run(main(chosen))
    else:
        asyncio.run(main(chosen))
