"""Budgets for what costs the server more than its peer, for one HTTP/2 or HTTP/3 connection (RFC 9113 section 10.5).

A token bucket for each kind of event. Buckets are made when first used: an idle connection has none.
"""

from __future__ import annotations

from hypercorn.protocol.runtime import Runtime

REMEMBERED_RESETS = 1000  # streams reset by the server that are remembered: frames for them may be on their way
CANCEL_AFTER_SECONDS = 0.05  # seconds that an application has to end by itself when its stream is reset
CONTROL_FRAMES = 1000  # frames that may wait for a peer that does not read
SETTINGS_SECONDS = 30.0  # seconds for the peer's acknowledgement of the settings
DRAIN_SECONDS = 1.0  # seconds between the two steps of a GOAWAY at the most
LINGER_BYTES = 1048576  # bytes dropped while lingering before the connection is cut
LARGEST_ID = 2147483647
DRAIN_PING = b"draining"
ALIVE_PING = b"are here"
LARGEST_WINDOW = 2147483647
USEFUL_BYTES = 1024  # octets from which a DATA frame was worth its window updates
PIECE_BYTES = 16384  # octets of a DATA frame, so that others get their turn
SEPARATE_BYTES = 4096  # octets from which a payload is handed on as it is, rather than copied behind its frame's head
GATHER_BYTES = 65536  # octets of frames that leave before their turn ends
DEFAULT_URGENCY = 3
HIGH_WATER_BYTES = 65536  # octets of a response that wait before the application does
LOW_WATER_BYTES = 16384

# Kinds: streams reset by the peer before an answer, or by the server for the peer's faults; PING and SETTINGS; empty
# DATA; WINDOW_UPDATE; everything else that is of no use.
RESETS, CONTROLS, EMPTY, UPDATES, GLITCHES = range(5)

# Tokens at once, and new ones in a second.
BUDGETS: list[tuple[float, float]] = [
    (1000.0, 33.0),
    (1000.0, 100.0),
    (100.0, 10.0),
    (10000.0, 1000.0),
    (10000.0, 330.0),
]


class Budget:
    """`burst` tokens at once, `rate` new ones in a second."""

    __slots__ = ("burst", "left", "rate", "since")

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self.burst = burst
        self.rate = rate
        self.left = burst
        self.since = now


class Allowance:
    """The buckets of one connection. `resets`: the burst of RESETS."""

    __slots__ = ("budgets", "resets", "runtime")

    def __init__(self, runtime: Runtime, resets: float) -> None:
        self.runtime = runtime
        self.resets = resets
        self.budgets: list[Budget | None] = [None] * len(BUDGETS)

    def spend(self, kind: int) -> bool:
        """Takes a token. False where there is none."""
        budget = self.budgets[kind]
        if budget is None:
            burst, rate = BUDGETS[kind]
            if kind == RESETS:
                burst = self.resets
            budget = self.budgets[kind] = Budget(burst, rate, self.runtime.now())
        budget.left -= 1
        if budget.left >= 0:
            return True
        now = self.runtime.now()
        budget.left = min(budget.burst, budget.left + (now - budget.since) * budget.rate)
        budget.since = now
        return budget.left >= 0

    def refund(self, kind: int, tokens: float) -> None:
        """Gives tokens back for something useful."""
        budget = self.budgets[kind]
        if budget is not None:
            budget.left = min(budget.burst, budget.left + tokens)
