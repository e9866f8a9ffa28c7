"""What the hot path does with objects for less than the interpreter would: in C, where this package is compiled."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from operator import eq
from sys import getrefcount as references
from typing import Any

__all__ = ("Copies", "Slot", "copy_of", "is_untouched", "new_object", "part_of", "pool", "references", "same_text")

copy_of = Context.copy  # of a context (contextvars)
same_text: Callable[[Any, str], bool] = eq  # told from the characters


def new_object(kind: Any) -> Any:
    """An object of a class as its `__new__` makes it, without arguments."""
    return kind.__new__(kind)


def is_untouched(thing: Any) -> bool:
    """True where an object that one local variable has is known to nobody else, not even weakly, and has got no
    attributes: so it can serve again as if it were new. Only C can tell."""
    return False


class Slot:
    """A member of a class with `__slots__`, got and set without looking it up in its objects' class."""

    def __init__(self, member: Any) -> None:
        self.get: Any = member.__get__
        self.set: Any = member.__set__


def part_of(data: bytes, start: int, end: int) -> bytes:
    """`data[start:end]`, where 0 <= start <= end <= len(data)."""
    return data[start:end]


def pool(kind: type) -> None:
    """Keeps the memory of some objects of a compiled class for the next ones, where there are any."""


class Copies:
    """Copies of a small dict, one for each who asks. Where a value is Ellipsis they have an empty dict of their own,
    the same one in all such places; where one value is a dict, a copy of that."""

    def __init__(self, template: dict[str, Any]) -> None:
        self.template = template

    def make(self) -> dict[str, Any]:
        """One for somebody who is going to change it."""
        empty: dict[str, Any] = {}
        return {
            key: empty if value is ... else value.copy() if type(value) is dict else value
            for key, value in self.template.items()
        }

    def take(self) -> dict[str, Any]:
        """A copy that nobody else has."""
        return self.make()
