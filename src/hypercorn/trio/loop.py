"""trio's time, tasks and waiting, as connections and streams use them: the hot half of the runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from hypercorn.clock import monotonic
from hypercorn.protocol.ports import Runtime


class TrioLoop(Runtime):
    """A trio run."""

    __slots__ = (
        "cancel_call",
        "idle",
        "new_waiter",
        "reschedule",
        "run_call",
        "start_call",
        "start_timer",
        "token",
        "variables",
    )

    def __init__(self, token: Any, new_waiter: Callable[[], Any]) -> None:
        self.token = token
        self.new_waiter = new_waiter
        # Requests start from the variables of the server's start, never from another request's.
        self.variables: Context = copy_context()
        self.start_call: Any = None  # start_soon of the nursery of the calls
        self.run_call: Any = None
        self.start_timer: Any = None
        self.cancel_call: Any = None
        self.idle: list[Any] = []  # places of parked tasks
        self.reschedule: Any = None

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.token.run_sync_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        return self.start_timer(max(0.0, when - monotonic()), callback)

    def spawn(self, coroutine: Any) -> Any:
        if self.idle:
            place = self.idle.pop()
            place.coroutine = coroutine
            place.task.context = self.variables.copy()
            self.reschedule(place.task)
        else:
            self.variables.copy().run(self.start_call, self.run_call, coroutine)
        return coroutine

    def cancel(self, call: Any) -> None:
        self.cancel_call(call)

    def waiter(self) -> Any:
        return self.new_waiter()

    def wake(self, waiter: Any) -> None:
        waiter.wake()
