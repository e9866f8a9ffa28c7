"""Quart, and Quart-Trio, which is the same on trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import quart
from quart import Quart, request, send_file, websocket
from tests.support.live import pause


def make(notes: list[str], file: Path, kind: type[Quart] = Quart) -> Any:
    """The application."""
    app = kind(__name__, root_path=str(Path(__file__).parent))
    clients: set[Any] = set()

    @app.before_serving
    async def before() -> None:
        notes.append("startup")

    @app.after_serving
    async def after() -> None:
        notes.append("shutdown")

    @app.get("/hello")
    async def hello() -> str:
        return f"hello {request.args['name']}"

    @app.post("/json")
    async def echo() -> dict[str, Any]:
        return {"got": await request.get_json()}

    @app.post("/upload")
    async def upload() -> str:
        size = 0
        async for piece in request.body:
            size += len(piece)
        return str(size)

    @app.get("/stream")
    async def stream() -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d " % number
                await pause(0.002)

        return pieces()

    @app.get("/events")
    async def events() -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: tick\n\n"
                    await pause(0.002)
            finally:
                notes.append("events ended")

        response = await quart.make_response(pieces(), {"Content-Type": "text/event-stream"})
        response.timeout = None  # type: ignore[union-attr]
        return response

    @app.get("/file")
    async def download() -> Any:
        return await send_file(file)

    @app.get("/background")
    async def background() -> str:
        async def work() -> None:
            await pause(0.01)
            notes.append("worked")

        app.add_background_task(work)
        return "working"

    @app.get("/error")
    async def error() -> str:
        raise ValueError("broken")

    @app.websocket("/chat")
    async def chat() -> None:
        mine = websocket._get_current_object()  # type: ignore[attr-defined]
        clients.add(mine)
        try:
            while True:
                text = await websocket.receive()
                for client in clients:
                    await client.send(text)
        finally:
            clients.discard(mine)

    app.logger.disabled = True  # it writes down what `/error` raises
    return app
