"""What applications do, written so that it tells what it observed: each action appends words to a list.

An action gets the `Act` of its call. It must do the same whenever it runs, whoever serves the call.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio
from tests.support.live import in_trio, pause

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")
seen_tasks: weakref.WeakSet[Any] = weakref.WeakSet()


class Act:
    """A call, as its actions see it."""

    def __init__(self, scope: Any, receive: Any, send: Any, events: list[str]) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.events = events

    def say(self, *words: object) -> None:
        """Tells what was observed."""
        self.events.append(" ".join(map(str, words)))


def current_task() -> Any:
    """The task that runs, on any loop."""
    return trio.lowlevel.current_task() if in_trio() else asyncio.current_task()


async def identity(act: Act) -> None:
    """The task is one and the same before and after it has waited, is of the loop's own class, and has a name."""
    task = current_task()
    act.say("new task", task not in seen_tasks)
    seen_tasks.add(task)
    await pause(0)
    act.say("same task", current_task() is task)
    if not in_trio():
        act.say(type(task) is asyncio.Task, task.get_name().startswith("Task-"), task in asyncio.all_tasks())
        act.say(task.done(), task.cancelling() if sys.version_info >= (3, 11) else 0)
        act.say(inspect.iscoroutine(task.get_coro()), inspect.getcoroutinestate(task.get_coro()))
        act.say("<Task pending" in repr(task))


async def context(act: Act) -> None:
    """Variables are the call's own, and a callback that it schedules has them."""
    act.say(VARIABLE.get())
    VARIABLE.set("mine")
    if not in_trio():
        asyncio.get_running_loop().call_soon(lambda: act.say(VARIABLE.get(), asyncio.current_task()))
    await pause(0.001)
    act.say(VARIABLE.get())


async def message_of_a_cancellation(act: Act) -> None:
    """What `Task.cancel` was given is in the exception, as often as it is raised."""
    if in_trio():
        return
    task: Any = current_task()
    for message in ("why", None, "again"):
        asyncio.get_running_loop().call_soon(task.cancel, message)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError as error:
            act.say(error.args)
            if sys.version_info >= (3, 11):
                act.say(task.uncancel())


async def race(act: Act) -> None:
    """The first of two tasks cancels the group, after the task's name was asked for, as logging does."""
    logging.getLogger("tests.equivalence").info("a race")
    done: list[str] = []
    async with anyio.create_task_group() as group:

        async def one(name: str, seconds: float) -> None:
            await anyio.sleep(seconds)
            done.append(name)
            group.cancel_scope.cancel()

        group.start_soon(one, "quick", 0)
        group.start_soon(one, "slow", 5)
        if not in_trio():
            act.say(bool(current_task().get_name()))
    act.say(done, group.cancel_scope.cancelled_caught)


async def timeout(act: Act) -> None:
    """anyio's timeout, in the first step of the call or a later one."""
    with anyio.move_on_after(0.005) as scope:
        await anyio.sleep(5)
    act.say(scope.cancelled_caught)


async def order_of_sends(act: Act) -> None:
    """A message that a task sends goes out when the task runs, behind what was awaited before."""
    if in_trio() or act.scope["type"] != "websocket":
        return
    other = asyncio.get_running_loop().create_task(act.send({"type": "websocket.send", "text": "second"}))
    act.say("created", other.done())
    await act.send({"type": "websocket.send", "text": "first"})
    await other
    act.say("done")


async def unsent(act: Act) -> None:
    """A message that is never awaited is never sent."""
    if act.scope["type"] == "websocket":
        act.send({"type": "websocket.send", "text": "never"}).close()
    act.say("closed")


async def gathered(act: Act) -> None:
    """`gather` with exceptions returned, one of whose sends is out of place."""
    if in_trio() or act.scope["type"] != "websocket":
        return
    one, two = ({"type": "websocket.send", "text": text} for text in ("one", "two"))
    messages: list[dict[str, Any]] = [one, {"type": "nonsense"}, two]
    results = await asyncio.gather(*map(act.send, messages), return_exceptions=True)
    act.say(*(isinstance(result, Exception) for result in results))


async def from_a_thread(act: Act) -> None:
    """`run_coroutine_threadsafe(send(...))`: it acts on the loop's thread."""
    if in_trio() or act.scope["type"] != "websocket":
        return
    loop = asyncio.get_running_loop()
    message = {"type": "websocket.send", "text": "from a thread"}

    def call() -> None:
        asyncio.run_coroutine_threadsafe(act.send(message), loop).result(5)

    await loop.run_in_executor(None, call)
    act.say("sent")


async def marks(act: Act) -> None:
    """Both are coroutine functions to whoever asks."""
    library: Any = inspect if sys.version_info >= (3, 12) else asyncio
    for function in (act.receive, act.send):
        act.say(library.iscoroutinefunction(function), function.__name__)
    made = act.receive()
    act.say(asyncio.iscoroutine(made), inspect.isawaitable(made))
    made.close()


async def coroutines_of_messages(act: Act) -> None:
    """`receive()` and `send()` give what tools take for coroutines: before they are awaited, while they wait, after."""
    kind = act.scope["type"]
    last = {"type": "websocket.send", "text": ""} if kind == "websocket" else {"type": "http.response.body"}
    for made in (act.receive(), act.send(last)):
        coroutine: Any = made
        act.say(coroutine.__qualname__.rpartition(".")[2], inspect.getcoroutinestate(coroutine))
        act.say(coroutine.cr_running, coroutine.cr_await, hasattr(coroutine, "cr_origin"))
        act.say(coroutine.cr_code.co_name, coroutine.cr_frame.f_code is coroutine.cr_code)
        coroutine.close()
        act.say(inspect.getcoroutinestate(coroutine), coroutine.cr_frame)
    if in_trio() or kind == "websocket":
        return  # there, a message would be received
    waiting: Any = act.receive()
    task = asyncio.get_running_loop().create_task(waiting)
    await asyncio.sleep(0.001)
    act.say(inspect.getcoroutinestate(waiting), len(task.get_stack()), waiting.__name__ in repr(task))
    task.cancel()
    await asyncio.wait([task])
    act.say(inspect.getcoroutinestate(waiting), task.cancelled())


async def garbage(act: Act) -> None:
    """What the scope holds goes with the call, without the collector."""

    class Thing:
        pass

    thing = Thing()
    act.scope["state"]["thing"] = thing
    things.append(weakref.ref(thing))
    act.say(sum(reference() is not None for reference in things[:-1]))


things: list[Any] = []


async def exceptions(act: Act) -> None:
    """An exception has the context that the application gave it, and no other."""
    try:
        raise ValueError("mine")
    except ValueError as error:
        act.say(repr(error.__context__))


async def coroutine_of_the_task(act: Act) -> None:
    """The task is known by the application's name. While it waits, its coroutine says so, and leads to this one."""
    task = current_task()
    if in_trio():
        act.say(task.name)
        return
    coroutine: Any = task.get_coro()
    act.say(coroutine.__name__, coroutine.__qualname__, coroutine.__qualname__ in repr(task))
    act.say(coroutine.cr_running, coroutine.cr_frame is not None, getattr(coroutine, "cr_suspended", False))

    def look() -> None:
        act.say(inspect.getcoroutinestate(coroutine), getattr(coroutine, "cr_suspended", True), coroutine.cr_running)
        act.say(len(task.get_stack()))
        chain = []
        inner = coroutine
        while inspect.iscoroutine(inner):
            chain.append(inner.cr_code.co_name)
            inner = inner.cr_await
        act.say(chain[chain.index("app") :])

    asyncio.get_running_loop().call_soon(look)
    await pause(0.001)


async def owners(act: Act) -> None:
    """What belongs to a task is this call's, and no earlier one's."""
    task = current_task()
    act.say(owned.setdefault(task, act) is act, len(owned))
    lock = trio.Lock() if in_trio() else anyio.Lock()
    async with lock:
        owner: Any = lock.statistics().owner
        act.say(owner is task if in_trio() else owner.id == anyio.get_current_task().id)
        try:
            await lock.acquire()
        except RuntimeError:
            act.say("has it already")


owned: dict[Any, Act] = {}


async def thread_looks(act: Act) -> None:
    """A monitoring thread looks at all tasks while they run."""
    if in_trio():
        return
    loop = asyncio.get_running_loop()
    errors: list[str] = []

    def look() -> None:
        for _ in range(20):
            try:
                for task in asyncio.all_tasks(loop):
                    task.get_name()
                    task.get_stack()
                    inspect.getcoroutinestate(task.get_coro())
                    repr(task)
            except RuntimeError:  # the set of tasks changed meanwhile, as it may
                continue
            except Exception as error:
                errors.append(repr(error))

    thread = threading.Thread(target=look)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0)
    act.say(errors)


Action = Callable[[Act], Awaitable[None]]
ACTIONS: dict[str, Action] = {
    action.__name__: action
    for action in (
        identity,
        context,
        message_of_a_cancellation,
        race,
        timeout,
        order_of_sends,
        unsent,
        gathered,
        from_a_thread,
        marks,
        coroutines_of_messages,
        garbage,
        exceptions,
        coroutine_of_the_task,
        owners,
        thread_looks,
    )
}


def application(
    names: list[str], events: list[list[str]], *, late: bool = False, fails: str = "", handling: bool = False
) -> Any:
    """An application whose calls do these actions. `late`: not in their first step; `fails`: with what they end;
    `handling`: they answer while they handle an exception."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.append([])
        act = Act(scope, receive, send, events[-1])
        act.say((await receive())["type"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        if late:
            await pause(0.001)
        for name in names:
            act.say(name)
            await ACTIONS[name](act)
        if fails == "error":
            raise ValueError("broken")
        if fails == "cancelled":
            raise asyncio.CancelledError("not the server's")
        if scope["type"] == "websocket":
            act.say((await receive())["text"])
            await send({"type": "websocket.close"})
            return
        try:
            if handling:
                raise KeyError("handled")
            await answer(scope, send)
        except KeyError:
            await answer(scope, send)

    async def answer(scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    return app


def settle() -> None:
    """Forgets what earlier calls left."""
    gc.collect()
    things.clear()
    owned.clear()
    seen_tasks.clear()
