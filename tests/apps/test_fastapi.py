"""FastAPI on every loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from tests.live import eventually

EVENTS: list[str] = []


class Item(BaseModel):
    """A body."""

    name: str
    price: float


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    EVENTS.append("startup")
    yield {"shop": "open"}
    EVENTS.append("shutdown")


async def session() -> AsyncIterator[str]:
    """A dependency with an end."""
    EVENTS.append("opened")
    yield "session"
    EVENTS.append("closed")


app = FastAPI(lifespan=lifespan)


@app.get("/")
def home(request: Request) -> dict[str, str]:  # runs in a thread
    return {"shop": request.state.shop}


@app.post("/items/{number}")
async def item(number: int, item: Item, q: str = "") -> dict[str, Any]:
    return {"number": number, "name": item.name, "price": item.price, "q": q}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"%d " % number
            await anyio.lowlevel.checkpoint()

    return StreamingResponse(pieces(), media_type="text/plain")


@app.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return {"size": size}


@app.get("/depends")
async def depends(name: str = Depends(session)) -> str:
    return name


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(EVENTS.append, "worked")
    return "working"


def test_talk(serve_app: Any) -> None:
    EVENTS.clear()
    live = serve_app(app)
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.get("/").json() == {"shop": "open"}
        answer = client.post("/items/7?q=%C3%A9", json={"name": "tea", "price": 2.5})
        assert answer.json() == {"number": 7, "name": "tea", "price": 2.5, "q": "é"}
        assert client.post("/items/x", json={}).status_code == 422
        assert client.get("/stream").text == "0 1 2 3 4 "
        assert client.post("/upload", content=b"x" * 300_000).json() == {"size": 300_000}
        assert client.get("/depends").json() == "session"
        assert client.get("/background").json() == "working"
        assert client.get("/openapi.json").json()["info"]["title"] == "FastAPI"
    eventually(lambda: "worked" in EVENTS)
    live.stop()
    assert EVENTS == ["startup", "opened", "closed", "worked", "shutdown"]
    assert live.errors() == []
