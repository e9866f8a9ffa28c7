"""The states of a connection or a stream, and the one table that says which state may follow which.

Flags such as "draining", "closed" and "request complete" describe a state in pieces. Each piece is simple, and most of
their combinations mean nothing, yet every method has to be right for all of them, and no reader can tell which occur.
So each kind of connection and of stream has one number for its state and one `Transitions`, the way h11 and h2 have
their tables; what may happen is a comparison with that number, and what may follow stands in one place.

A transition that the table does not have is a fault of this package, never of a peer. Tests make it raise (`strict`).
In production the state changes all the same, and the first time that it happens is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

STATES = 8  # at most: a table of 8 rows and columns fits into one integer, so that a check is a shift and a test

strict = False  # an impossible transition raises an AssertionError; tests set this


class Transitions:
    """The table of one kind of connection or stream.

    kind: what has the states, for messages
    names: of the states, which are numbered from 0
    follow: the states that may follow each state
    """

    __slots__ = ("allowed", "kind", "logged", "names")

    def __init__(self, kind: str, names: tuple[str, ...], follow: Mapping[int, Iterable[int]]) -> None:
        assert len(names) <= STATES
        assert sorted(follow) == list(range(len(names)))
        self.kind = kind
        self.names = names
        self.allowed = sum({1 << old * STATES + new for old, states in follow.items() for new in states})
        self.logged: set[tuple[int, int]] = set()

    def change(self, old: int, new: int) -> int:
        """Returns `new`, if it may follow `old`."""
        if not self.allowed >> old * STATES + new & 1:
            self.impossible(old, new)
        return new

    def impossible(self, old: int, new: int) -> None:
        """Reports a transition that the table does not have. Raises AssertionError where `strict` is set."""
        message = f"A {self.kind} cannot go from {self.names[old]} to {self.names[new]}"
        if strict:
            raise AssertionError(message)
        if (old, new) not in self.logged:
            self.logged.add((old, new))
            logging.getLogger("hypercorn.error").error("%s", message, stack_info=True)
