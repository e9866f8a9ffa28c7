"""Application calls as tasks of the loop: cancelled, timed out, outliving their response, and failing in any way."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.support.live import Gate, eventually, lifespan, pause, respond
from tests.support.peer import request


def answering(function: Any) -> Any:
    """An application that answers with what a function gives."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await function(scope, receive, send))

    return app


def test_anyio(serve_app: Any) -> None:
    """Timeouts, groups and threads of anyio, in the first step of the call as well as later."""

    async def tools(scope: Any, receive: Any, send: Any) -> bytes:
        found = []
        with anyio.move_on_after(0.01) as timed:
            await anyio.sleep(5)
        assert timed.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            group.start_soon(lambda: anyio.to_thread.run_sync(found.append, "thread"))
        with anyio.fail_after(5):
            found.append((await receive())["type"])
        return " ".join(found).encode()

    with serve_app(answering(tools), lifespan="off").connect() as peer:
        for _ in range(3):
            assert peer.get().body == b"thread http.request"


def test_receive_times_out_and_can_be_called_again(serve_app: Any) -> None:
    """A `receive()` that was cancelled loses nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        timeouts = 0
        while True:
            with anyio.move_on_after(0.02):
                message = await receive()
                break
            timeouts += 1
        body = message["body"]
        assert not message["more_body"]
        await respond(send, b"%d %b" % (min(timeouts, 1), body))

    with serve_app(app, lifespan="off").connect() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        time.sleep(0.1)
        peer.send(b"late")
        assert peer.response().body == b"1 late"


def test_receive_beside_the_response(serve_app: Any) -> None:
    """A task watches for the client's end while another sends, as every framework does for streams."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def watch(scope: anyio.CancelScope) -> None:
            while (message := await receive())["type"] != "http.disconnect":
                seen.append(message["type"])
            seen.append("gone")
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                await anyio.sleep(0.01)

    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    peer.until(b"tick")
    peer.close()
    eventually(lambda: seen == ["http.request", "gone"])
    assert all("client is gone" not in error for error in live.errors())


def test_two_tasks_receive(serve_app: Any) -> None:
    """Both are told that the client is gone."""
    told = []
    waiting = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

        async def wait() -> None:
            waiting.set()
            told.append((await receive())["type"])

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)

    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    assert waiting.wait(5)
    peer.close()
    eventually(lambda: told == ["http.disconnect"] * 2)


def test_is_disconnected_as_starlette_asks(serve_app: Any) -> None:
    """`receive()` in a scope that is cancelled already: gives nothing while the client is there."""
    polled = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        found = []
        while True:
            message: Any = {}
            with anyio.CancelScope() as cancelled:
                cancelled.cancel()
                message = await receive()
            if message.get("type") == "http.disconnect":
                break
            found.append(message)
            if len(found) == 3:
                polled.set()
            await pause(0.002)
        answers.append(found[:3])

    answers: list[Any] = []
    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    eventually(polled.state.is_set)
    peer.close()
    eventually(lambda: answers == [[{}, {}, {}]])


def test_the_call_may_outlive_its_response(serve_app: Any) -> None:
    """Background work after the response; the next request is served meanwhile."""
    finished = threading.Event()
    go = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, scope["path"].encode())
        if scope["path"] == "/first":
            await go.wait()
            finished.set()

    with serve_app(app, lifespan="off").connect() as peer:
        assert peer.get("/first").body == b"/first"
        assert peer.get("/second").body == b"/second"
        go.set()
        assert finished.wait(5)


def test_background_work_survives_its_client(serve_app: Any) -> None:
    finished = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await pause(0.05)
        finished.set()

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        peer.get()
    assert finished.wait(5)
    assert live.errors() == []


class Base(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("kind", ["first step", "later"])
@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), Base("base"), OSError(113, "no route")])
def test_whatever_an_application_raises_ends_only_its_call(serve_app: Any, error: Any, kind: str) -> None:
    """N1: the client gets a 500, others are served on, and there is one record of it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await respond(send)
            return
        if kind == "later":
            await pause(0.001)
        raise error

    live = serve_app(app, lifespan="off", access=True)
    with live.connect() as bystander:
        bystander.get("/good")
        with live.connect() as peer:
            response = peer.get("/bad")
            assert response.status == 500
            assert response.header("connection") == "close"
        assert bystander.get("/good").body == b"ok"
    eventually(lambda: len(live.errors()) == 1)
    assert len([line for line in live.access.texts() if "/bad" in line]) == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups of exceptions came with Python 3.11")
def test_a_group_of_base_exceptions_ends_only_its_call(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await respond(send)
            return
        await pause(0)
        raise BaseExceptionGroup("several", [Base("one"), ValueError("two")])  # noqa: F821  skipped before it was built in

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        assert peer.get("/bad").status == 500
    with live.connect() as peer:
        assert peer.get("/good").status == 200
    eventually(lambda: len(live.errors()) == 1)


def test_an_error_in_the_middle_cuts_the_response(serve_app: Any) -> None:
    """H1-19: no terminator, no second status line."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await pause(0.001)
        raise ValueError("broken")

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        peer.send(request())
        raw = peer.rest()
        assert raw.endswith(b"4\r\npart\r\n")
        assert raw.count(b"HTTP/1.1") == 1
    assert len(live.errors()) == 1


# -- lifespan beside requests


def test_a_task_group_of_the_lifespan_runs_beside_requests(serve_app: Any) -> None:
    ticks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await respond(send)
            return
        async with anyio.create_task_group() as group:

            async def tick() -> None:
                while True:
                    ticks.append(1)
                    await anyio.sleep(0.005)

            group.start_soon(tick)
            await lifespan(receive, send)
            group.cancel_scope.cancel()

    live = serve_app(app)
    with live.connect() as peer:
        peer.get()
        eventually(lambda: len(ticks) > 3)
    live.stop()
