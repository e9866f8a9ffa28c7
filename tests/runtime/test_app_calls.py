"""Application calls as tasks of the loop: context variables, cancellation, timeouts, groups, threads."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from tests.live import Gate, Live, body_of, eventually, in_trio, lifespan, pause, respond
from tests.peer import request

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")
asyncio_only = pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
trio_only = pytest.mark.parametrize("backend", ["trio"])


async def variable_app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the variable as it found it, then sets it."""
    found = VARIABLE.get()
    VARIABLE.set(scope["path"])
    await body_of(receive)
    if scope["path"].startswith("/slow"):
        await pause(0.02)
    assert VARIABLE.get() == scope["path"]
    await respond(send, found.encode())
    assert VARIABLE.get() == scope["path"]


def test_variables_of_requests_on_one_connection(serve_app: Any) -> None:
    with serve_app(variable_app, lifespan="off").connect() as peer:
        for number in range(5):
            assert peer.get(f"/{number}").body == b"unset"


@pytest.mark.parametrize("path", ["/quick", "/slow"])
def test_variables_of_pipelined_requests(serve_app: Any, path: str) -> None:
    with serve_app(variable_app, lifespan="off").connect() as peer:
        peer.send(b"".join(request(f"{path}{number}") for number in range(6)))
        assert [peer.response().body for _ in range(6)] == [b"unset"] * 6


def test_variables_after_reading_was_paused(serve_app: Any) -> None:
    """N26: the reading goes on from inside of an application, and the next request still starts clean."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found = VARIABLE.get()
        VARIABLE.set("dirty")
        await pause(0.05)
        size = len(await body_of(receive))
        await respond(send, found.encode() + b" %d" % size)

    with serve_app(app, lifespan="off").connect() as peer:
        payload = b"x" * 2_000_000
        peer.send(request("/", method="POST", body=payload))
        peer.send(request("/", method="POST", body=payload))
        assert [peer.response().body for _ in range(2)] == [b"unset 2000000"] * 2


def test_variables_set_before_the_server(backend: str, driver: str) -> None:
    """What was set before `serve` is seen by every request; each has a copy of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found = VARIABLE.get()
        VARIABLE.set("mine")
        await respond(send, found.encode())

    class Before(Live):
        def run(self) -> None:
            VARIABLE.set("before")
            super().run()

    with Before(app, backend, runtime=driver, lifespan="off") as live, live.connect() as peer:
        assert [peer.get().body for _ in range(3)] == [b"before"] * 3


def test_tasks_of_an_application_inherit_its_variables(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        VARIABLE.set(scope["path"])
        found = []

        async def look() -> None:
            await pause(0.001)
            found.append(VARIABLE.get())

        async with anyio.create_task_group() as group:
            group.start_soon(look)
        await respond(send, found[0].encode())

    with serve_app(app, lifespan="off").connect() as peer:
        assert [peer.get(path).body for path in ("/1", "/2")] == [b"/1", b"/2"]


# -- tools that look at the running task


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


# -- asyncio's own


@asyncio_only
def test_asyncio_tools(serve_app: Any) -> None:
    async def tools(scope: Any, receive: Any, send: Any) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        assert task in asyncio.all_tasks()
        repr(task), task.get_stack(), task.get_name()
        message = await asyncio.create_task(receive())
        assert message["type"] == "http.request"
        pending = asyncio.create_task(receive())
        await asyncio.sleep(0)
        assert not pending.done()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(receive(), 0.01)
        results = await asyncio.gather(asyncio.sleep(0, "gathered"), asyncio.to_thread(lambda: "threaded"))
        return " ".join(results).encode()

    with serve_app(answering(tools), lifespan="off").connect() as peer:
        for _ in range(2):
            assert peer.get().body == b"gathered threaded"


@asyncio_only
@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout and TaskGroup came with Python 3.11")
def test_asyncio_timeout_and_task_group(serve_app: Any) -> None:
    """LC-20."""

    async def tools(scope: Any, receive: Any, send: Any) -> bytes:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        except TimeoutError:
            pass
        async with asyncio.TaskGroup() as group:
            one = group.create_task(receive())
            two = group.create_task(asyncio.sleep(0, "two"))
        return f"{one.result()['type']} {two.result()}".encode()

    with serve_app(answering(tools), lifespan="off").connect() as peer:
        for _ in range(2):
            assert peer.get().body == b"http.request two"


@asyncio_only
def test_asyncio_send_in_tasks(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(send({"type": "http.response.start", "status": 200, "headers": []}))
        for piece in (b"one", b"two"):
            await asyncio.create_task(send({"type": "http.response.body", "body": piece, "more_body": True}))
        await asyncio.gather(send({"type": "http.response.body"}))

    with serve_app(app, lifespan="off").connect() as peer:
        assert peer.get().body == b"onetwo"


@asyncio_only
def test_asyncio_cancelling_the_call_itself(serve_app: Any) -> None:
    """An application that cancels its own task ends only its own request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await respond(send)
            return
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        assert peer.get("/bad").status == 500
    with live.connect() as peer:
        assert peer.get("/good").status == 200


# -- trio's own


@trio_only
def test_trio_tools(serve_app: Any) -> None:
    async def tools(scope: Any, receive: Any, send: Any) -> bytes:
        assert in_trio()
        with trio.fail_after(5):
            message = await receive()
        with trio.move_on_after(0.01) as timed:
            await receive()
        assert timed.cancelled_caught
        found = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
            nursery.start_soon(receive_into, receive, found, nursery.cancel_scope)
            await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert found == ["cancelled"]
        return (await trio.to_thread.run_sync(lambda: message["type"])).encode()

    with serve_app(answering(tools), lifespan="off").connect() as peer:
        for _ in range(3):
            assert peer.get().body == b"http.request"


async def receive_into(receive: Any, found: list[str], scope: trio.CancelScope) -> None:
    """Receives until it is cancelled."""
    try:
        await receive()
    except trio.Cancelled:
        found.append("cancelled")
        raise


@trio_only
def test_trio_receive_in_a_nursery(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(send, {"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    with serve_app(app, lifespan="off").connect() as peer:
        assert peer.get().body == b"ok"


@trio_only
def test_trio_scopes_do_not_leak_into_the_next_call(serve_app: Any) -> None:
    """A scope that an application leaves open must not reach another request on the same task."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/bad":
            trio.CancelScope(deadline=trio.current_time() + 0.05).__enter__()
        elif scope["path"] == "/slow":
            await trio.sleep(0.2)
        await respond(send)

    live = serve_app(app, lifespan="off")
    for path in ("/bad", "/slow", "/bad", "/slow"):
        with live.connect() as peer:
            assert peer.get(path).body == b"ok"
    assert live.log.texts(logging.ERROR) == ["The application left a cancel scope or a nursery open"] * 2


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
