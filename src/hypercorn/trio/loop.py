"""trio's time, tasks and waiting, as connections and exchanges use them: the hot half of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from hypercorn.clock import monotonic
from hypercorn.protocol.runtime import Runtime, Timer, Waiter

if TYPE_CHECKING:
    from trio import CancelScope
    from trio.lowlevel import TrioToken

    from hypercorn.asgi.exchange import ASGIExchange
    from hypercorn.protocol.runtime import Call


class TrioLoop(Runtime):
    """A trio run. Callbacks and tasks run in copies of the context variables of the server's start."""

    __slots__ = (
        "calls",
        "ended",
        "new_scope",
        "new_waiter",
        "report",
        "run_call",
        "start_call",
        "start_timer",
        "token",
        "variables",
    )

    def __init__(
        self, token: TrioToken, new_waiter: Callable[[], Waiter], new_scope: Callable[[], CancelScope]
    ) -> None:
        Runtime.__init__(self)  # super() fails in a compiled method that overrides a C one
        self.token = token
        self.new_waiter = new_waiter
        self.new_scope = new_scope
        self.variables: Context = copy_context()
        self.start_call: Callable[..., object]  # start_soon of the nursery of the calls
        self.run_call: Callable[[ASGIExchange, CancelScope | None], Coroutine[object, None, None]]
        self.start_timer: Callable[[float, Callable[[], object]], Timer]
        self.calls: dict[
            Call, CancelScope | None
        ] = {}  # the application calls that have not ended, with the scope of each or None
        self.ended: Callable[[], None] | None = None
        self.report: Callable[[Exception], object]  # takes what a callback raised

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.token.run_sync_soon(self.run_guarded, callback)

    def run_guarded(self, callback: Callable[[], object]) -> None:
        """Runs a callback. What it raises would end trio, and with it the server."""
        try:
            self.variables.copy().run(callback)
        except Exception as error:
            self.report(error)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return self.start_timer(max(0.0, when - monotonic()), callback)

    def spawn(self, call: Call) -> object:
        # A scope costs as much as the task itself: only calls that are cancelled one by one have their own.
        scope = self.new_scope() if call.connection.is_multiplexed() else None
        self.calls[call] = scope
        self.call_spawned()
        self.variables.copy().run(self.start_call, self.run_call, call, scope)
        return call

    def call_over(self, call: Call, error: BaseException | None) -> None:
        if call in self.calls:
            del self.calls[call]
            if self.ended is not None:
                self.ended()

    def cancel(self, call: Call) -> None:
        scope = self.calls.get(call)
        if scope is not None:
            call.cancelled_by_server = True
            scope.cancel()

    def waiter(self) -> Waiter:
        return self.new_waiter()

    def wake(self, waiter: Any) -> None:
        waiter.wake()
