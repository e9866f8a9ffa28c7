"""Writes docs/frameworks.md from a run of the grid of frameworks (tests/frameworks).

python docs/make_frameworks.py            runs the grid and writes the page; exits with 1 where something failed
python docs/make_frameworks.py --check    only looks whether the page has every framework, loop and exchange
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PAGE = ROOT / "docs" / "frameworks.md"
INTRODUCTION = """\
# Frameworks

<!-- Made by docs/make_frameworks.py from a run of tests/frameworks. -->

Every framework below runs on every event loop that it knows, and each of these exchanges is a test: a GET, a POST of
JSON, an upload of 10 MiB in chunks, a streamed response, server-sent events whose client leaves, a WebSocket chat,
a file, a background task, an exception in a view, startup and shutdown.
"""
ENDING = """\
`-` says that the framework has no such thing: Django has no lifespan, and is served without one. A framework that has
no line for a loop does not run there. Flask, Django and Bottle run over [WSGI](guide/wsgi.md) as well, on each loop.
Quart's own 253 tests, those of its release 0.20.0, pass with this package as the `hypercorn` that they import.
"""


class Results:
    """A pytest plugin that keeps what came out."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: object) -> None:
        """One phase of one test."""
        name = report.nodeid.rpartition("[")[2].rstrip("]")  # type: ignore[attr-defined]
        if report.failed:  # type: ignore[attr-defined]
            self.outcomes[name] = "**fails**"
        else:
            self.outcomes.setdefault(name, "yes")


def run() -> dict[str, str]:
    """The outcome of each cell, by its name in the grid."""
    import pytest

    results = Results()
    pytest.main([f"{ROOT}/tests/frameworks/test_grid.py::test_grid", "-q", "-p", "no:cacheprovider"], plugins=[results])
    return results.outcomes


def cells() -> list[tuple[str, str, str]]:
    """Framework, loop and exchange of each test."""
    from tests.frameworks.grid import CELLS, EXCHANGES

    return [(name, loop, exchange) for name, loop in CELLS for exchange in EXCHANGES]


def page(outcomes: dict[str, str]) -> str:
    """The page."""
    from tests.frameworks.grid import CELLS, EXCHANGES, FRAMEWORKS, version

    import hypercorn

    lines = [f"| | loop | {' | '.join(EXCHANGES)} |", "|---" * (len(EXCHANGES) + 2) + "|"]
    for name, loop in CELLS:
        framework = FRAMEWORKS[name]
        row = [f"{framework.title} {version(framework)}".strip(), loop]
        for exchange in EXCHANGES:
            outcome = outcomes.get(f"{name}-{loop}-{exchange}", "not run")
            row.append("-" if exchange == "lifespan" and not framework.lifespan and outcome == "yes" else outcome)
        lines.append(f"| {' | '.join(row)} |")
    about = (
        f"Run with hypercorn {hypercorn.__version__} ({hypercorn.build()} build) on Python {platform.python_version()}."
    )
    return "\n".join([INTRODUCTION, about, "", *lines, "", ENDING])


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        text = PAGE.read_text()
        from tests.frameworks.grid import EXCHANGES, FRAMEWORKS

        missing = [name for name in EXCHANGES if name not in text]
        for name, loop, _ in cells():
            title = FRAMEWORKS[name].title
            if not any(line.startswith(f"| {title}") and f"| {loop} |" in line for line in text.splitlines()):
                missing.append(f"{title} on {loop}")
        print(*dict.fromkeys(missing), sep="\n", end="\n" if missing else "")
        return 1 if missing or "**fails**" in text or "| not run |" in text else 0
    outcomes = run()
    PAGE.write_text(page(outcomes))
    return 1 if any(outcome != "yes" for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
