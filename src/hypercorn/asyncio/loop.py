"""asyncio's time, tasks and waiting, as connections and exchanges use them: the hot half of the runtime."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING

from hypercorn.asgi.calling import run_call, run_call_in_turn
from hypercorn.clock import monotonic
from hypercorn.protocol.runtime import Runtime, Timer, Waiter

if TYPE_CHECKING:
    from hypercorn.asgi.calling import RunCall
    from hypercorn.protocol.runtime import Call

EAGER = hasattr(asyncio, "eager_task_factory")  # a task can take its first step at once
# The library that lets a loop run inside of a callback. A callback of the server cannot be entered again while an
# application's step goes on inside of it: where the library is loaded, no step begins there.
NESTING = "nest_asyncio"
MODULES = sys.modules


class AsyncioLoop(Runtime):
    """A running asyncio loop, or uvloop's.

    Every callback that is given to the loop here runs in a copy of the context variables of the server's start: what is
    scheduled while a request is served must neither see that request's variables nor keep them alive.
    """

    __slots__ = (
        "calls",
        "ended",
        "ended_call",
        "failed",
        "get_task_factory",
        "loop",
        "run_call",
        "run_call_in_turn",
        "task_class",
        "task_options",
        "variables",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        Runtime.__init__(self)  # super() fails in a compiled method that overrides a C one
        self.loop = loop
        self.get_task_factory = loop.get_task_factory
        self.run_call: RunCall = run_call
        self.run_call_in_turn: RunCall = run_call_in_turn
        self.task_class: Callable[..., asyncio.Task[None]] = asyncio.Task  # which nest_asyncio, for one, replaces
        self.calls: dict[
            Call, asyncio.Task[None]
        ] = {}  # the tasks of application calls that did not end in their first step
        self.ended: Callable[[], None] | None = None  # told whenever one of them ends
        self.ended_call: Call | None = None  # the call that ended last, in its first step
        self.failed = False  # with an exception
        self.task_options: dict[str, object] = {"loop": loop, "eager_start": True, "context": None}
        self.variables: Context = copy_context()

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon(callback, context=self.variables.copy())

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return self.loop.call_later(max(0.0, when - monotonic()), callback, context=self.variables.copy())

    def spawn(self, call: Call) -> object:
        context = self.variables.copy()
        if EAGER and self.get_task_factory() is None and NESTING not in MODULES:
            options = self.task_options  # a dict costs half of what keywords do
            options["context"] = context
            task = self.task_class(self.run_call(call), **options)
            options["context"] = None  # no request's variables are kept alive
            if self.ended_call is call:  # cheaper to compare than to ask the task
                self.ended_call = None
                if self.failed:
                    self.retrieve(task)
                return None
        else:
            # In the context, as older task factories take no argument for it.
            self.call_spawned()
            task = context.run(self.loop.create_task, self.run_call_in_turn(call))
            if task.done():  # an eager factory
                self.ended_call = None
                self.retrieve(task)
                return None
            task.add_done_callback(partial(self.task_ended, call), context=self.variables.copy())
        self.calls[call] = task
        return call

    def retrieve(self, task: asyncio.Task[None]) -> None:
        """Looks at a task's exception, which is logged already: asyncio complains of one that nobody looked at."""
        if not task.cancelled():
            task.exception()

    def task_ended(self, call: Call, task: asyncio.Task[None]) -> None:
        """A task has ended, perhaps before its first step, in which case the call has not been told."""
        if call in self.calls:
            self.unbegun -= 1
            call.end_call(asyncio.CancelledError())
        self.retrieve(task)

    def cancel(self, call: Call) -> None:
        task = self.calls.get(call)
        if task is not None:
            call.cancelled_by_server = True
            task.cancel()

    def cancel_calls(self) -> None:
        """Cancels every application call."""
        for call in list(self.calls):
            self.cancel(call)

    def call_over(self, call: Call, error: BaseException | None) -> None:
        task = self.calls.pop(call, None) if self.calls else None
        if task is None:
            self.ended_call = call
            self.failed = error is not None
        else:
            if error is not None:
                task.add_done_callback(self.retrieve, context=self.variables.copy())
            if self.ended is not None:
                self.ended()

    def waiter(self) -> Waiter:
        return self.loop.create_future()

    def wake(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)
