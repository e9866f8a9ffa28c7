"""The tools of asyncio and of trio inside of application calls: tasks, groups, timeouts, nurseries, threads."""

from __future__ import annotations

import asyncio
import logging
import sys
import weakref
from typing import Any

import pytest
import trio
from tests.runtime.serving import config_for
from tests.runtime.test_serve import get_body, in_thread
from tests.support.live import eventually, hello, in_trio, library, respond, run

asyncio_only = pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
trio_only = pytest.mark.parametrize("backend", ["trio"])


def answering(function: Any) -> Any:
    """An application that answers with what a function gives."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await function(scope, receive, send))

    return app


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


@trio_only
def test_trio_nurseries_left_open_end_no_other_call(serve_app: Any) -> None:
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/bad":
            manager = trio.open_nursery()
            kept.append(manager)
            (await manager.__aenter__()).start_soon(trio.sleep_forever)
        elif scope["path"] == "/slow":
            await trio.sleep(0.3)
        await respond(send)

    live = serve_app(app, lifespan="off")
    with live.connect() as slow, live.connect() as peer:
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        for path in ("/bad", "/", "/bad", "/"):
            assert peer.get(path).body == b"ok"
        assert slow.response().body == b"ok"
    assert live.log.texts(logging.ERROR) == ["The application left a nursery open"] * 2
    live.stop()  # which those calls do not hold up


# -- odd loops


@pytest.mark.parametrize("loop_debug", [False, True])
def test_asyncio_debug_mode(loop_debug: bool) -> None:
    """The loop's debug mode looks into coroutines that are none."""

    async def main() -> None:
        asyncio.get_running_loop().set_debug(loop_debug)
        async with library("asyncio").server(hello, config_for()[0]) as running:
            port = int(running.addresses[0].rsplit(":", 1)[1])
            assert await in_thread("asyncio", get_body, port) == b"hello"

    run("asyncio", main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_asyncio_eager_task_factory() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with library("asyncio").server(hello, config_for()[0]) as running:
            port = int(running.addresses[0].rsplit(":", 1)[1])
            assert await in_thread("asyncio", get_body, port) == b"hello"

    run("asyncio", main)


@asyncio_only
@pytest.mark.parametrize("touch", ["kept", "weakly", "attribute", "name", "callback", "nothing"])
def test_asyncio_task_is_each_calls_own(serve_app: Any, touch: str) -> None:
    """Whatever one call does with its task, the next one's has nothing of it."""
    kept: list[Any] = []
    weakly: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
    names: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task: Any = asyncio.current_task()
        assert task not in weakly
        assert not hasattr(task, "mark")
        assert all(task is not other for other in kept)
        assert [other for other in asyncio.all_tasks() if other is task]
        if touch == "kept":
            kept.append(task)
        elif touch == "weakly":
            weakly[task] = scope["path"]
        elif touch == "attribute":
            task.mark = scope["path"]
        elif touch == "name":
            names.append(task.get_name())
        elif touch == "callback":
            task.add_done_callback(kept.append)
        await respond(send, scope["path"].encode())

    live = serve_app(app, lifespan="off")
    with live.connect() as peer, live.connect() as other:
        for n in range(20):
            assert (peer if n % 3 else other).get(f"/{n}").body == b"/%d" % n
    if touch in ("kept", "callback"):
        assert eventually(lambda: len(kept) == 20 and all(task.done() for task in kept))
    assert len(set(names)) == len(names)


@asyncio_only
@pytest.mark.parametrize("when", ["first step", "later"])
def test_asyncio_task_that_is_asked_for_everything(serve_app: Any, when: str) -> None:
    """The task of a call that may end in its first step is like any other."""
    names, ended = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task: Any = asyncio.current_task()
        if when == "later":
            await asyncio.sleep(0)
        assert isinstance(task, asyncio.Task)
        assert not task.done()
        assert not task.cancelled()
        assert task.cancelling() == 0 if sys.version_info >= (3, 11) else True
        assert task.get_loop() is asyncio.get_running_loop()
        assert task.get_coro() is not None
        task.set_name(scope["path"])
        names.append(task.get_name())
        with pytest.raises(asyncio.InvalidStateError):
            task.result()
        with pytest.raises(asyncio.InvalidStateError):
            task.exception()
        task.add_done_callback(ended.append)
        task.add_done_callback(print)
        assert task.remove_done_callback(print) == 1
        await respond(send)

    with serve_app(app, lifespan="off").connect() as peer:
        for path in ("/one", "/two"):
            assert peer.get(path).status == 200
    eventually(lambda: len(ended) == 2)
    assert names == ["/one", "/two"]
    assert all(task.done() and task.exception() is None for task in ended)


@asyncio_only
def test_asyncio_task_that_is_awaited_by_another(serve_app: Any) -> None:
    """Who keeps the task of a call that ends in its first step sees it end."""
    others = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task: Any = asyncio.current_task()

        async def watch() -> bool:
            await asyncio.wait([task])
            return bool(task.done())

        others.append(asyncio.create_task(watch()))
        await respond(send)

    with serve_app(app, lifespan="off").connect() as peer:
        for _ in range(2):
            assert peer.get().status == 200
    eventually(lambda: [task.done() and task.result() for task in others] == [True, True])


@asyncio_only
def test_asyncio_cancelled_before_it_waits(serve_app: Any) -> None:
    """A call that cancels itself in its first step is cancelled where it first waits, and may go on."""

    async def tools(scope: Any, receive: Any, send: Any) -> bytes:
        inner = asyncio.create_task(asyncio.sleep(5))
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await inner
        except asyncio.CancelledError:
            return f"inner cancelled: {inner.cancelled()}".encode()
        return b"not cancelled"

    with serve_app(answering(tools), lifespan="off").connect() as peer:
        for _ in range(2):
            assert peer.get().body == b"inner cancelled: True"
