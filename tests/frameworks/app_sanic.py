"""Sanic."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

from sanic import Request, Sanic, Websocket, response

NUMBERS = count()


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    app: Any = Sanic(f"grid{next(NUMBERS)}", configure_logging=False)
    app.config.MOTD = False
    app.config.TOUCHUP = False  # it changes the class, for one application in a process
    clients: set[Any] = set()

    @app.before_server_start
    async def before(*_: Any) -> None:
        notes.append("startup")

    @app.after_server_stop
    async def after(*_: Any) -> None:
        notes.append("shutdown")

    @app.get("/hello")
    async def hello(request: Request) -> Any:
        return response.text(f"hello {request.args.get('name')}")

    @app.post("/json")
    async def echo(request: Request) -> Any:
        return response.json({"got": request.json})

    @app.post("/upload", stream=True)
    async def upload(request: Request) -> Any:
        size = 0
        async for piece in request.stream:  # type: ignore[union-attr]
            size += len(piece)
        return response.text(str(size))

    @app.get("/stream")
    async def stream(request: Request) -> None:
        answer: Any = await request.respond(content_type="text/plain")
        for number in range(5):
            await answer.send(f"{number} ")
            await asyncio.sleep(0.002)
        await answer.eof()

    @app.get("/events")
    async def events(request: Request) -> None:
        answer: Any = await request.respond(content_type="text/event-stream")
        try:
            while True:
                await answer.send("data: tick\n\n")
                await asyncio.sleep(0.002)
        finally:
            notes.append("events ended")

    @app.get("/file")
    async def download(request: Request) -> Any:
        return await response.file(file)

    @app.get("/background")
    async def background(request: Request) -> Any:
        async def work() -> None:
            await asyncio.sleep(0.01)
            notes.append("worked")

        app.add_task(work())
        return response.text("working")

    @app.get("/error")
    async def error(request: Request) -> Any:
        raise ValueError("broken")

    @app.websocket("/chat")
    async def chat(request: Request, socket: Websocket) -> None:
        clients.add(socket)
        try:
            while (text := await socket.recv()) is not None:
                for client in clients:
                    await client.send(text)
        finally:
            clients.discard(socket)

    return app
