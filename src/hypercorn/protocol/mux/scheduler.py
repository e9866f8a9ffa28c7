"""The order in which the streams of a connection send (RFC 9218).

Streams that have data and may send it wait in eight queues, one for each urgency. The most urgent queue goes first;
within one, streams that said `i=?0` go one after the other, all others in turn, a frame each.
"""

from __future__ import annotations

from collections import deque
from typing import Any

Queue = deque[Any]  # of `mux.stream.MuxStream`, which knows this module


class Scheduler:
    """The queues of one connection. They are made when first used: an idle connection has none."""

    __slots__ = ("queues", "waiting")

    def __init__(self) -> None:
        self.queues: list[Queue | None] = [None] * 8
        self.waiting = 0  # streams in the queues

    def add(self, stream: object, urgency: int) -> None:
        """Puts a stream at the end of its queue."""
        queue = self.queues[urgency]
        if queue is None:
            queue = self.queues[urgency] = deque()
        queue.append(stream)
        self.waiting += 1

    def remove(self, stream: object, urgency: int) -> None:
        """Takes a stream out of its queue."""
        queue = self.queues[urgency]
        assert queue is not None
        queue.remove(stream)
        self.waiting -= 1

    def first(self) -> Queue:
        """The most urgent queue that has a stream."""
        for queue in self.queues:
            if queue:
                return queue
        raise AssertionError("no stream waits")


def read_priority(value: bytes, urgency: int, incremental: bool) -> tuple[int, bool]:
    """Urgency and `incremental` of a Priority field (RFC 9218 section 4); what is malformed changes nothing."""
    for member in value.split(b","):
        name, _, rest = member.strip(b" \t").partition(b"=")
        text = rest.partition(b";")[0]
        if name == b"u" and len(text) == 1 and b"0" <= text <= b"7":
            urgency = text[0] - 48
        elif name == b"i":
            if not rest or text == b"?1":
                incremental = True
            elif text == b"?0":
                incremental = False
    return urgency, incremental
