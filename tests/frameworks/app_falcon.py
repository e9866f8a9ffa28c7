"""Falcon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import falcon
import falcon.asgi


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    clients: set[Any] = set()
    size = file.stat().st_size

    class Lifespan:
        async def process_startup(self, scope: Any, event: Any) -> None:
            notes.append("startup")

        async def process_shutdown(self, scope: Any, event: Any) -> None:
            notes.append("shutdown")

    class Hello:
        async def on_get(self, req: Any, resp: Any) -> None:
            resp.text = f"hello {req.params['name']}"

    class Echo:
        async def on_post(self, req: Any, resp: Any) -> None:
            resp.media = {"got": await req.get_media()}

    class Upload:
        async def on_post(self, req: Any, resp: Any) -> None:
            size = 0
            async for piece in req.stream:
                size += len(piece)
            resp.text = str(size)

    class Stream:
        async def on_get(self, req: Any, resp: Any) -> None:
            async def pieces() -> AsyncIterator[bytes]:
                for number in range(5):
                    yield b"%d " % number
                    await asyncio.sleep(0.002)

            resp.content_type = "text/plain"
            resp.stream = pieces()

    class Events:
        async def on_get(self, req: Any, resp: Any) -> None:
            async def pieces() -> AsyncIterator[Any]:
                try:
                    while True:
                        yield falcon.asgi.SSEvent(text="tick")
                        await asyncio.sleep(0.002)
                finally:
                    notes.append("events ended")

            resp.sse = pieces()

    class Download:
        async def on_get(self, req: Any, resp: Any) -> None:
            async def pieces() -> AsyncIterator[bytes]:
                with file.open("rb") as opened:
                    while piece := opened.read(65536):
                        yield piece

            resp.content_type = "application/octet-stream"
            resp.set_stream(pieces(), size)

    class Background:
        async def on_get(self, req: Any, resp: Any) -> None:
            async def work() -> None:
                await asyncio.sleep(0.01)
                notes.append("worked")

            resp.schedule(work)
            resp.text = "working"

    class Error:
        async def on_get(self, req: Any, resp: Any) -> None:
            raise ValueError("broken")

    class Chat:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            await ws.accept()
            clients.add(ws)
            try:
                while True:
                    text = await ws.receive_text()
                    for client in clients:
                        await client.send_text(text)
            except falcon.WebSocketDisconnected:
                pass
            finally:
                clients.discard(ws)

    app = falcon.asgi.App(middleware=[Lifespan()])
    resources = [Hello, Upload, Stream, Events, Background, Error, Chat]
    for resource in resources:
        app.add_route(f"/{resource.__name__.lower()}", resource())
    app.add_route("/json", Echo())
    app.add_route("/file", Download())
    return app
