"""What one option is: its name, kind, default, flags and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypercorn.errors import ConfigError
from hypercorn.values import BINDS, Kind

ENV_PREFIX = "HYPERCORN_"


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
