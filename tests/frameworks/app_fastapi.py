"""FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    clients: set[WebSocket] = set()

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        notes.append("startup")
        yield
        notes.append("shutdown")

    app = FastAPI(lifespan=lifespan)

    @app.get("/hello")
    def hello(name: str) -> PlainTextResponse:  # in a thread
        return PlainTextResponse(f"hello {name}")

    @app.post("/json")
    async def echo(item: dict[str, Any]) -> dict[str, Any]:
        return {"got": item}

    @app.post("/upload", response_class=PlainTextResponse)
    async def upload(request: Request) -> str:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return str(size)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            for number in range(5):
                yield f"{number} "
                await anyio.sleep(0.002)

        return StreamingResponse(pieces(), media_type="text/plain")

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            try:
                while True:
                    yield "data: tick\n\n"
                    await anyio.sleep(0.002)
            finally:
                notes.append("events ended")

        return StreamingResponse(pieces(), media_type="text/event-stream")

    @app.get("/file")
    async def download() -> FileResponse:
        return FileResponse(file)

    @app.get("/background", response_class=PlainTextResponse)
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(notes.append, "worked")
        return "working"

    @app.get("/error")
    async def error() -> None:
        raise ValueError("broken")

    @app.websocket("/chat")
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        clients.add(websocket)
        try:
            async for text in websocket.iter_text():
                for client in clients:
                    await client.send_text(text)
        finally:
            clients.discard(websocket)

    # Annotations are text here, and some name what is local.
    return app
