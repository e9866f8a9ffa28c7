"""Calls on asyncio that give way to others with `asyncio.sleep(0)`."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import Any

import pytest
from tests.support.live import eventually, respond

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="-")


def test_the_task_is_the_same_before_and_after(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        before = asyncio.current_task()
        VARIABLE.set(scope["path"])
        for _ in range(3):
            await asyncio.sleep(0)
            assert asyncio.current_task() is before
            assert VARIABLE.get() == scope["path"]
        assert before in asyncio.all_tasks()
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert asyncio.current_task() is before
        await asyncio.sleep(0)
        await respond(send, VARIABLE.get().encode())

    with serve_app(app, lifespan="off").connect() as peer:
        for path in (b"/a", b"/b", b"/c"):
            assert peer.get(path.decode()).body == path


def test_callbacks_come_in_their_order(serve_app: Any) -> None:
    """What a call asked the loop for before it gave way has run when it goes on, whoever else gave way meanwhile."""
    marks: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called: list[int] = []
        asyncio.get_running_loop().call_soon(called.append, 1)
        await asyncio.sleep(0)
        assert called == [1]
        asyncio.get_running_loop().call_soon(called.append, 2)
        await asyncio.sleep(0)
        assert called == [1, 2]
        marks.append(scope["path"])
        await respond(send)

    live = serve_app(app, lifespan="off")
    peers = [live.connect() for _ in range(8)]
    for _ in range(3):
        for peer in peers:
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for peer in peers:
            assert peer.response().body == b"ok"
    assert len(marks) == 24


def test_many_calls_take_turns(serve_app: Any) -> None:
    """Several that gave way at once all go on, those before one that fails as those behind it."""
    turns: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            turns.append(scope["path"])
            await asyncio.sleep(0)
        if scope["path"] == "/3":
            raise LookupError("an error")
        if scope["path"] == "/4":
            raise asyncio.CancelledError
        await respond(send, scope["path"].encode())

    live = serve_app(app, lifespan="off")
    peers = [live.connect() for _ in range(8)]
    for number, peer in enumerate(peers):
        peer.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    for number, peer in enumerate(peers):
        response = peer.response()
        if number in (3, 4):
            assert response.status == 500
        else:
            assert response.body == b"/%d" % number
    assert sorted(turns) == sorted(f"/{number}" for number in range(8) for _ in range(3))


def test_cancelled_by_another(serve_app: Any) -> None:
    """A task that asks for the call's task while it gives way can cancel it."""
    ends: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        try:
            for _ in range(20):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    live = serve_app(app, lifespan="off")
    for _ in range(3):
        with live.connect() as peer:
            assert peer.get().status == 500
    assert ends == ["cancelled"] * 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11")
def test_timeouts_around_it(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        rounds = 0
        try:
            async with asyncio.timeout(0.02):
                while True:
                    await asyncio.sleep(0)
                    rounds += 1
        except TimeoutError:
            pass
        await asyncio.sleep(0)
        await respond(send, b"more" if rounds > 1 else b"one")

    with serve_app(app, lifespan="off").connect() as peer:
        for _ in range(2):
            assert peer.get().body == b"more"


def test_who_keeps_the_task_sees_it_end(serve_app: Any) -> None:
    kept: list[Any] = []
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        kept.append(task)
        if scope["path"] == "/told":
            task.add_done_callback(told.append)
        await asyncio.sleep(0)
        await respond(send)

    with serve_app(app, lifespan="off").connect() as peer:
        assert peer.get("/kept").body == b"ok"
        assert peer.get("/told").body == b"ok"
        eventually(lambda: all(task.done() for task in kept))
        eventually(lambda: told == kept[1:])


def test_the_server_ends_while_a_call_gives_way(serve_app: Any) -> None:
    """It is cancelled when the patience is over."""
    began: list[int] = []
    ends: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began.append(1)
        try:
            while True:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    live = serve_app(app, lifespan="off", graceful_timeout=0.05)
    with live.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: began)
        live.wake()
        eventually(lambda: ends)
        live.stop()
    assert ends == ["cancelled"]
