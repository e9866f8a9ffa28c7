"""Random programs: a step is a tuple of a name and what belongs to it, and may have steps inside of it.

Every task of a program keeps a list of its own of what it observed, so that the order in which a loop runs tasks that
are ready, which on trio is random, is not compared. No step depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import anyio
from hypothesis import strategies as st
from tests.equivalence.programs import current_task
from tests.support.answers import in_trio, pause

Step = tuple[Any, ...]
VALUE: contextvars.ContextVar[int] = contextvars.ContextVar("VALUE", default=0)

simple: st.SearchStrategy[Step] = st.one_of(
    st.just(("look",)),
    st.tuples(st.just("set"), st.integers(1, 3)),
    st.just(("pass",)),
    st.just(("sleep",)),
    st.just(("send",)),
    st.just(("receive",)),
    st.just(("receive elsewhere",)),
    st.just(("wrong",)),
    st.just(("never awaited",)),
    st.just(("raise",)),
    st.just(("cancel",)),
    st.just(("cancel the task",)),
    st.just(("callback",)),
    st.just(("thread",)),
)


def around(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    """Steps that have others inside."""
    body = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("scope"), body),
        st.tuples(st.just("shield"), body),
        st.tuples(st.just("timeout"), body),
        st.tuples(st.just("together"), body, body),
        st.tuples(st.just("cancelled"), body),
        st.tuples(st.just("catch"), body),
    )


programs = st.lists(st.recursive(simple, around, max_leaves=6), min_size=1, max_size=4)


class Told(Exception):
    """What the step `raise` raises."""


class Program:
    """One call's run of a program."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.kind = scope["type"]
        self.receive = receive
        self.send = send
        self.events: dict[str, list[str]] = {}

    async def run(self, steps: list[Step], label: str) -> None:
        """Does the steps, for the task that has this label. An error of the program's own ends them."""
        events = self.events.setdefault(label, [])
        task = current_task()
        try:
            for number, step in enumerate(steps):
                events.append(step[0])
                await self.take(step, events, f"{label}.{number}")
                if current_task() is not task:
                    events.append("in another task")
        except Told:
            events.append("told")
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    async def take(self, step: Step, events: list[str], label: str) -> None:
        """Does one step."""
        name, *inside = step
        act = getattr(self, "do_" + name.replace(" ", "_"))
        await act(events, label, *inside)

    async def do_look(self, events: list[str], label: str) -> None:
        events.append(str(VALUE.get()))

    async def do_set(self, events: list[str], label: str, value: int) -> None:
        VALUE.set(value)

    async def do_pass(self, events: list[str], label: str) -> None:
        await pause(0)

    async def do_sleep(self, events: list[str], label: str) -> None:
        await anyio.sleep(0.0005)

    async def do_send(self, events: list[str], label: str) -> None:
        await self.send(self.message(label))

    def message(self, label: str) -> dict[str, Any]:
        """A piece of the response, or a message."""
        if self.kind == "websocket":
            return {"type": "websocket.send", "text": label}
        return {"type": "http.response.body", "body": b"piece", "more_body": True}

    async def do_receive(self, events: list[str], label: str) -> None:
        """There is nothing to receive: it waits until it is cancelled."""
        with anyio.move_on_after(0.0005) as scope:
            events.append(str(await self.receive()))
        events.append(f"received nothing: {scope.cancelled_caught}")

    async def do_receive_elsewhere(self, events: list[str], label: str) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.do_receive, self.events.setdefault(label, []), label)

    async def do_wrong(self, events: list[str], label: str) -> None:
        try:
            await self.send({"type": "nonsense"})
        except Exception as error:
            events.append(f"refused, after {type(error.__context__).__name__}")

    async def do_never_awaited(self, events: list[str], label: str) -> None:
        self.send(self.message(label)).close()
        self.receive().close()

    async def do_raise(self, events: list[str], label: str) -> None:
        raise Told

    async def do_cancel(self, events: list[str], label: str) -> None:
        """A scope that is cancelled in it ends where it next waits."""
        with anyio.CancelScope() as scope:
            scope.cancel()
            events.append("goes on")
            await self.receive()
        events.append(f"ended: {scope.cancelled_caught}")

    async def do_cancel_the_task(self, events: list[str], label: str) -> None:
        """A plain cancellation, as no library makes it, with a message."""
        if in_trio():
            return
        task: Any = asyncio.current_task()
        asyncio.get_running_loop().call_soon(task.cancel, label)
        try:
            await self.receive()
        except asyncio.CancelledError as error:
            events.append(str(error))
            if hasattr(task, "uncancel"):
                events.append(str(task.uncancel()))

    async def do_callback(self, events: list[str], label: str) -> None:
        if in_trio():
            return
        called = asyncio.Event()

        def call() -> None:
            events.append(f"called: {VALUE.get()} {asyncio.current_task()}")
            called.set()

        asyncio.get_running_loop().call_soon(call)
        with anyio.CancelScope(shield=True):
            await called.wait()

    async def do_thread(self, events: list[str], label: str) -> None:
        with anyio.CancelScope(shield=True):
            events.append(f"in a thread: {await anyio.to_thread.run_sync(VALUE.get)}")

    async def do_scope(self, events: list[str], label: str, body: list[Step]) -> None:
        with anyio.CancelScope() as scope:
            await self.run(body, label)
            scope.cancel()
            await pause(0)
        events.append(f"left: {scope.cancelled_caught}")

    async def do_shield(self, events: list[str], label: str, body: list[Step]) -> None:
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                await self.run(body, label)
        events.append(f"shielded: {outer.cancelled_caught}")

    async def do_timeout(self, events: list[str], label: str, body: list[Step]) -> None:
        await self.run(body, label)
        try:
            with anyio.fail_after(0.0005):
                await anyio.sleep(30)
        except TimeoutError as error:
            events.append(f"timed out, after {type(error.__context__).__name__}")

    async def do_together(self, events: list[str], label: str, one: list[Step], other: list[Step]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.run, one, label + "a")
            group.start_soon(self.run, other, label + "b")

    async def do_cancelled(self, events: list[str], label: str, body: list[Step]) -> None:
        """A task that is cancelled once it has done its steps."""
        done = anyio.Event()

        async def work() -> None:
            await self.run(body, label)
            done.set()
            await self.run([("rest",)], label)

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await done.wait()
            group.cancel_scope.cancel()

    async def do_rest(self, events: list[str], label: str) -> None:
        await anyio.sleep(30)

    async def do_catch(self, events: list[str], label: str, body: list[Step]) -> None:
        """Does its steps while it handles an error, which is the context of those that follow."""
        try:
            raise KeyError(label)
        except KeyError:
            await self.run(body, label)


class Runner:
    """An application whose calls do the program that it was last given."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.calls: list[dict[str, list[str]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        program = Program(scope, receive, send)
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await receive()
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await program.run(self.steps, "")
        self.calls.append(program.events)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.body", "body": scope["path"].encode()})

    def give(self, steps: list[Step]) -> None:
        """The program of the calls to come."""
        self.steps = steps
        self.calls = []
