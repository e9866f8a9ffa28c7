"""BlackSheep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from blacksheep import Application, Content, Request, Response, StreamedContent, WebSocket, WebSocketDisconnectError
from blacksheep.server.responses import file as file_response
from blacksheep.server.responses import json, text
from blacksheep.server.routing import Router


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    app = Application(router=Router())
    router = app.router
    clients: set[Any] = set()
    tasks: set[Any] = set()

    async def before(_: Application) -> None:
        notes.append("startup")

    async def after(_: Application) -> None:
        notes.append("shutdown")

    app.on_start += before
    app.on_stop += after

    async def hello(request: Request) -> Response:
        return text(f"hello {request.query['name'][0]}")

    async def echo(request: Request) -> Response:
        return json({"got": await request.json()})

    async def upload(request: Request) -> Response:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return text(str(size))

    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d " % number
                await asyncio.sleep(0.002)

        return Response(200, content=StreamedContent(b"text/plain", pieces))

    async def events(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: tick\n\n"
                    await asyncio.sleep(0.002)
            finally:
                notes.append("events ended")

        return Response(200, content=StreamedContent(b"text/event-stream", pieces))

    async def download(request: Request) -> Response:
        return file_response(str(file), "application/octet-stream")

    async def background(request: Request) -> Response:
        async def work() -> None:
            await asyncio.sleep(0.01)
            notes.append("worked")

        tasks.add(asyncio.ensure_future(work()))
        return Response(200, content=Content(b"text/plain", b"working"))

    async def error(request: Request) -> Response:
        raise ValueError("broken")

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        clients.add(socket)
        try:
            while True:
                message = await socket.receive_text()
                for client in clients:
                    await client.send_text(message)
        except WebSocketDisconnectError:
            pass
        finally:
            clients.discard(socket)

    for function in (hello, stream, events, background, error):
        router.add_get(f"/{function.__name__}", function)
    router.add_get("/file", download)
    router.add_post("/json", echo)
    router.add_post("/upload", upload)
    router.add_ws("/chat", chat)
    return app
