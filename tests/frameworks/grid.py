"""The grid of frameworks, event loops and exchanges: what `test_grid.py` runs and `docs/make_frameworks.py` shows."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
from tests.support.live import BACKENDS, Live, eventually
from tests.support.peer import request
from websockets.sync.client import connect

UPLOAD = 10 * 1024 * 1024
ASYNCIO = ("asyncio", "uvloop")


class Framework(NamedTuple):
    """One line of the grid."""

    title: str
    module: str  # of this folder, with `make`
    package: str  # whose version is shown
    loops: tuple[str, ...]
    lifespan: bool = True


FRAMEWORKS = {
    "plain": Framework("plain ASGI", "app_plain", "", BACKENDS),
    "starlette": Framework("Starlette", "app_starlette", "starlette", BACKENDS),
    "fastapi": Framework("FastAPI", "app_fastapi", "fastapi", BACKENDS),
    "quart": Framework("Quart", "app_quart", "quart", ASYNCIO),
    "quart-trio": Framework("Quart-Trio", "app_quart_trio", "quart-trio", ("trio",)),
    "django": Framework("Django, Channels", "app_django", "django", ASYNCIO, lifespan=False),
    "litestar": Framework("Litestar", "app_litestar", "litestar", BACKENDS),
    "sanic": Framework("Sanic", "app_sanic", "sanic", ASYNCIO),
    "blacksheep": Framework("BlackSheep", "app_blacksheep", "blacksheep", ASYNCIO),
    "falcon": Framework("Falcon", "app_falcon", "falcon", ASYNCIO),
}


class Site:
    """A framework's application, served."""

    def __init__(self, framework: Framework, backend: str, folder: Path) -> None:
        self.framework = framework
        self.notes: list[str] = []
        self.file = folder / "file.bin"
        self.file.write_bytes(os.urandom(300_000))
        module = importlib.import_module(f"tests.frameworks.{framework.module}")
        self.live = Live(module.make(self.notes, self.file), backend)
        self.client = httpx.Client(base_url=self.live.url, trust_env=False, timeout=20)

    def get(self, path: str) -> httpx.Response:
        """One request."""
        return self.client.get(path)

    def errors(self) -> list[str]:
        """What was logged as a problem: that an application has no lifespan is none."""
        return self.live.errors()

    def close(self) -> None:
        """Ends everything."""
        self.client.close()
        self.live.stop()


def get(site: Site) -> None:
    """GET."""
    response = site.client.get("/hello", params={"name": "é"})
    assert (response.status_code, response.text) == (200, "hello é")
    assert site.get("/missing").status_code in (404, 500)  # 500: the plain application knows no better


def json_post(site: Site) -> None:
    """JSON POST."""
    data = {"a": [1, 2.5, None], "é": "ü"}
    response = site.client.post("/json", json=data)
    assert json.loads(response.content) == {"got": data}


def upload(site: Site) -> None:
    """10 MiB upload."""
    piece = b"x" * 262144
    response = site.client.post("/upload", content=iter([piece] * (UPLOAD // len(piece))))
    assert response.text == str(UPLOAD)


def streaming(site: Site) -> None:
    """Streaming response."""
    with site.live.connect() as peer:
        peer.send(request("/stream"))
        assert peer.response().body == b"0 1 2 3 4 "


def events(site: Site) -> None:
    """Server-sent events, and a client that leaves."""
    with site.live.connect() as peer:
        peer.send(request("/events"))
        _, headers, _ = peer.head()
        assert any(name.lower() == "content-type" and "text/event-stream" in value for name, value in headers)
        for _ in range(3):
            peer.until(b"data: ")
    eventually(lambda: "events ended" in site.notes)


def chat(site: Site) -> None:
    """WebSocket chat."""
    address = site.live.url.replace("http", "ws") + "/chat"
    with connect(address, proxy=None) as first, connect(address, proxy=None) as second:
        first.send("one")
        assert first.recv(timeout=10) == "one"
        second.send("two")
        assert first.recv(timeout=10) == "two"
        seen = second.recv(timeout=10)
        assert seen in ("one", "two")
        if seen == "one":
            assert second.recv(timeout=10) == "two"


def download(site: Site) -> None:
    """File download."""
    assert site.get("/file").content == site.file.read_bytes()


def background(site: Site) -> None:
    """Background task."""
    assert site.get("/background").text == "working"
    eventually(lambda: "worked" in site.notes)


def error_page(site: Site) -> None:
    """Exception page, and one error record at the most."""
    before = len(site.errors())
    assert site.get("/error").status_code == 500
    assert site.client.get("/hello", params={"name": "x"}).text == "hello x"
    assert len(site.errors()) <= before + 1


def lifespan(site: Site) -> None:
    """Lifespan. Ends the server; nothing but the exceptions asked for may have been logged."""
    assert [note for note in site.notes if note == "startup"] == ["startup"] * site.framework.lifespan
    site.close()
    assert [note for note in site.notes if note == "shutdown"] == ["shutdown"] * site.framework.lifespan
    assert all("/error" in text or "/missing" in text for text in site.errors()), site.errors()


EXCHANGES: dict[str, Callable[[Site], None]] = {
    "GET": get,
    "JSON POST": json_post,
    "10 MiB upload": upload,
    "streaming": streaming,
    "events": events,
    "chat": chat,
    "file": download,
    "background": background,
    "exception": error_page,
    "lifespan": lifespan,  # the last
}
CELLS = [(name, loop) for name, framework in FRAMEWORKS.items() for loop in framework.loops]


def version(framework: Framework) -> str:
    """The version that is installed; "" where there is none."""
    return importlib.metadata.version(framework.package) if framework.package else ""
