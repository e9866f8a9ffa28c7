"""Application calls whose stream was reset: cancelled soon, and counted among the open streams until they have ended.

Without the count a client that opens streams and resets them would have as many calls run as it likes (CVE-2023-44487).
"""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.mux.budgets import CANCEL_AFTER_SECONDS
from hypercorn.protocol.mux.states import ORPHANED
from hypercorn.protocol.runtime import Runtime


class OrphanedCalls:
    """Those of one connection. count: calls that go on."""

    __slots__ = ("count", "due", "runtime")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.count = 0
        self.due: list[tuple[float, Any]] | None = None  # when to cancel the call of which stream

    def cancel_later(self, stream: object) -> None:
        """Cancels the call of a stream, unless it ends by itself within a moment."""
        when = self.runtime.now() + CANCEL_AFTER_SECONDS
        if not self.due:
            self.due = []
            self.runtime.call_at(when, self.cancel_due)
        self.due.append((when, stream))

    def cancel_due(self) -> None:
        """Cancels the calls whose time is over."""
        now = self.runtime.now()
        due = self.due or []
        self.due = []
        for when, stream in due:
            if stream.call_state != ORPHANED:
                continue
            if when > now:
                self.due.append((when, stream))
            elif stream.call is not None:
                self.runtime.cancel(stream.call)
        if self.due:
            self.runtime.call_at(self.due[0][0], self.cancel_due)
