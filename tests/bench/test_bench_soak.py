"""The soak: that it sees growth, draws it, and a short run of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("h2")
pytest.importorskip("websockets")

from bench.curves import draw

from bench import soak

ROOT = Path(__file__).resolve().parents[2]
AT_FIRST = soak.Sample(1.0, "steady", "worker", 7, 30.0, 20, 3, 3, 40_000, 1)


def run_of(*samples: soak.Sample) -> Any:
    return SimpleNamespace(samples=list(samples), settling=1, rests=3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"memory": 33.0}, []),
        ({"memory": 34.0}, ["steady, worker 7: memory 30.0 to 34.0 MiB"]),
        ({"descriptors": 21}, ["steady, worker 7: descriptors 20 to 21"]),
        ({"threads": 4}, ["steady, worker 7: threads 3 to 4"]),
        ({"tasks": 4, "objects": 40_400}, ["steady, worker 7: tasks 3 to 4"]),
        ({"objects": 41_000}, ["steady, worker 7: objects 40000 to 41000"]),
        ({"descriptors": 10, "threads": 2, "objects": 30_000}, []),
    ],
)
def test_growth_is_a_finding(change: dict[str, Any], said: list[str]) -> None:
    last = AT_FIRST._replace(rest=3, minute=9.0, **change)
    (growth,) = soak.growths(run_of(AT_FIRST, last))
    assert growth.findings() == said


def test_only_processes_that_stayed_are_compared() -> None:
    other = AT_FIRST._replace(pid=8, rest=3, memory=500.0)
    assert soak.growths(run_of(AT_FIRST, other, AT_FIRST._replace(rest=2))) == []


def test_curves_break_where_a_worker_was_replaced() -> None:
    restless = AT_FIRST._replace(server="restless")
    samples = [restless._replace(minute=float(at), pid=8 + at // 3) for at in range(6)]
    samples += [AT_FIRST, AT_FIRST._replace(minute=5.0)]
    memory = soak.panels(samples)[0]
    assert {line.name: len(line.pieces) for line in memory.lines} == {"restless: worker": 2, "steady: worker 1": 1}
    picture = ElementTree.fromstring(draw("Under load", ["a note"], soak.panels(samples), 5.0))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 12


@pytest.mark.slow
def test_a_short_soak(tmp_path: Path) -> None:
    """Half a minute of everything; what it writes can be read."""
    options = ["--minutes", "0.5", "--json", str(tmp_path / "a.json"), "--svg", str(tmp_path / "a.svg")]
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", *options], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "a.json").read_text())["findings"] == []
    ElementTree.parse(tmp_path / "a.svg")
