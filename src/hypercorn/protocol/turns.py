"""How long a turn of a connection, or of the reactor, may last (`ports.Transport` says what a turn is)."""

from __future__ import annotations

TOGETHER = 0.001  # seconds that output is gathered for
TURN = 0.005  # seconds of application steps after which the event loop gets its turn
TRUSTED = 64  # short steps in a row, after which an answer may wait for the next steps of the same turn
WOKEN = 64  # calls that may begin in the round after the one that they were late for
