"""Waiting for a peer that has to send, or to take, something: for any progress within a time, and for a least rate.

One mechanism for a request's body, a connection's output and a stream's window. The rate is an account in seconds: it
begins with a grace, every octet adds its time at the least rate, waiting for the peer takes time away. What moved is
only counted when the account would be empty, so octets cost nothing but an addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.protocol.ports import Context

BURST_BYTES = 65536  # octets of output that a peer may be behind: kernels make room for many at once
BLOCKED_SECONDS = 1.0  # seconds by which a look at the account comes too late only where the event loop stood still
NEVER = float("inf")
EXTRA_SECONDS = 0.1  # seconds that it then gets, so that what came meanwhile is read first


class ProgressTimer:
    """The time limits of one body, or of output that waits.

    rate: octets a second; 0: any
    timeout: seconds without any progress; infinity: any
    max_balance: seconds that may be saved up
    """

    __slots__ = ("balance", "max_balance", "moved", "rate", "rate_due", "silent_at", "timeout")

    rate: float
    timeout: float
    max_balance: float
    balance: float  # seconds of the account, while its time does not count
    rate_due: float  # when the account is empty (seconds of Runtime.now); 0: time does not count
    silent_at: float  # when the time without any progress is over; 0: never
    moved: int  # octets that are not counted yet

    def open(self, rate: float, grace: float, timeout: float, max_balance: float) -> None:
        """Initialises it, in place of `__init__`, which would cost a tuple of arguments."""
        self.rate = rate
        self.timeout = timeout
        self.max_balance = max_balance
        self.balance = grace
        self.rate_due = self.silent_at = 0.0
        self.moved = 0

    def expect_progress(self, now: float) -> None:
        """Expects any progress within `timeout` seconds from `now`."""
        self.silent_at = now + self.timeout

    def start_rate(self, now: float) -> None:
        """Counts the rate from `now` on."""
        if self.rate and not self.rate_due:
            self.rate_due = now + self.balance

    def pause_rate(self, now: float) -> None:
        """Stops counting the rate: the server itself does not go on."""
        if self.rate_due:
            self.balance = self.rate_due - now
            self.rate_due = 0.0

    def drop_rate(self) -> None:
        """Stops counting the rate for good."""
        self.rate = self.rate_due = 0.0

    def deadline(self) -> float:
        """Returns when the peer may be late (seconds of Runtime.now); 0: never."""
        if self.rate_due and (not self.silent_at or self.rate_due < self.silent_at):
            return self.rate_due
        return self.silent_at

    def timed_out(self, now: float) -> bool:
        """Returns True where there was no progress in time."""
        return 0 < self.silent_at <= now

    def is_late(self, now: float) -> bool:
        """Counts what moved. Returns True where there was no progress in time, or too little."""
        if 0 < self.silent_at <= now:
            return True
        if not 0 < self.rate_due <= now:
            return False
        blocked = now > self.rate_due + BLOCKED_SECONDS
        self.rate_due = min(self.rate_due + self.moved / self.rate, now + self.max_balance)
        self.moved = 0
        if blocked and self.rate_due <= now:
            self.rate_due = now + EXTRA_SECONDS
        return self.rate_due <= now

    def is_late_with(self, waiting: int, taken: int, now: float) -> bool:
        """Does the same for output, of which `waiting` octets are left after `taken` went."""
        if waiting <= 0:
            self.rate_due = 0.0  # all was taken, and the transport is about to say so
        elif taken > 0:
            self.moved += taken
            self.expect_progress(now)
        return self.is_late(now)


def timer_of_body(context: Context, rate: float) -> ProgressTimer:
    """Returns a timer for a request's body. What is sent fast buys no more time than a pause may last."""
    timer = ProgressTimer.__new__(ProgressTimer)
    grace = context.limits.min_rate_grace
    pause = context.limits.body_timeout
    timer.open(rate, grace, pause, max(grace, pause) if pause < NEVER else grace)
    return timer


def timer_of_unread(context: Context) -> ProgressTimer:
    """Returns a timer for the rest of a request whose response was sent, which is read so that the client sees that."""
    timer = ProgressTimer.__new__(ProgressTimer)
    limits = context.limits
    grace = limits.min_rate_grace
    timer.open(limits.min_receive_rate, grace, limits.linger_timeout, max(grace, limits.linger_timeout))
    return timer


def timer_of_output(context: Context) -> ProgressTimer:
    """Returns a timer for output, of which a peer may be BURST_BYTES behind."""
    timer = ProgressTimer.__new__(ProgressTimer)
    rate = context.limits.min_send_rate
    seconds = context.limits.min_rate_grace + BURST_BYTES / rate if rate else 0.0
    timer.open(rate, seconds, context.limits.write_timeout, seconds)
    return timer
