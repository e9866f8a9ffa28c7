"""Quart, whose `import hypercorn` is this package, on asyncio and uvloop, and its own `run_task`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from quart import Quart, request
from tests.live import eventually, run

import hypercorn

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "uvloop"])


def make_app(events: list[str]) -> Quart:
    """An application that notes what happens."""
    app = Quart(__name__, root_path=str(Path(__file__).parent))

    @app.before_serving
    async def before() -> None:
        events.append("startup")

    @app.after_serving
    async def after() -> None:
        events.append("shutdown")

    @app.get("/")
    async def home() -> str:
        return "hello"

    @app.post("/json")
    async def echo() -> dict[str, Any]:
        return {"got": await request.get_json()}

    @app.get("/stream")
    async def stream() -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d " % number
                await asyncio.sleep(0)

        return pieces()

    @app.post("/upload")
    async def upload() -> str:
        size = 0
        async for piece in request.body:
            size += len(piece)
        return str(size)

    @app.get("/background")
    async def background() -> str:
        async def work() -> None:
            events.append("worked")

        app.add_background_task(work)
        return "working"

    return app


def talk(url: str) -> None:
    """Asks for everything."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/").text == "hello"
        assert client.post("/json", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.get("/stream").text == "0 1 2 3 4 "
        assert client.post("/upload", content=iter([b"x" * 100_000] * 10)).text == "1000000"
        assert client.get("/background").text == "working"
        assert client.get("/missing").status_code == 404


def test_talk(serve_app: Any) -> None:
    events: list[str] = []
    live = serve_app(make_app(events))
    talk(live.url)
    eventually(lambda: "worked" in events)
    live.stop()
    assert events == ["startup", "worked", "shutdown"]
    assert live.errors() == []


def test_run_task(backend: str) -> None:
    """Quart starts the server by itself, with this package's `Config` and `serve`."""
    events: list[str] = []
    app = make_app(events)
    import quart.app

    assert quart.app.HyperConfig is hypercorn.config.Config

    async def main() -> None:
        ended = asyncio.Event()
        port = free_port()
        task = asyncio.ensure_future(app.run_task("127.0.0.1", port, shutdown_trigger=ended.wait))
        loop = asyncio.get_running_loop()
        for _ in range(200):
            await asyncio.sleep(0.01)
            if "startup" in events:
                break
        await asyncio.sleep(0.05)
        await loop.run_in_executor(None, talk, f"http://127.0.0.1:{port}")
        ended.set()
        await task

    run(backend, main)
    assert events[-1] == "shutdown"


def free_port() -> int:
    """A port that was free a moment ago."""
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
