"""Litestar on every loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from litestar import Litestar, Request, get, post
from litestar.background_tasks import BackgroundTask
from litestar.response import Response, Stream
from tests.live import eventually


def make_app(events: list[str]) -> Litestar:
    """An application that notes what happens."""

    @get("/", sync_to_thread=False)
    def home() -> dict[str, str]:
        return {"hello": "world"}

    @post("/json")
    async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"got": await request.json()}

    @get("/stream")
    async def stream() -> Stream:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d " % number
                await anyio.lowlevel.checkpoint()

        return Stream(pieces())

    @post("/upload")
    async def upload(request: Request[Any, Any, Any]) -> str:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return str(size)

    @get("/background")
    async def background() -> Response[str]:
        async def work() -> None:
            events.append("worked")

        return Response("working", background=BackgroundTask(work))

    return Litestar(
        [home, echo, stream, upload, background],
        on_startup=[lambda: events.append("startup")],
        on_shutdown=[lambda: events.append("shutdown")],
        openapi_config=None,
        logging_config=None,
    )


def test_talk(serve_app: Any) -> None:
    events: list[str] = []
    live = serve_app(make_app(events))
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.get("/").json() == {"hello": "world"}
        assert client.post("/json", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.get("/stream").text == "0 1 2 3 4 "
        assert client.post("/upload", content=iter([b"x" * 100_000] * 10)).text == "1000000"
        assert client.get("/background").text == "working"
        assert client.get("/missing").status_code == 404
    eventually(lambda: "worked" in events)
    live.stop()
    assert events == ["startup", "worked", "shutdown"]
    assert live.errors() == []
