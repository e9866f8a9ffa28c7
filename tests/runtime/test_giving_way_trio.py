"""Calls on trio that give way to others in their first step: several begin in one turn of one task, each in a task of
its own."""

from __future__ import annotations

import contextvars
import time
from typing import Any

import pytest
import trio
from tests.support.live import eventually, respond

pytestmark = pytest.mark.parametrize("backend", ["trio"])
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="-")
PEERS = 8


class Batches:
    """Requests that come together: while one of them blocks the loop, the others arrive."""

    def __init__(self, serve_app: Any, step: Any, **options: Any) -> None:
        self.step = step
        self.live = serve_app(self.app, lifespan="off", **options)
        self.peers = [self.live.connect() for _ in range(PEERS + 1)]
        self.blocked = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/block":
            self.blocked += 1
            time.sleep(0.03)  # noqa: ASYNC251  # blocks on purpose
            await respond(send)
        else:
            await self.step(scope, send)

    def play(self) -> list[Any]:
        """The responses of one batch, in the order of their paths /0, /1 and so on."""
        blocked = self.blocked
        self.peers[PEERS].send(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: self.blocked > blocked)
        for number in range(PEERS):
            self.peers[number].send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        found = [peer.response() for peer in self.peers]
        return found[:PEERS]


def test_each_has_a_task_and_variables_of_its_own(serve_app: Any) -> None:
    tasks: dict[str, Any] = {}

    async def step(scope: Any, send: Any) -> None:
        path = scope["path"]
        VARIABLE.set(path)
        task = trio.lowlevel.current_task()
        assert task not in tasks.values()
        tasks[path] = task
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            assert trio.lowlevel.current_task() is task
            assert VARIABLE.get() == path
        await trio.sleep(0.001)
        assert trio.lowlevel.current_task() is task
        await trio.lowlevel.checkpoint()
        del tasks[path]
        await respond(send, path.encode())

    batches = Batches(serve_app, step)
    for _ in range(4):
        assert [response.body for response in batches.play()] == [b"/%d" % number for number in range(PEERS)]


def test_locks_know_their_owners(serve_app: Any) -> None:
    lock: list[trio.Lock] = []
    inside: list[int] = []

    async def step(scope: Any, send: Any) -> None:
        if not lock:
            lock.append(trio.Lock())
        async with lock[0]:
            inside.append(1)
            await trio.lowlevel.checkpoint()
            assert len(inside) == 1
            inside.clear()
        await respond(send)

    batches = Batches(serve_app, step)
    for _ in range(4):
        assert [response.status for response in batches.play()] == [200] * PEERS


def test_scopes_and_nurseries_of_the_first_step(serve_app: Any) -> None:
    async def step(scope: Any, send: Any) -> None:
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await trio.lowlevel.checkpoint()
        assert cancelled.cancelled_caught
        with trio.move_on_after(0.001) as timed:
            await trio.lowlevel.checkpoint()
            await trio.sleep(5)
        assert timed.cancelled_caught
        found: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
            found.append(1)
        with trio.fail_after(5):
            await trio.lowlevel.checkpoint()
        await respond(send, scope["path"].encode())

    batches = Batches(serve_app, step)
    for _ in range(4):
        assert [response.body for response in batches.play()] == [b"/%d" % number for number in range(PEERS)]


def test_all_kinds_of_ends_beside_each_other(serve_app: Any) -> None:
    """At once, after giving way, after waiting, by errors before and after, and with a scope left open."""

    async def step(scope: Any, send: Any) -> None:
        number = int(scope["path"][1:])
        if number == 1:
            raise LookupError("at once")
        if number == 2:
            trio.CancelScope().__enter__()
        elif number == 3:
            await trio.sleep(0.001)
        elif number > 3:
            await trio.lowlevel.checkpoint()
        if number == 5:
            raise LookupError("after giving way")
        if number == 6:
            raise BaseException("no error of an application")
        if number == 7:
            trio.CancelScope().__enter__()
            await trio.lowlevel.checkpoint()
        await respond(send)

    batches = Batches(serve_app, step)
    for _ in range(4):
        found = [response.status for response in batches.play()]
        assert found == [200, 500, 200, 200, 200, 500, 500, 200]
        batches.peers = [batches.live.connect() for _ in range(PEERS + 1)]


def test_the_server_ends_while_calls_give_way(serve_app: Any) -> None:
    began: list[str] = []
    ends: list[str] = []

    async def step(scope: Any, send: Any) -> None:
        began.append(scope["path"])
        try:
            while True:
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            ends.append(scope["path"])
            raise

    batches = Batches(serve_app, step, graceful_timeout=0.05)
    for number in range(PEERS):
        batches.peers[number].send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    eventually(lambda: len(began) == PEERS)
    batches.live.wake()
    eventually(lambda: len(ends) == PEERS)
    batches.live.stop()
    assert sorted(ends) == sorted(began)
