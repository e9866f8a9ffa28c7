"""Memory that all workers of a server share: a slot of numbers for each, and one for those that are no more.

The parent makes a board and hands its descriptor down; each worker attaches to it and publishes in the slot that it was
given. A reader sums the slots. Numbers are 64 bits wide, written by one process each, so nothing has to be locked.

    board = Board.create(8)                       # in the parent
    os.set_inheritable(board.descriptor, True)
    use_board_slot(Board.attach(descriptor).slot(0))  # in the worker, before it serves
    board.retire(0)                               # in the parent, once that worker has ended
    board.total(), board.slots()                  # anywhere
"""

from __future__ import annotations

import mmap
import os
import time
from array import array
from typing import Any

from hypercorn.metrics.counters import FIELDS, GAUGES, Counters

MAGIC = 0x68797065  # "hype"
_HEADER = ("magic", "slots", "fields", "restarts", "started_at", "secret_1", "secret_2", "spare")
_SLOT = ("pid", "started_at", "updated_at", "state")
SlotEntry = dict[str, Any]  # numbers by name, and the text of "state"
_WIDTH = len(_SLOT) + len(FIELDS)
STATES = ("empty", "starting", "serving", "draining", "gone")


class Board:
    """The shared memory. `create` or `attach` makes one."""

    def __init__(self, descriptor: int, memory: mmap.mmap) -> None:
        self.descriptor = descriptor
        self._memory = memory
        self._numbers = memoryview(memory).cast("q")

    @classmethod
    def create(cls, slots: int = 1) -> Board:
        """A new board with room for `slots` workers. Raises OSError where memory or descriptors have run out."""
        size = 8 * (len(_HEADER) + (slots + 1) * _WIDTH + slots)
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("hypercorn-metrics", os.MFD_CLOEXEC)
        else:
            import tempfile  # which takes long to import

            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, size)
        board = cls(descriptor, mmap.mmap(descriptor, size))
        board._numbers[0:3] = array("q", (MAGIC, slots, len(FIELDS)))
        board._numbers[_HEADER.index("started_at")] = int(time.time())
        secret = _HEADER.index("secret_1")
        board._numbers[secret : secret + 2] = array("q", os.urandom(16))
        return board

    @classmethod
    def attach(cls, descriptor: int) -> Board:
        """The board behind a descriptor that another process handed over. Raises ValueError if it is none."""
        board = cls(descriptor, mmap.mmap(descriptor, 0))
        if tuple(board._numbers[0:3]) != (MAGIC, board.size, len(FIELDS)):
            raise ValueError("not the counters of this version")
        return board

    @property
    def size(self) -> int:
        """The number of slots for workers."""
        return int(self._numbers[1])

    @property
    def restarts(self) -> int:
        """Workers that took the place of another."""
        return int(self._numbers[3])

    @restarts.setter
    def restarts(self, value: int) -> None:
        self._numbers[3] = value

    @property
    def started_at(self) -> int:
        """The time that the board was made at, in seconds since 1970."""
        return int(self._numbers[4])

    @property
    def secret(self) -> bytes:
        """A secret that only the workers of this server know."""
        secret = _HEADER.index("secret_1")
        return self._numbers[secret : secret + 2].tobytes()

    @property
    def accept_counts(self) -> memoryview:
        """For each worker that accepts on sockets that it shares, how many connections it has taken (or passed up)."""
        return self._numbers[len(self._numbers) - self.size :]

    def slot(self, number: int) -> BoardSlot:
        """The slot of a worker, counted from 0. Raises IndexError."""
        if not 0 <= number < self.size:
            raise IndexError(f"no slot {number} of {self.size}")
        return BoardSlot(self, number)

    def slots(self) -> list[SlotEntry]:
        """The entry that each running worker has published: `slot`, `pid`, `started_at`, `updated_at` (milliseconds),
        `state`, and every field by name."""
        return [self.slot(number).read() for number in self._taken()]

    def total(self) -> dict[str, int]:
        """The sum over all workers, those that are no more included; of a gauge, the largest."""
        sums = [0] * len(FIELDS)
        for number in (-1, *self._taken()):
            for index, value in enumerate(self._fields(number)):
                sums[index] = max(sums[index], value) if FIELDS[index] in GAUGES else sums[index] + value
        return dict(zip(FIELDS, sums, strict=True))

    def retire(self, number: int) -> None:
        """The worker of a slot has ended: its counts are kept, and the slot is free. What it had open is closed."""
        last = dict(zip(FIELDS, self._fields(number), strict=True))
        for name in last:
            if name.endswith("_opened"):
                last[name.replace("_opened", "_closed")] = last[name]
        last["requests_ended"] = last["requests_started"]
        kept = [
            0 if name in GAUGES else before + last[name] for name, before in zip(FIELDS, self._fields(-1), strict=True)
        ]
        self._numbers[self._offset(-1, True) : self._offset(-1, True) + len(FIELDS)] = array("q", kept)
        start = self._offset(number)
        self._numbers[start : start + _WIDTH] = array("q", bytes(8 * _WIDTH))
        self._numbers[len(self._numbers) - self.size + number] = 0

    def close(self) -> None:
        """Releases the memory; other processes keep theirs."""
        self._numbers.release()
        self._memory.close()
        os.close(self.descriptor)

    def _taken(self) -> list[int]:
        """The slots that have a process."""
        pids = self._numbers[len(_HEADER) + _WIDTH : len(self._numbers) - self.size : _WIDTH]
        return [number for number, pid in enumerate(pids) if pid]

    def _offset(self, number: int, fields: bool = False) -> int:
        return len(_HEADER) + (number + 1) * _WIDTH + (len(_SLOT) if fields else 0)

    def _fields(self, number: int) -> list[int]:
        start = self._offset(number, True)
        return self._numbers[start : start + len(FIELDS)].tolist()


class BoardSlot:
    """The part of the board that one worker writes."""

    def __init__(self, board: Board, number: int) -> None:
        self.board = board
        self.number = number
        self._start = board._offset(number)

    def claim(self) -> None:
        """This process is the slot's worker."""
        numbers = array("q", (os.getpid(), int(time.time()), int(time.time() * 1000), STATES.index("starting")))
        self.board._numbers[self._start : self._start + len(_SLOT)] = numbers

    def publish(self, counters: Counters, state: str = "serving") -> None:
        """Publishes the counts."""
        head = array("q", (int(time.time() * 1000), STATES.index(state)))
        numbers = self.board._numbers
        numbers[self._start + 2 : self._start + 4] = head
        start = self._start + len(_SLOT)
        numbers[start : start + len(FIELDS)] = array("q", counters.values())

    def read(self) -> SlotEntry:
        """The entry that was published last."""
        head = self.board._numbers[self._start : self._start + len(_SLOT)].tolist()
        values: SlotEntry = {"slot": self.number, **dict(zip(_SLOT, head, strict=True))}
        values["state"] = STATES[values["state"]] if 0 <= values["state"] < len(STATES) else "gone"
        values.update(zip(FIELDS, self.board._fields(self.number), strict=True))
        return values


_current: BoardSlot | None = None


def use_board_slot(slot: BoardSlot | None) -> None:
    """From now on the workers of this process publish there."""
    global _current
    _current = slot
    if slot is not None:
        slot.claim()


def current_board_slot() -> BoardSlot | None:
    """The slot that `use_board_slot` gave, or None where this process has none."""
    return _current
