"""A server and other work in one trio nursery: `python -m examples.embed_trio [PORT]`, Ctrl-C ends both."""

from __future__ import annotations

import sys
from typing import Any

import trio

from hypercorn.config import Config
from hypercorn.trio import serve


class Clock:
    """The other work: it counts, and the server tells how far it is."""

    def __init__(self) -> None:
        self.ticks = 0

    async def run(self) -> None:
        while True:
            await trio.sleep(0.1)
            self.ticks += 1

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = f"{self.ticks} ticks\n".encode()
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})


async def main(port: int) -> None:
    clock = Clock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        await serve(clock.app, Config.from_mapping(bind=f"127.0.0.1:{port}"))  # until SIGINT or SIGTERM
        nursery.cancel_scope.cancel()
    print(f"ended after {clock.ticks} ticks")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
