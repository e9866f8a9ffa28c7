"""The attacks whose cost `bench.costs` measures, one module for each protocol."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

__all__ = ["MOST_CPU", "MOST_KEPT", "Attack", "Floor", "Row", "Target"]

MOST_CPU = 1.0  # milliseconds for each kB
MOST_KEPT = 10.0  # kB for each kB


@dataclass(frozen=True)
class Target:
    """The server under attack."""

    host: str
    port: int


# An attack opens what it needs and yields 0; sends, and yields the number of bytes that it sent (its connections are
# still open then); and closes everything when it is resumed or closed. It gives up by itself within 60 seconds.
Attack = Callable[[Target], Generator[int, None, None]]


@dataclass(frozen=True)
class Floor:
    """Why a row costs more than the limits allow, and how much it may cost instead: a regression fails all the same.

    `reason` says which work cannot be had for less. `cpu` is in milliseconds and `kept` in kB, for each kB sent.
    """

    reason: str
    cpu: float = MOST_CPU
    kept: float = MOST_KEPT


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `server` names the configuration that is attacked, a key of `bench.costs.SERVERS`. `beyond` is an attack on another
    such server whose cost is subtracted: what the same number of harmless requests takes. `requests` is how many the
    attack makes, where that says more than its bytes. `floor` has other limits, and the reason for them.
    """

    name: str
    title: str
    server: str
    run: Attack
    beyond: Attack | None = None
    requests: int = 0
    floor: Floor | None = None
