"""Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    clients: set[WebSocket] = set()

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        notes.append("startup")
        yield
        notes.append("shutdown")

    async def hello(request: Request) -> Response:
        return PlainTextResponse(f"hello {request.query_params['name']}")

    async def echo(request: Request) -> Response:
        return JSONResponse({"got": await request.json()})

    async def upload(request: Request) -> Response:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return PlainTextResponse(str(size))

    async def stream(_: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            for number in range(5):
                yield f"{number} "
                await anyio.sleep(0.002)

        return StreamingResponse(pieces(), media_type="text/plain")

    async def events(_: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            try:
                while True:
                    yield "data: tick\n\n"
                    await anyio.sleep(0.002)
            finally:
                notes.append("events ended")

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def download(_: Request) -> Response:
        return FileResponse(file)

    async def background(_: Request) -> Response:
        async def work() -> None:
            await anyio.sleep(0.01)
            notes.append("worked")

        return PlainTextResponse("working", background=BackgroundTask(work))

    async def error(_: Request) -> Response:
        raise ValueError("broken")

    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        clients.add(websocket)
        try:
            async for text in websocket.iter_text():
                for client in clients:
                    await client.send_text(text)
        finally:
            clients.discard(websocket)

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/hello", hello),
            Route("/json", echo, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/stream", stream),
            Route("/events", events),
            Route("/file", download),
            Route("/background", background),
            Route("/error", error),
            WebSocketRoute("/chat", chat),
        ],
    )
