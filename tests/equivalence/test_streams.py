"""What an application has sent reaches the client though its next step blocks the loop, or is long."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.runtime.test_http2 import Client
from tests.support.http2 import GET, headers
from tests.support.live import Live, pause

TOKENS = 6


def read_http1(live: Live, path: str, received: Callable[[int], None]) -> None:
    """Asks, and tells how many tokens have come whenever some have."""
    with live.connect() as peer:
        peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        while b"\r\n0\r\n\r\n" not in peer.buffer:
            assert peer.more()
            received(peer.buffer.count(b"token"))


def read_http2(live: Live, path: str, received: Callable[[int], None]) -> None:
    with live.connect() as peer:
        client = Client(peer)
        client.send(headers(1, [GET[0], GET[1], (b":path", path.encode()), GET[3]]))
        while 1 not in client.reader.answers or not client.reader.answers[1].over:
            assert client.read()
            if 1 in client.reader.answers:
                received(client.reader.answers[1].body.count(b"token"))


@pytest.mark.parametrize("read", [read_http1, read_http2], ids=lambda read: read.__name__)
@pytest.mark.parametrize("kind", ["in-threads", "first-step", "later-step"])
def test_a_blocking_generator(serve_app: Any, read: Callable[..., None], kind: str) -> None:
    """A model's tokens: each is made in a step that takes long, on the loop or in a thread. When a token is made, the
    client has all but the last one before it; from a thread, that one too."""
    arrived = [threading.Event() for _ in range(TOKENS)]
    in_time: list[bool] = []

    def make(number: int, behind: int) -> bytes:
        time.sleep(0.003)
        if number >= behind and all(in_time):
            in_time.append(arrived[number - behind].wait(3))
        return b"token %d\n" % number

    def in_threads() -> Iterator[bytes]:
        for number in range(TOKENS):
            yield make(number, 1)

    async def on_the_loop() -> AsyncIterator[bytes]:
        if kind == "later-step":
            await pause(0.001)
        for number in range(TOKENS):
            yield make(number, 2)

    async def home(request: Any) -> StreamingResponse:
        return StreamingResponse(in_threads() if kind == "in-threads" else on_the_loop())

    def received(count: int) -> None:
        for event in arrived[:count]:
            event.set()

    read(serve_app(Starlette(routes=[Route("/", home)]), lifespan="off"), "/", received)
    assert in_time == [True] * (TOKENS - (1 if kind == "in-threads" else 2))
