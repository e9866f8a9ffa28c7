"""Django over ASGI and over WSGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import django
import httpx
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from hypercorn.asgi.wsgi import WSGIWrapper

settings.configure(
    SECRET_KEY="tests",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={},
    USE_TZ=True,
    LOGGING_CONFIG=None,
)
django.setup()


async def home(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse(f"hello {request.GET.get('name', '')} {request.path}")


def sync(request: HttpRequest) -> HttpResponse:
    return HttpResponse("sync")


def echo(request: HttpRequest) -> HttpResponse:
    import json

    return JsonResponse({"got": json.loads(request.body)})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"%d " % number
            await asyncio.sleep(0)

    return StreamingHttpResponse(pieces())


def sync_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(b"%d " % number for number in range(5))


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.FILES["file"].size))


urlpatterns = [
    path("", home),
    path("sync", sync),
    path("echo", echo),
    path("stream", stream),
    path("sync-stream", sync_stream),
    path("upload", upload),
]


def talk(url: str) -> None:
    """What both interfaces must do."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/", params={"name": "é"}).text == "hello é /"
        assert client.get("/sync").text == "sync"
        assert client.post("/echo", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.post("/upload", files={"file": ("a.bin", b"x" * 300_000)}).text == "300000"
        assert client.get("/sync-stream").text == "0 1 2 3 4 "
        assert client.get("/missing").status_code == 404
        head = client.head("/sync")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_asgi(serve_app: Any) -> None:
    live = serve_app(get_asgi_application())
    talk(live.url)
    assert httpx.get(f"{live.url}/stream", trust_env=False).text == "0 1 2 3 4 "
    # Django knows no lifespan, and says so by an exception: worth a warning, and no more.
    assert live.errors() == ["ASGI Framework Lifespan error, continuing without Lifespan support"]


@pytest.mark.parametrize("mode", ["wsgi", None])
def test_wsgi(serve_app: Any, mode: str | None) -> None:
    live = serve_app(get_wsgi_application(), mode=mode)
    assert isinstance(WSGIWrapper, type)
    talk(live.url)
    assert live.errors() == []
