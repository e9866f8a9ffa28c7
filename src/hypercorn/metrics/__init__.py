"""The counters of a worker, and the memory in which those of all workers lie together.

`Counters` are the plain numbers of one worker; `Board` is memory that the workers share, a slot for each, in which they
publish their counts, and which any of them can sum.
"""

from __future__ import annotations

from hypercorn.metrics.board import Board, BoardSlot, current_board_slot, use_board_slot
from hypercorn.metrics.counters import FIELDS, Counters

__all__ = ("FIELDS", "Board", "BoardSlot", "Counters", "current_board_slot", "use_board_slot")
