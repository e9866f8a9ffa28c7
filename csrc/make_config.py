"""Writes src/hypercorn/config/attributes.pyi, the types of `Config`'s attributes, from the option table.

python csrc/make_config.py            writes it
python csrc/make_config.py --check    exits with 1 where it is not what the option table says
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from hypercorn.config.options import OPTIONS, UNSET, Option

FILE = Path(__file__).resolve().parents[1] / "src" / "hypercorn" / "config" / "attributes.pyi"
WIDTH = 110
HEAD = '''\
"""The types of `Config`'s attributes and arguments.

Made from the option table by csrc/make_config.py: change src/hypercorn/config/options/ and run that.
"""

from collections.abc import Iterable, Mapping
from logging import Logger
from os import PathLike
from ssl import VerifyFlags, VerifyMode
from typing import Generic, Literal, TypeVar

from typing_extensions import TypedDict

from hypercorn.logs.logger import Logger as ServerLogger

_Type = TypeVar("_Type", covariant=True)
_Taken = TypeVar("_Taken", contravariant=True)

class Setting(Generic[_Type, _Taken]):
    """An attribute that is assigned a value of one type, and has it in another when it is read."""

    def __get__(self, instance: object, owner: object) -> _Type: ...
    def __set__(self, instance: object, value: _Taken) -> None: ...

'''


def wrapped(text: str) -> list[str]:
    """A paragraph of a docstring as lines."""
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def description(option: Option) -> list[str]:
    """The docstring of an option's attribute as lines."""
    first = option.help if ":" in option.help.split()[0] else option.help[0].upper() + option.help[1:]
    summary = wrapped(f'"""{first}.')
    expected = option.kind.expected[0].upper() + option.kind.expected[1:]
    default = "no default" if option.default is UNSET else f"{option.default!r} by default"
    return [*summary, "", *wrapped(f"{expected}; {default}."), '    """', ""]


def attribute(name: str, option: Option) -> str:
    """The line that declares an attribute, in the form that ruff gives it."""
    line = f"    {name}: Setting[{option.kind.type}, {option.kind.takes}]"
    if len(line) > 120:
        line = f"    {name}: Setting[\n        {option.kind.type}, {option.kind.takes}\n    ]"
    return line


def lines() -> Iterator[str]:
    """The classes of the file as lines."""
    yield "class Attributes:"
    yield '    """An attribute for each option of a server, and for each other name of one."""'
    yield ""
    for option in OPTIONS:
        if option.alias_of:
            continue
        yield attribute(option.name, option)
        yield from description(option)
        for alias in option.aliases:
            yield attribute(alias, option)
            yield f'    """Another name of `{option.name}`."""'
            yield ""
    yield "class Options(TypedDict, total=False):"
    yield '    """Options as keyword arguments."""'
    yield ""
    for option in OPTIONS:
        for name in (option.name, *option.aliases):
            yield f"    {name}: {option.kind.takes}"


def main() -> int:
    text = HEAD + "\n".join(lines()) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text)
    elif not FILE.exists() or FILE.read_text() != text:
        print(f"{FILE} is not what the option table says: run csrc/make_config.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
