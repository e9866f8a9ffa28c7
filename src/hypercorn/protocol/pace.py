"""The least rate at which a peer has to send a body, or to take a response, on the average.

An account in seconds: it begins with a grace, every octet adds its time at the least rate, waiting for the peer takes
time away. What moved is only counted when the account would be empty, so octets cost nothing but an addition.
"""

from __future__ import annotations

BURST = 65536  # octets of output that a peer may be behind: kernels make room for many at once
BLOCKED = 1.0  # seconds by which a look at the account comes too late only where the event loop stood still
AGAIN = 0.1  # seconds that it then gets, so that what came meanwhile is read first


class Pace:
    """One body, or one time in which output waits.

    rate: octets a second
    seconds: the grace
    """

    __slots__ = ("due", "left", "octets", "rate")

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate = rate
        self.left = seconds  # while nobody waits for the peer
        self.due = 0.0  # when the account is empty (seconds of Runtime.now); 0: time does not count
        self.octets = 0  # that moved and are not counted

    def run(self, now: float) -> None:
        """From now on the peer is waited for."""
        if not self.due:
            self.due = now + self.left

    def rest(self, now: float) -> None:
        """It is not: the server itself does not go on."""
        if self.due:
            self.left = self.due - now
            self.due = 0.0

    def late(self, now: float, most: float) -> bool:
        """Counts what moved. True where it was too little. `most`: seconds that may be saved up."""
        blocked = now > self.due + BLOCKED
        self.due = min(self.due + self.octets / self.rate, now + most)
        self.octets = 0
        if blocked and self.due <= now:
            self.due = now + AGAIN
        return self.due <= now


def output_seconds(rate: float, grace: float) -> float:
    """Seconds that a peer may be behind with output."""
    return grace + BURST / rate
