"""The Autobahn test suite (fuzzing client) against servers of this project.

It runs on Python 2.7 only: `python2.7 -m pip install --target DIR autobahntestsuite==0.8.2 wsaccel==0.6.6`, then set
HYPERCORN_AUTOBAHN=DIR (wsaccel masks in C: not needed, but several times faster).

The table of docs/autobahn.md, from the verdicts that `test_autobahn.py -m slow` left in HYPERCORN_AUTOBAHN_RESULTS:

    python -m tests.compliance.autobahn RESULTS > docs/autobahn.md
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

START = (
    "import site, sys; site.addsitedir(sys.argv.pop(1)); sys.argv[0] = 'wstest';"
    " from autobahntestsuite.wstest import run; run()"
)
GOOD = {"OK", "INFORMATIONAL"}
SAMPLE = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
SAMPLE += ["12.1.1", "12.1.4", "12.2.4", "12.3.3", "12.4.4", "12.5.3"]
SAMPLE += ["13.1.3", "13.2.4", "13.3.5", "13.4.2", "13.5.3", "13.6.2", "13.7.4"]


def python2() -> str:
    """A Python 2.7 that finds the suite. Skips the test where there is none, and says so."""
    folder = os.environ.get("HYPERCORN_AUTOBAHN", "")
    if not folder:
        pytest.skip("HYPERCORN_AUTOBAHN does not name a folder with autobahntestsuite")
    versions = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    candidates = [*map(str, sorted(versions.glob("2.7.*/bin/python2.7"))), shutil.which("python2.7") or ""]
    # Asked for its version, as a shim may be there without a Python behind it.
    found = next(
        (each for each in candidates if each and subprocess.run([each, "-V"], capture_output=True).returncode == 0), ""
    )
    if not found:
        pytest.skip("no Python 2.7 was found, and the suite runs on nothing else")
    return found


def play(
    folder: Path, servers: dict[str, int], cases: list[str], *, without: Any = (), patience: int = 1800
) -> dict[str, Any]:
    """Plays cases against servers (name: port). Gives the results by server and case."""
    python = python2()
    spec = {
        "outdir": str(folder / "report"),
        "servers": [{"agent": name, "url": f"ws://127.0.0.1:{port}"} for name, port in servers.items()],
        "cases": cases,
        "exclude-cases": list(without),
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    run = subprocess.run(
        [python, "-c", START, os.environ["HYPERCORN_AUTOBAHN"], "-m", "fuzzingclient", "-s", str(folder / "spec.json")],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=patience,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    )
    report = folder / "report" / "index.json"
    assert report.exists(), run.stdout[-1000:] + run.stderr[-3000:]
    results: dict[str, Any] = json.loads(report.read_text())
    return results


def failures(results: dict[str, Any]) -> list[str]:
    """The cases whose verdict is not OK, nor informational."""
    return [
        f"{server} {case}: {entry['behavior']}, {entry['behaviorClose']}"
        for server, cases in results.items()
        for case, entry in cases.items()
        if entry["behavior"] not in GOOD or entry["behaviorClose"] not in GOOD
    ]


CHAPTERS = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing",
    "9": "Limits and speed",
    "10": "Fragments of the sender",
    "12": "Compression, one setting after the other",
    "13": "Compression, parameters that are agreed on",
}


def chapter(case: str) -> str:
    """The number of the chapter that a case is in."""
    return case.partition(".")[0]


def verdicts(cases: dict[str, Any]) -> str:
    """How many cases got which verdict: of how the case was played, and of how it was closed."""
    counts = Counter(entry["behavior"] for entry in cases.values())
    bad = Counter(entry["behaviorClose"] for entry in cases.values() if entry["behaviorClose"] not in GOOD)
    words = [
        f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: (item[0] != "OK", item))
    ]
    return ", ".join(words + [f"closing: {count} {verdict}" for verdict, count in sorted(bad.items())])


def table(results: dict[str, dict[str, Any]], date: str) -> str:
    """The page of the documentation."""
    version = importlib.metadata.version
    lines = [
        "# Autobahn",
        "",
        "The last run of the Autobahn test suite (fuzzing client) against a server that echoes. NON-STRICT and FAILED",
        "would stand here by name; INFORMATIONAL are cases for which the suite knows no wrong answer. Where there are",
        "fewer than 500 cases, it is a sample of chapters 12 and 13, which take nearly all the time, and all others.",
        "",
        f"{date}; autobahntestsuite 0.8.2, Python {platform.python_version()}, uvloop {version('uvloop')},"
        f" trio {version('trio')}.",
        "Made by `tests/compliance/autobahn.py`, which says how to repeat it.",
        "",
        "| Build | Loop | Bytes moved by | Cases | Verdicts |",
        "|---|---|---|---|---|",
    ]
    for name, cases in results.items():
        build, loop, driver = name.split("-")
        mover = "the reactor" if driver == "reactor" else "the loop's transports"
        lines.append(f"| {build} | {loop} | {mover} | {len(cases)} | {verdicts(cases)} |")
    lines += ["", "By chapter, all of these servers together:", "", "| Chapter | Verdicts |", "|---|---|"]
    merged = {f"{case} {name}": entry for name, cases in results.items() for case, entry in cases.items()}
    for number, title in CHAPTERS.items():
        of_it = {key: entry for key, entry in merged.items() if chapter(key) == number}
        lines.append(f"| {number}. {title} | {verdicts(of_it)} |")
    informational = sorted({key.split()[0] for key, entry in merged.items() if entry["behavior"] == "INFORMATIONAL"})
    lines += ["", f"INFORMATIONAL: {', '.join(informational) or 'none'}.", ""]
    lines += [f"- {line}" for line in failures(results)]
    return "\n".join(lines)


def main() -> None:
    """Writes the table."""
    files = sorted(Path(sys.argv[1]).glob("*.json"))
    times = sorted(file.stat().st_mtime for file in files)
    first, last = (time.strftime("%d %B %Y", time.gmtime(when)).lstrip("0") for when in (times[0], times[-1]))
    date = last if first == last else f"{first} to {last}"
    print(table({file.stem: json.loads(file.read_text()) for file in files}, date), end="")


if __name__ == "__main__":
    main()
