"""Litestar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
from litestar import Litestar, MediaType, Request, WebSocket, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import WebSocketDisconnect
from litestar.response import File, Response, ServerSentEvent, Stream


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    clients: set[Any] = set()

    @get("/hello", sync_to_thread=False, media_type=MediaType.TEXT)
    def hello(request: Request[Any, Any, Any]) -> str:
        return f"hello {request.query_params['name']}"

    @post("/json")
    async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"got": await request.json()}

    @post("/upload", media_type=MediaType.TEXT, request_max_body_size=None)
    async def upload(request: Request[Any, Any, Any]) -> str:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return str(size)

    @get("/stream")
    async def stream() -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d " % number
                await anyio.sleep(0.002)

        return Stream(pieces())

    @get("/events")
    async def events() -> ServerSentEvent:
        async def pieces() -> AsyncIterator[str]:
            try:
                while True:
                    yield "tick"
                    await anyio.sleep(0.002)
            finally:
                notes.append("events ended")

        return ServerSentEvent(pieces())

    @get("/file")
    async def download() -> File:
        return File(file)

    @get("/background", media_type=MediaType.TEXT)
    async def background() -> Response[str]:
        async def work() -> None:
            await anyio.sleep(0.01)
            notes.append("worked")

        return Response("working", background=BackgroundTask(work))

    @get("/error")
    async def error() -> None:
        raise ValueError("broken")

    @websocket("/chat")
    async def chat(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        clients.add(socket)
        try:
            while True:
                text = await socket.receive_text()
                for client in clients:
                    await client.send_text(text)
        except WebSocketDisconnect:
            pass
        finally:
            clients.discard(socket)

    return Litestar(
        [hello, echo, upload, stream, events, download, background, error, chat],
        on_startup=[lambda: notes.append("startup")],
        on_shutdown=[lambda: notes.append("shutdown")],
        openapi_config=None,
        logging_config=None,
    )
