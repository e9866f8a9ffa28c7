"""asyncio's time, tasks and waiting, as connections and streams use them: the hot half of the runtime."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from time import monotonic
from typing import Any

from hypercorn.protocol.ports import Runtime

Task = asyncio.Task
EAGER = sys.version_info >= (3, 12)


class AsyncioLoop(Runtime):
    """A running asyncio loop, or uvloop's."""

    __slots__ = ("calls", "ended", "eager", "loop", "variables")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls: set[asyncio.Task[Any]] = set()  # application calls that did not end in their first step
        self.ended: Callable[[], None] | None = None  # told whenever one of them ends
        # Requests start from the variables of the server's start, never from another request's.
        self.variables: Context = copy_context()
        self.eager = EAGER and loop.get_task_factory() is None

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        return self.loop.call_later(max(0.0, when - monotonic()), callback)

    def spawn(self, coroutine: Any) -> None:
        if self.eager:
            task = Task(coroutine, loop=self.loop, eager_start=True, context=self.variables.copy())  # type: ignore[call-arg, unused-ignore]  # since 3.12
            if task.done():
                if not task.cancelled() and task.exception() is not None:
                    self.report(task)
                return
        else:
            task = self.variables.copy().run(self.loop.create_task, coroutine)
        self.calls.add(task)
        task.add_done_callback(self.call_done)

    def call_done(self, task: asyncio.Task[Any]) -> None:
        """An application call has ended."""
        self.calls.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.report(task)
        if self.ended is not None:
            self.ended()

    def report(self, task: asyncio.Task[Any]) -> None:
        """What a call let through that is no application error: it ends this call and nothing else."""
        self.loop.call_exception_handler(
            {"message": "A request ended in an internal error", "exception": task.exception()}
        )

    def waiter(self) -> Any:
        return self.loop.create_future()

    def wake(self, waiter: Any) -> None:
        if not waiter.done():
            waiter.set_result(None)
