"""Events between a transport and a protocol, as earlier releases had them."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass


class Event(ABC):  # noqa: B024  a common base, with nothing to override
    """The base of all of them."""


@dataclass(frozen=True)
class RawData(Event):
    """Bytes from or for the peer; `address` is that of a datagram."""

    data: bytes
    address: tuple[str, int] | None = None


@dataclass(frozen=True)
class Closed(Event):
    """The connection is closed."""


@dataclass(frozen=True)
class Updated(Event):
    """The connection became idle, or busy."""

    idle: bool
