"""What was measured: samples of single runs, their medians, the table, and the file that keeps them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Any

from bench.cases import CASES


@dataclass
class Sample:
    """One run of the load on one server."""

    cpu: float  # microseconds of CPU time a request, children included
    rate: float  # requests a second
    p50: float  # latency in microseconds
    p99: float
    memory: float  # PSS in MiB, after the load
    errors: str = ""


@dataclass
class Row:
    """A server in one case: its samples, or why there are none."""

    name: str
    label: str
    kind: str
    samples: list[Sample] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """The median of a figure over all rounds; only where there are samples."""
        return float(median(getattr(sample, figure) for sample in self.samples))

    @property
    def spread(self) -> float:
        """How far the rounds lie apart: half of (highest - lowest), in per cent of the median CPU time."""
        costs = [sample.cpu for sample in self.samples]
        middle = median(costs)
        return (max(costs) - min(costs)) / 2 / middle * 100 if middle else 0.0

    @property
    def notes(self) -> str:
        """All that was odd."""
        said = [sample.errors for sample in self.samples if sample.errors] + self.failures
        return "; ".join(dict.fromkeys(said))


@dataclass
class Comparison:
    """A whole run: for each case, its servers."""

    about: dict[str, str]
    cases: dict[str, list[Row]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """What `save` wrote."""
        kept: dict[str, Any] = json.loads(path.read_text())
        cases = {
            case: [Row(**{**row, "samples": [Sample(**sample) for sample in row["samples"]]}) for row in rows]
            for case, rows in kept["cases"].items()
        }
        return cls(kept["about"], cases)

    def select(self, cases: Iterable[str], patterns: Sequence[str]) -> Comparison:
        """Only these cases, and the servers that match a shell pattern (all without one)."""
        wanted = set(cases)
        picked = {
            case: [row for row in rows if not patterns or any(fnmatchcase(row.name, p) for p in patterns)]
            for case, rows in self.cases.items()
            if case in wanted
        }
        return Comparison(self.about, picked)


def latency(microseconds: float) -> str:
    """wrk gives 0 where it does not know, as of pipelined requests."""
    return f"{microseconds:.0f}" if microseconds else "-"


def table(case: str, rows: Sequence[Row]) -> str:
    """A case as text, the least CPU time first."""
    width = max([len(row.label) for row in rows] + [6])
    served = sorted((row for row in rows if row.samples), key=lambda row: row.median("cpu"))
    title = CASES[case].title if case in CASES else case
    lines = [
        f"## {case}: {title}",
        f"{'server':{width}} {'CPU us':>8} {'+-':>5} {'req/s':>9} {'p50 us':>9} {'p99 us':>9} {'PSS MiB':>8}  notes",
    ]
    for row in served:
        figures = (
            f"{row.median('cpu'):8.1f} {row.spread:4.0f}% {row.median('rate'):9.0f} "
            f"{latency(row.median('p50')):>9} {latency(row.median('p99')):>9} {row.median('memory'):8.1f}"
        )
        lines.append(f"{row.label:{width}} {figures}  {row.notes}".rstrip())
    lines += [f"{row.label:{width}} {'-':>8}  {row.notes or 'not measured'}" for row in rows if not row.samples]
    return "\n".join(lines)


def processor() -> str:
    """The name of the processor, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def circumstances(rounds: int, seconds: int) -> dict[str, str]:
    """What a reader must know of the run: the machine, the Python, how long."""
    with_version = subprocess.run(["wrk", "-v"], capture_output=True, text=True)
    first = (with_version.stdout + with_version.stderr).partition("Copyright")[0].strip()
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": first,
        "method": f"median of {rounds} interleaved rounds of {seconds} s",
    }
