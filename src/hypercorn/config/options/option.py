"""The declaration of an option: its name, kind, default, flags and help text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from hypercorn.config.values import BINDS, Kind
from hypercorn.errors import ConfigError

ENV_PREFIX = "HYPERCORN_"
LARGEST = 2**62  # "no limit" of a count or a size: the sum of two is still a C integer
LIMITING = ("Application", "Limits", "Timeouts", "Operations")  # groups whose numbers are limits of a worker


class _Unset:
    def __repr__(self) -> str:
        return "unset"


UNSET: Any = _Unset()


@dataclass(frozen=True)
class Option:
    """One option. `flags` are those of earlier releases; an option without any is called `--its-name`."""

    name: str
    kind: Kind
    default: Any
    group: str
    help: str
    flags: tuple[str, ...] = ()
    deprecated_flags: tuple[str, ...] = ()
    flagless: bool = False
    alias_of: str = ""
    secret: bool = False
    replaces: str = ""  # where it has a value, that is the value of this other option
    unlimited: float | None = None  # the number for `none`, where it is not the largest
    automatic: Callable[[], int] | None = None  # gives the number for `auto`

    @property
    def limits(self) -> bool:
        """True for a number that a worker keeps to: a field of `hypercorn.protocol.limits.Limits`."""
        numeric = self.kind.metavar in ("BYTES", "N", "N|auto", "SECONDS")
        return numeric and self.group in LIMITING and not self.alias_of and not self.replaces

    @property
    def is_time(self) -> bool:
        """True where the number is one of seconds."""
        return self.kind.metavar == "SECONDS"

    def number(self, value: Any) -> float:
        """The value as a number that can be compared with: `none` is infinity for times, `LARGEST` for others."""
        if self.automatic is not None and value == "auto":
            return self.automatic()
        if value is not None:
            return float(value) if self.is_time else int(value)
        if self.unlimited is not None:
            return self.unlimited
        return inf if self.is_time else LARGEST

    @property
    def all_flags(self) -> tuple[str, ...]:
        """The flags to show: the old ones, or the name with dashes."""
        if self.flagless:
            return ()
        return self.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.name.upper()

    def convert(self, value: Any, source: str) -> Any:
        """The value in its proper type.

        Raises ConfigError, which says what is wrong and where it came from.
        """
        try:
            return self.kind.read(value)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            shown = "a hidden value" if self.secret else repr(value)
            message = f"{self.name} = {shown} ({source}): expected {self.kind.expected}"
            if str(error) and self.kind is BINDS:
                message = f"{self.name} = {shown} ({source}): {error}; expected {self.kind.expected}"
            raise ConfigError(message) from None
