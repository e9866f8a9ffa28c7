"""The deadlines of all connections of a worker, kept by one timer.

A deadline is a number on its connection. The timer fires at the earliest one that was known when it was set; by then
most have moved on, and it is set anew. So a request costs no timer, and nothing wakes up while nothing is waited for.
"""

from __future__ import annotations

from hypercorn.protocol.ports import Connection, Context
from hypercorn.protocol.runtime import Runtime, Timer

TICK_SECONDS = 0.1  # seconds between two sweeps at the least: how coarse a timeout is
NEVER = float("inf")
LAST_SECONDS = 0.1  # seconds in which late requests are answered, where no other worker is left to answer them


class Deadlines:
    """All open connections of a worker and the timer over them."""

    def __init__(self, runtime: Runtime, context: Context) -> None:
        self.runtime = runtime
        self.context = context
        self.connections: set[Connection] = set()
        self.timer: Timer | None = None

    def arm(self, deadline: float) -> None:
        """Sees to it that a sweep happens at `deadline` (seconds of `Runtime.now`) or before."""
        if self.timer is not None:
            self.timer.cancel()
        self.context.next_sweep = deadline
        self.timer = self.runtime.call_at(deadline, self.sweep)

    def sweep(self) -> None:
        """Tells every connection whose deadline has passed, and sets the timer for the next."""
        self.timer = None
        self.context.next_sweep = NEVER
        now = self.runtime.now()
        earliest = NEVER
        for connection in list(self.connections):
            deadline = connection.deadline
            if deadline and deadline <= now:
                try:
                    connection.expired(now)
                except Exception as error:
                    connection.transport.internal_error(error)
                deadline = connection.deadline
            if deadline and deadline < earliest:
                earliest = deadline
        if earliest < self.context.next_sweep:
            self.arm(max(earliest, now + TICK_SECONDS))

    def stop(self) -> None:
        """Forgets the timer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.context.next_sweep = -NEVER
