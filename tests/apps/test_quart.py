"""Quart's own `run_task`, whose `import hypercorn` is this package."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from tests.frameworks import app_quart
from tests.support.live import run

import hypercorn

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "uvloop"])


def talk(url: str) -> None:
    """Asks for something."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/hello?name=x").text == "hello x"
        assert client.post("/json", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.get("/background").text == "working"


def test_run_task(backend: str) -> None:
    """Quart starts the server by itself, with this package's `Config` and `serve`."""
    events: list[str] = []
    app = app_quart.make(events, Path(__file__))
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
