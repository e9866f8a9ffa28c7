"""Starlette on every loop: responses of each kind, uploads, lifespan, background work, disconnects."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.support.live import Live, eventually
from tests.support.peer import request

from hypercorn.testing import TestServer


class Shop:
    """One application and what happened in it."""

    def __init__(self, file: Path) -> None:
        self.events: list[str] = []
        self.file = file
        self.streaming = threading.Event()
        self.routes = [
            Route("/", self.home),
            Route("/json", self.echo_json, methods=["POST"]),
            Route("/stream", self.stream),
            Route("/endless", self.endless),
            Route("/poll", self.poll),
            Route("/upload", self.upload, methods=["POST"]),
            Route("/file", self.send_file),
            Route("/background", self.background),
            Route("/error", self.error),
        ]
        stamping = Middleware(BaseHTTPMiddleware, dispatch=self.stamp)
        self.app = Starlette(routes=self.routes, middleware=[stamping], lifespan=self.lifespan)

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[dict[str, Any]]:
        self.events.append("startup")
        yield {"greeting": "hello"}
        self.events.append("shutdown")

    async def stamp(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-stamp"] = "here"
        return response

    async def home(self, request: Request) -> Response:
        return PlainTextResponse(request.state.greeting)

    async def echo_json(self, request: Request) -> Response:
        return JSONResponse({"got": await request.json()})

    async def stream(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            for number in range(5):
                yield f"{number} "
                await anyio.sleep(0.001)

        return StreamingResponse(pieces())

    async def endless(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            try:
                while True:
                    yield "tick"
                    self.streaming.set()
                    await anyio.sleep(0.005)
            finally:
                self.events.append("stream ended")

        return StreamingResponse(pieces())

    async def poll(self, request: Request) -> Response:
        assert not await request.is_disconnected()
        self.streaming.set()
        with anyio.fail_after(5):
            while not await request.is_disconnected():
                await anyio.sleep(0.005)
        self.events.append("poll ended")
        return Response()

    async def upload(self, request: Request) -> Response:
        size = 0
        try:
            async for piece in request.stream():
                size += len(piece)
                self.streaming.set()
        except ClientDisconnect:
            self.events.append("upload ended")
            raise
        return PlainTextResponse(str(size))

    async def send_file(self, _: Request) -> Response:
        return FileResponse(self.file)

    async def background(self, _: Request) -> Response:
        async def work() -> None:
            await anyio.sleep(0.02)
            self.events.append("worked")

        return PlainTextResponse("working", background=BackgroundTask(work))

    async def error(self, _: Request) -> Response:
        raise ValueError("broken")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(range(256)) * 2000)
    return Shop(file)


@pytest.fixture
def live(serve_app: Any, shop: Shop) -> Live:
    server: Live = serve_app(shop.app)
    return server


@pytest.fixture
def client(live: Live) -> Any:
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        yield client


def test_behind_a_middleware(live: Live, client: httpx.Client, shop: Shop) -> None:
    response = client.get("/")
    assert (response.text, response.headers["x-stamp"]) == ("hello", "here")
    part = client.get("/file", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, shop.file.read_bytes()[10:20])
    assert client.head("/file").headers["content-length"] == "512000"
    assert live.errors() == []


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
def test_disconnect_behind_a_middleware(live: Live, shop: Shop) -> None:
    with live.connect() as peer:
        peer.send(request("/endless"))
        assert shop.streaming.wait(5)
    eventually(lambda: "stream ended" in shop.events, within=5)
    assert live.errors() == []


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # Starlette does not close it; trio says so
@pytest.mark.parametrize(("path", "event"), [("/endless", "stream ended"), ("/poll", "poll ended")])
def test_disconnect(serve_app: Any, shop: Shop, path: str, event: str) -> None:
    live = serve_app(Starlette(routes=shop.routes, lifespan=shop.lifespan))
    with live.connect() as peer:
        peer.send(request(path))
        assert shop.streaming.wait(5)
    eventually(lambda: event in shop.events, within=5)
    assert live.errors() == []


def test_disconnect_in_an_upload(live: Live, shop: Shop) -> None:
    with live.connect() as peer:
        peer.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        assert shop.streaming.wait(5)
    eventually(lambda: "upload ended" in shop.events)


def test_gzip(backend: Any) -> None:
    async def text(_: Request) -> Response:
        return PlainTextResponse("word " * 1000)

    app = Starlette(routes=[Route("/", text)], middleware=[Middleware(GZipMiddleware)])
    with TestServer(app, backend=backend) as url:
        response = httpx.get(url, trust_env=False)
    assert response.headers["content-encoding"] == "gzip"
    assert response.text == "word " * 1000
