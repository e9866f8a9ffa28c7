"""The declaration of an option: its name, kind, default, flags and help text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from hypercorn.config.values import BINDS, Kind
from hypercorn.errors import ConfigError

ENV_PREFIX = "HYPERCORN_"
LARGEST = 2**62  # "no limit" of a count or a size: the sum of two is still a C integer
LIMITING = ("Application", "Limits", "Timeouts", "Operations")  # groups whose numbers are limits of a worker


class _Unset:
    def __repr__(self) -> str:
        return "unset"


UNSET = _Unset()


@dataclass(frozen=True)
class Option:
    """One option: the attribute `name` of `Config`, the flag `--name` with dashes, the variable HYPERCORN_NAME.

    `aliases` are names that it had before, or has with another server. Each works wherever the name does.
    """

    name: str
    kind: Kind
    default: object
    group: str
    help: str
    short: str = ""  # a flag of one letter
    aliases: tuple[str, ...] = ()
    other_flags: tuple[str, ...] = ()  # flags that mean the same, where an attribute cannot have the name
    flagless: bool = False
    alias_of: str = ""  # the option that this one sets, where its values differ from that one's
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

    def number(self, value: float | str | None) -> float:
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
        """The flags to show."""
        if self.flagless:
            return ()
        return (self.short, flag_of(self.name)) if self.short else (flag_of(self.name),)

    @property
    def alias_flags(self) -> tuple[str, ...]:
        """The flags that work too, and are not shown."""
        return () if self.flagless else (*(flag_of(alias) for alias in self.aliases), *self.other_flags)

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.name.upper()

    def convert(self, value: object, source: str, written: str = "") -> object:
        """The value in its proper type. `written` is the name that it was given by, where that is an alias.

        Raises ConfigError, which says what is wrong and where it came from.
        """
        try:
            return self.kind.read(value)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, ImportError) as error:
            shown = "a hidden value" if self.secret else repr(value)
            reason = f"{error}; " if str(error) and self.kind is BINDS else ""
            named = f"{written or self.name} = {shown} ({source})"
            raise ConfigError(f"{named}: {reason}expected {self.kind.expected}") from None


def flag_of(name: str) -> str:
    """The flag of an option's name: `--log-level` for `log_level`."""
    return "--" + name.replace("_", "-")
