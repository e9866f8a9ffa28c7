"""Large bodies that are the same object each time: sent from files of memory, where the reactor and the kernel can."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import pytest
from tests.live import eventually, respond

import hypercorn

MIB = 1048576
files_only = pytest.mark.skipif(
    sys.platform != "linux" or hypercorn.build() == "pure", reason="only the reactor on Linux has such files"
)


def body_files() -> int:
    """Descriptors of such files in this process."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += "hypercorn-body" in os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found


def pattern(number: int, size: int) -> bytes:
    """Octets that tell where they are from."""
    return b"".join(b"%08d" % (number * 1_000_000 + at) for at in range(size // 8))


BODIES = [pattern(number, size) for number, size in enumerate((MIB, 256 * 1024, MIB + 8, 256 * 1024 - 8, 5 * MIB))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    kind, number = scope["path"].strip("/").split("/")
    body = BODIES[int(number)]
    if kind == "whole":
        await respond(send, body)
    elif kind == "fresh":
        await respond(send, bytes(bytearray(body)))
    elif kind == "chunks":  # before it, between it, after it
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"first", body, b"middle", body, b"last"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


@pytest.mark.parametrize("number", range(len(BODIES)))
@pytest.mark.parametrize("kind", ["whole", "fresh", "chunks"])
def test_the_same_body_again_and_again(serve_app: Any, kind: str, number: int) -> None:
    body = BODIES[number]
    wanted = b"first" + body + b"middle" + body + b"last" if kind == "chunks" else body
    with serve_app(app, lifespan="off").connect() as peer:
        for _ in range(6):
            assert peer.get(f"/{kind}/{number}").body == wanted


def test_several_bodies_to_several_clients(serve_app: Any) -> None:
    live = serve_app(app, lifespan="off")
    wrong: list[Any] = []

    def client(first: int) -> None:
        with live.connect() as peer:
            for n in range(12):
                number = (first + n) % len(BODIES)
                if peer.get(f"/whole/{number}").body != BODIES[number]:
                    wrong.append((first, n))

    threads = [threading.Thread(target=client, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_slow_reader_and_one_that_goes(serve_app: Any) -> None:
    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        for _ in range(3):
            assert peer.get("/whole/0").body == BODIES[0]
        with live.connect() as gone:
            gone.send(b"GET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n" * 8)
        with live.connect() as slow:
            slow.send(b"GET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
            assert peer.get("/whole/2").body == BODIES[2]
            for _ in range(4):
                assert slow.response().body == BODIES[0]


@files_only
@pytest.mark.parametrize("driver", ["reactor"])
def test_files_are_few_and_go_again(serve_app: Any) -> None:
    """At most 32 MiB of bodies; those that are not sent any more are let go after some seconds."""
    before = body_files()
    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        for _ in range(3):
            peer.get("/whole/0")
            peer.get("/fresh/0")
        assert body_files() == before + 1
        for number in range(len(BODIES)):
            for _ in range(3):
                peer.get(f"/whole/{number}")
        assert body_files() == before + 3  # not the one below 256 KiB, nor that above 4 MiB
    assert eventually(lambda: body_files() == before, 20)
    with live.connect() as peer:
        for _ in range(3):
            assert peer.get("/whole/0").body == BODIES[0]
