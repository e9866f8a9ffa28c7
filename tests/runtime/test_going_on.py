"""Calls that go on, message after message: each step is one of the same task, whatever the one before did.

Each command arrives as a message, so the step that carries it out is one that was begun by the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
from tests.runtime.test_websocket import ACCEPT, open_websocket
from tests.support.live import Live, eventually, in_trio
from tests.support.websocket import LiveWebSocket

Receive = Callable[[], Awaitable[Any]]
variable: ContextVar[str] = ContextVar("variable", default="unset")


def current_task() -> Any:
    return trio.lowlevel.current_task() if in_trio() else asyncio.current_task()


async def own_task(receive: Receive, task: Any) -> str:
    return "same" if current_task() is task else "other"


async def known_task(receive: Receive, task: Any) -> str:
    return "known" if in_trio() or task in asyncio.all_tasks() else "unknown"


async def set_variable() -> str:
    """What it was."""
    before = variable.get()
    variable.set("set")
    return before


async def sleep(receive: Receive, task: Any) -> str:
    await anyio.sleep(0.001)
    return "slept"


async def checkpoint(receive: Receive, task: Any) -> str:
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    return "passed"


async def in_a_thread(receive: Receive, task: Any) -> str:
    return str(await anyio.to_thread.run_sync(lambda: "threaded"))


async def time_out(receive: Receive, task: Any) -> str:
    with anyio.move_on_after(0.001) as scope:
        await receive()
    return "timed out" if scope.cancelled_caught else "not"


async def cancel_what_waits(receive: Receive, task: Any) -> str:
    """Cancelled in the midst of the step: where it next waits, not before."""
    reached = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        reached.append("went on")
        await receive()
        reached.append("too far")
    return " ".join(reached)


async def shield(receive: Receive, task: Any) -> str:
    """What is shielded waits to its end in a cancelled scope."""
    reached = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.001)
            reached.append("shielded")
        await anyio.lowlevel.checkpoint()
        reached.append("too far")
    return " ".join(reached)


async def cancel_itself(receive: Receive, task: Any) -> str:
    if in_trio():
        return "cancelled"
    asyncio_task: Any = asyncio.current_task()
    asyncio_task.cancel()
    try:
        await receive()
    except asyncio.CancelledError:
        if hasattr(asyncio_task, "uncancel"):
            asyncio_task.uncancel()
        return "cancelled"
    return "not"


async def cancel_itself_and_sleep(receive: Receive, task: Any) -> str:
    if in_trio():
        return "cancelled"
    asyncio_task: Any = asyncio.current_task()
    asyncio_task.cancel()
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        if hasattr(asyncio_task, "uncancel"):
            asyncio_task.uncancel()
        return "cancelled"
    return "not"


async def receive_in_another_task(receive: Receive, task: Any) -> str:
    """A task of the application's waits for the next message, which the test sends."""
    got = []

    async def take() -> None:
        got.append((await receive())["text"])

    async with anyio.create_task_group() as group:
        group.start_soon(take)
    return f"got {got[0]}"


STEPS: dict[str, tuple[Any, str]] = {
    "own task": (own_task, "same"),
    "known task": (known_task, "known"),
    "sleep": (sleep, "slept"),
    "checkpoint": (checkpoint, "passed"),
    "thread": (in_a_thread, "threaded"),
    "time out": (time_out, "timed out"),
    "cancel": (cancel_what_waits, "went on"),
    "shield": (shield, "shielded"),
    "cancel itself": (cancel_itself, "cancelled"),
    "cancel itself, sleep": (cancel_itself_and_sleep, "cancelled"),
}


async def app(scope: Any, receive: Any, send: Any, ended: list[str]) -> None:
    """Does what each message says, and answers with what came of it."""
    await receive()
    await send(ACCEPT)
    task = current_task()
    try:
        while (message := await receive())["type"] == "websocket.receive":
            command = message["text"]
            if command == "raise":
                raise ValueError("told to")
            if command == "in another task":
                answer = await receive_in_another_task(receive, task)
            elif command == "set":
                answer = await set_variable()
            else:
                answer = await STEPS[command][0](receive, task)
            await send({"type": "websocket.send", "text": answer})
    except BaseException as error:
        ended.append(type(error).__name__)
        raise
    ended.append(message["type"])


@pytest.fixture
def ended() -> list[str]:
    """How the calls ended."""
    return []


@pytest.fixture
def live(serve_app: Any, ended: list[str]) -> Live:
    served: Live = serve_app(partial(app, ended=ended), lifespan="off", graceful_timeout=0.1)
    return served


def ask(ws: LiveWebSocket, text: str) -> str:
    ws.send(1, text.encode())
    return ws.read().payload.decode()


def test_every_step_after_every_other(live: Live, ended: list[str]) -> None:
    ws = open_websocket(live)
    for _ in range(2):
        assert [ask(ws, "own task") for _ in range(3)] == ["same"] * 3
        for name, (_, answer) in STEPS.items():
            assert (name, ask(ws, name)) == (name, answer)
            assert ask(ws, "own task") == "same"
    ws.close(1000)
    eventually(lambda: ended == ["websocket.disconnect"])
    assert live.errors() == []


def test_variables_are_each_calls_own(live: Live) -> None:
    for _ in range(2):
        ws = open_websocket(live)
        assert [ask(ws, "set"), ask(ws, "set"), ask(ws, "set")] == ["unset", "set", "set"]
        ws.close(1000)


def test_the_next_message_is_for_another_task(live: Live) -> None:
    ws = open_websocket(live)
    for number in range(3):
        ws.send(1, b"in another task")
        assert ask(ws, f"{number}") == f"got {number}"
        assert ask(ws, "own task") == "same"


def test_an_error_ends_the_call_and_no_other(live: Live, ended: list[str]) -> None:
    other, ws = open_websocket(live), open_websocket(live)
    assert ask(ws, "own task") == "same"
    ws.send(1, b"raise")
    assert ws.closing() == (1011, b"")
    assert ask(other, "own task") == "same"
    eventually(lambda: ended == ["ValueError"])
    assert len(live.errors()) == 1


@pytest.mark.parametrize("before", ["own task", "sleep", "cancel"])
def test_the_end_reaches_a_call_that_went_on(live: Live, ended: list[str], before: str) -> None:
    ws = open_websocket(live)
    ask(ws, before)
    ws.peer.reset()
    eventually(lambda: ended == ["websocket.disconnect"])


def test_a_call_that_does_not_end_is_cancelled_with_the_server(serve_app: Any) -> None:
    ended = []

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        try:
            while True:
                if (await receive())["type"] == "websocket.disconnect":
                    await anyio.sleep(30)
                await send({"type": "websocket.send", "text": "on"})
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    live = serve_app(stubborn, lifespan="off", graceful_timeout=0.1)
    ws = open_websocket(live)
    assert [ask(ws, "a"), ask(ws, "b")] == ["on", "on"]
    live.stop()
    assert ended in (["Cancelled"], ["CancelledError"])
