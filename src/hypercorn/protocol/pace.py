"""Waiting for a peer that has to send, or to take, something: for any progress within a time, and for a least rate.

One mechanism for a request's body, a connection's output and a stream's window. The rate is an account in seconds: it
begins with a grace, every octet adds its time at the least rate, waiting for the peer takes time away. What moved is
only counted when the account would be empty, so octets cost nothing but an addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.protocol.ports import Context

BURST = 65536  # octets of output that a peer may be behind: kernels make room for many at once
BLOCKED = 1.0  # seconds by which a look at the account comes too late only where the event loop stood still
NEVER = float("inf")
AGAIN = 0.1  # seconds that it then gets, so that what came meanwhile is read first


class Pace:
    """One body, or one time in which output waits.

    rate: octets a second; 0: any
    timeout: seconds without any progress; infinity: any
    most: seconds that may be saved up
    """

    __slots__ = ("due", "left", "most", "octets", "rate", "silent_at", "timeout")

    rate: float
    timeout: float
    most: float
    left: float  # seconds of the account, while its time does not count
    due: float  # when the account is empty (seconds of Runtime.now); 0: time does not count
    silent_at: float  # when the time without any progress is over; 0: never
    octets: int  # that moved and are not counted

    def open(self, rate: float, grace: float, timeout: float, most: float) -> None:
        """Sets all up. In place of `__init__`, which would cost a tuple of arguments."""
        self.rate = rate
        self.timeout = timeout
        self.most = most
        self.left = grace
        self.due = self.silent_at = 0.0
        self.octets = 0

    def wait(self, now: float) -> None:
        """From now on any progress has to come within the time for it."""
        self.silent_at = now + self.timeout

    def run(self, now: float) -> None:
        """From now on the rate counts."""
        if self.rate and not self.due:
            self.due = now + self.left

    def rest(self, now: float) -> None:
        """It does not: the server itself does not go on."""
        if self.due:
            self.left = self.due - now
            self.due = 0.0

    def free(self) -> None:
        """The rate does not count any more."""
        self.rate = self.due = 0.0

    def until(self) -> float:
        """When the peer may be late; 0: never."""
        if self.due and (not self.silent_at or self.due < self.silent_at):
            return self.due
        return self.silent_at

    def silent(self, now: float) -> bool:
        """True where there was no progress in time."""
        return 0 < self.silent_at <= now

    def late(self, now: float) -> bool:
        """Counts what moved. True where there was no progress in time, or too little."""
        if 0 < self.silent_at <= now:
            return True
        if not 0 < self.due <= now:
            return False
        blocked = now > self.due + BLOCKED
        self.due = min(self.due + self.octets / self.rate, now + self.most)
        self.octets = 0
        if blocked and self.due <= now:
            self.due = now + AGAIN
        return self.due <= now

    def late_with(self, waiting: int, taken: int, now: float) -> bool:
        """The same of output, of which `waiting` octets are left after `taken` went."""
        if waiting <= 0:
            self.due = 0.0  # all was taken, and the transport is about to say so
        elif taken > 0:
            self.octets += taken
            self.wait(now)
        return self.late(now)


def pace_of_body(context: Context, rate: float) -> Pace:
    """For a request's body. What is sent fast buys no more time than a pause may last."""
    pace = Pace.__new__(Pace)
    grace = context.limits.min_rate_grace
    pause = context.limits.body_timeout
    pace.open(rate, grace, pause, max(grace, pause) if pause < NEVER else grace)
    return pace


def pace_of_unread(context: Context) -> Pace:
    """For the rest of a request whose response was sent: it is only read so that the client sees that response."""
    pace = Pace.__new__(Pace)
    limits = context.limits
    grace = limits.min_rate_grace
    pace.open(limits.min_receive_rate, grace, limits.linger_timeout, max(grace, limits.linger_timeout))
    return pace


def pace_of_output(context: Context) -> Pace:
    """For output, of which a peer may be a burst behind."""
    pace = Pace.__new__(Pace)
    rate = context.limits.min_send_rate
    seconds = context.limits.min_rate_grace + BURST / rate if rate else 0.0
    pace.open(rate, seconds, context.limits.write_timeout, seconds)
    return pace
