"""How long to wait before a worker is started again that keeps crashing."""

from __future__ import annotations

FIRST = 0.1  # seconds
LONGEST = 30.0
CALM = 60.0  # seconds without a crash after which all is forgotten
ALARM = 5  # crashes in a row that are worth a critical record


class BackOff:
    """Counts crashes. The first one of each worker costs no wait: then it doubles."""

    def __init__(self) -> None:
        self.crashes = 0
        self.last = -CALM
        self.until = 0.0  # when the next worker may be started

    def crashed(self, now: float, workers: int) -> float:
        """A worker crashed. Returns the seconds to wait."""
        if now - self.last > CALM + LONGEST:
            self.crashes = 0
        self.last = now
        self.crashes += 1
        over = self.crashes - max(workers, 1)
        wait = 0.0 if over <= 0 else min(LONGEST, FIRST * 2.0 ** min(over - 1, 20))
        self.until = max(self.until, now + wait)
        return wait

    def alarming(self, workers: int) -> bool:
        """True at the crash that makes it a crash loop."""
        return self.crashes == max(workers, 1) + ALARM
