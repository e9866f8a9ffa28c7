"""The delay before a worker that keeps crashing is started again."""

from __future__ import annotations

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 30.0
RESET_SECONDS = 60.0  # without a crash, after which the count begins anew
ALARM_CRASHES = 5  # crashes in a row that are worth a critical record


class BackOff:
    """Counts crashes. The first one of each worker costs no wait: then it doubles."""

    def __init__(self) -> None:
        self.crashes = 0
        self.last = -RESET_SECONDS
        self.until = 0.0  # when the next worker may be started

    def crashed(self, now: float, workers: int) -> float:
        """A worker crashed. Returns the seconds to wait."""
        if now - self.last > RESET_SECONDS + MAX_DELAY_SECONDS:
            self.crashes = 0
        self.last = now
        self.crashes += 1
        over = self.crashes - max(workers, 1)
        wait = 0.0 if over <= 0 else min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(over - 1, 20))
        self.until = max(self.until, now + wait)
        return wait

    def alarming(self, workers: int) -> bool:
        """True at the crash that makes it a crash loop."""
        return self.crashes == max(workers, 1) + ALARM_CRASHES
