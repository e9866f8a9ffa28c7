"""Writes src/hypercorn/protocol/limits.py and limits.pxd from the option table.

python csrc/make_limits.py            writes them
python csrc/make_limits.py --check    exits with 1 where they are not what the option table says
"""

from __future__ import annotations

import sys
from pathlib import Path

from hypercorn.config.options import OPTIONS

FOLDER = Path(__file__).resolve().parents[1] / "src" / "hypercorn" / "protocol"
MADE = "Made from the option table by csrc/make_limits.py: change src/hypercorn/config/options/ and run that."
CLASS = '''\
"""The limits that every protocol keeps to, as numbers.

{made}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = (
{slots}
)


class Limits:
    """The limits of one worker, by the names of their options: times in seconds, sizes in bytes. Frozen.

    "No limit" is a number too, so that one comparison tells: infinity for a time, 2**62 for a size or a count, and 0
    for a least rate. So 0 is zero everywhere.
    """

    __slots__ = NAMES

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Takes what `hypercorn.config.options.limits_of` gives. Raises KeyError where a limit is missing."""
{fields}

    def __setattr__(self, name: str, value: object) -> None:
        if name not in NAMES or hasattr(self, name):
            raise AttributeError(f"limits are frozen: {{name}} cannot be set")
        object.__setattr__(self, name, value)

    def changed(self, **values: float) -> Limits:
        """The same limits but for those that are given."""
        return Limits({{name: getattr(self, name) for name in NAMES}} | values)
'''


def texts() -> dict[Path, str]:
    """The text of each file."""
    limits = sorted((option for option in OPTIONS if option.limits), key=lambda option: option.name)
    slots = "\n".join(f'    "{option.name}",' for option in limits)
    kinds = [(option.name, "float" if option.is_time else "int") for option in limits]
    fields = "\n".join(f'        self.{name}: {kind} = values["{name}"]' for name, kind in kinds)
    types = {"float": "double", "int": "long long"}
    lines = ["# types of limits.py", f"# {MADE}", "", "cdef class Limits:"]
    lines += [f"    cdef readonly {types[kind]} {name}" for name, kind in kinds]
    python = CLASS.format(made=MADE, slots=slots, fields=fields)
    return {FOLDER / "limits.py": python, FOLDER / "limits.pxd": "\n".join(lines) + "\n"}


def main() -> int:
    stale = [path for path, text in texts().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is not what the option table says: run csrc/make_limits.py")
        return bool(stale)
    for path, text in texts().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
