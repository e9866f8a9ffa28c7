"""Django, with Channels for WebSockets; the same views over WSGI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

NOTES: list[str] = []
FILES: list[Path] = []
TASKS: set[asyncio.Task[None]] = set()

if not settings.configured:
    settings.configure(
        SECRET_KEY="tests",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATABASES={},
        USE_TZ=True,
        LOGGING_CONFIG=None,
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    )
    django.setup()


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"hello {request.GET['name']}")


def echo(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"got": json.loads(request.body)})


def upload(request: HttpRequest) -> HttpResponse:
    size = 0
    while piece := request.read(65536):
        size += len(piece)
    return HttpResponse(str(size))


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            yield b"%d " % number
            await asyncio.sleep(0.002)

    return StreamingHttpResponse(pieces())


def sync_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(b"%d " % number for number in range(5))


async def events(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: tick\n\n"
                await asyncio.sleep(0.002)
        finally:
            NOTES.append("events ended")

    return StreamingHttpResponse(pieces(), content_type="text/event-stream")


def download(request: HttpRequest) -> FileResponse:
    return FileResponse(FILES[-1].open("rb"))


async def background(request: HttpRequest) -> HttpResponse:
    async def work() -> None:
        await asyncio.sleep(0.01)
        NOTES.append("worked")

    task = asyncio.ensure_future(work())
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
    return HttpResponse("working")


def error(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken")


urlpatterns = [
    path("hello", hello),
    path("json", echo),
    path("upload", upload),
    path("stream", stream),
    path("sync-stream", sync_stream),
    path("events", events),
    path("file", download),
    path("background", background),
    path("error", error),
]


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A room with everybody in it."""

    members: set[Any] = set()

    async def connect(self) -> None:
        self.members.add(self)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        self.members.discard(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for member in self.members:
            await member.send(text_data)


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    global NOTES
    NOTES = notes
    FILES.append(file)
    websockets = URLRouter([path("chat", Chat.as_asgi())])
    return ProtocolTypeRouter({"http": get_asgi_application(), "websocket": websockets})


def make_wsgi(file: Path) -> Any:
    """The application over WSGI."""
    FILES.append(file)
    return get_wsgi_application()
