"""Load shedding: the requests that a worker refuses when it has more to do than it can.

Two measures, each an option. The number of requests that go on is exact. The wait for the event loop is what a request
spends before anybody looks at it: the loop takes what is ready in batches, and the last of a batch waits for all before
it. Where that wait stays above its target for a while, batches are cut off there, and the rest is answered at once.
"""

from __future__ import annotations

from math import inf

from hypercorn.config.options.option import LARGEST
from hypercorn.metrics.counters import Counters
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.runtime import Runtime

LATE_SECONDS = 0.1  # seconds that the wait may be too long before requests are turned away: a burst is no overload


def can_be_overloaded(limits: Limits) -> bool:
    """True where one of the two measures is asked for."""
    return limits.limit_concurrency < LARGEST or limits.shed_delay < inf


class Overload:
    """The state of both measures, against `limit_concurrency` requests at the same time and `shed_delay` seconds."""

    __slots__ = ("batch_at", "counters", "late_since", "limit", "runtime", "target")

    def __init__(self, runtime: Runtime, counters: Counters, limits: Limits) -> None:
        self.runtime = runtime
        self.counters = counters
        self.limit = limits.limit_concurrency
        self.target = limits.shed_delay
        self.batch_at = 0.0  # when the loop began with the batch that it is in; 0 between batches
        self.late_since = 0.0  # since when the wait is above its target; 0 while it is not

    def refuses(self) -> bool:
        """True where a request that came now is one too many."""
        counters = self.counters
        if counters.requests_started - counters.requests_ended >= self.limit:
            counters.count("refused_concurrency")
            return True
        if self.target < inf and self.is_late():
            counters.count("refused_delay")
            return True
        return False

    def is_late(self) -> bool:
        """True where this request has waited too long, and so have others for a while."""
        now = self.runtime.now()
        if not self.batch_at:
            self.batch_at = now
            self.runtime.call_soon(self.batch_ended)
            return False
        if now - self.batch_at <= self.target:
            return False
        if not self.late_since:
            self.late_since = now
        return now - self.late_since >= LATE_SECONDS

    def batch_ended(self) -> None:
        """The loop has come round. Where turns were cut short, what they left still belongs to the batch."""
        if self.runtime.is_behind():
            self.runtime.call_soon(self.batch_ended)
            return
        waited = self.runtime.now() - self.batch_at
        self.batch_at = 0.0
        if waited <= self.target:
            self.late_since = 0.0
        elif not self.late_since:
            self.late_since = self.runtime.now()
