"""Instructions of a request, counted: a measure of speed that a busy machine does not disturb.

    python -m bench.instructions [case ...]             counts, and compares with the baseline
    python -m bench.instructions --check                fails when a case is more than 3 % above its baseline
    python -m bench.instructions --update               makes what was counted the baseline

A baseline belongs to a Python version and a build. Compiler flags and the C library count too, so what
another machine counts may differ by more than the limit: there, make a baseline of the parent commit
(`--baseline FILE --update`) and check against that.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.callgrind import CountError, count
from bench.harness import EXCHANGES
from hypercorn._build import has_extensions

BASELINE = Path(__file__).with_name("instructions.json")
LIMIT = 3.0  # per cent above the baseline


class Line(NamedTuple):
    """One case of one build."""

    build: str
    case: str
    instructions: int  # of one request
    baseline: int | None

    @property
    def change(self) -> float | None:
        """Per cent above the baseline, or None without one."""
        return None if not self.baseline else (self.instructions / self.baseline - 1) * 100

    @property
    def worse(self) -> bool:
        return self.change is not None and self.change > LIMIT


def python_name() -> str:
    """Under what a baseline is kept: `cpython-3.13`."""
    return f"{sys.implementation.name}-{platform.python_version().rpartition('.')[0]}"


def load(path: Path) -> dict[str, Any]:
    """All baselines: Python, build, case. None yet is none."""
    loaded: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return loaded


def compare(build: str, counted: Mapping[str, float], baselines: Mapping[str, Any]) -> list[Line]:
    """What was counted, beside what it should be."""
    known = baselines.get(python_name(), {}).get(build, {})
    return [
        Line(build, case, round(value / EXCHANGES[case].requests), known.get(case)) for case, value in counted.items()
    ]


def table(lines: list[Line]) -> str:
    """As text."""
    rows = [f"{'build':10}{'case':12}{'instructions':>13}{'baseline':>11}{'change':>9}"]
    for line in lines:
        known = "-" if line.baseline is None else f"{line.baseline:,}"
        change = "new" if line.change is None else f"{line.change:+.1f} %"
        mark = "  <- too many" if line.worse else ""
        rows.append(f"{line.build:10}{line.case:12}{line.instructions:13,}{known:>11}{change:>9}{mark}")
    return "\n".join(rows)


def update(path: Path, lines: list[Line]) -> None:
    """Writes what was counted into the baselines; other cases, builds and Pythons stay."""
    baselines = load(path)
    for line in lines:
        baselines.setdefault(python_name(), {}).setdefault(line.build, {})[line.case] = line.instructions
    path.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser("python -m bench.instructions", description=about)
    add = parser.add_argument
    add("case", nargs="*", help=f"of {', '.join(EXCHANGES)} (default: all)")
    add("--build", choices=("compiled", "pure"), action="append", help="default: those that exist")
    add("--check", action="store_true", help=f"exit with 1 when a case is more than {LIMIT:g} %% above")
    add("--update", action="store_true", help="write the baseline")
    add("--baseline", type=Path, default=BASELINE, metavar="FILE", help="instead of bench/instructions.json")
    options = parser.parse_args(arguments)
    unknown = [case for case in options.case if case not in EXCHANGES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)} (there are {', '.join(EXCHANGES)})")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, 1 when something got slower, 2 when nothing could be counted or compared."""
    options = parse(arguments)
    builds = options.build or (["compiled", "pure"] if has_extensions() else ["pure"])
    cases = options.case or list(EXCHANGES)
    baselines = load(options.baseline)
    lines: list[Line] = []
    try:
        for build in builds:
            lines += compare(build, count(cases, pure=build == "pure"), baselines)
    except CountError as error:
        print(f"bench.instructions: {error}", file=sys.stderr)
        return 2
    print(f"{python_name()} ({platform.python_version()})")
    print(table(lines))
    if options.update:
        update(options.baseline, lines)
        print(f"{options.baseline.name} has them now")
    elif options.check:
        missing = [f"{line.build} {line.case}" for line in lines if line.baseline is None]
        if missing:
            names = ", ".join(missing)
            print(f"no baseline on {python_name()}: {names} (--update makes it)", file=sys.stderr)
            return 2
        return 1 if any(line.worse for line in lines) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
