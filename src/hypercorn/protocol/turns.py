"""The states and the limits of a turn, of a transport or of the reactor (`ports.Transport` says what a turn is)."""

from __future__ import annotations

NO_TURN, IN_TURN, DEFERRED = range(3)  # a DEFERRED turn ends when those end that began together with it

GATHER_SECONDS = 0.001  # seconds that output is gathered for
TURN_SECONDS = 0.005  # seconds of application steps after which the event loop gets its turn
QUICK_STEPS = 64  # short steps in a row, after which an answer may wait for the next steps of the same turn
CALLS_PER_ROUND = 64  # calls that may begin in the round after the one that they were late for
