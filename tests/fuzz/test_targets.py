"""The targets on small mutations of their seeds; under coverage guidance by hand, where atheris is installed."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz import corpora, targets
from tests.fuzz.http1_many import mutated
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = max(3, int(os.environ.get("HYPERCORN_FUZZ_SECONDS", "300")) // 60)  # for each
COUNT = 400


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_their_mutations(name: str) -> None:
    target = TARGETS[name]
    chance = random.Random(name)
    for seed in (*target.seeds[:COUNT], *corpora.load(name)):
        target.call(seed)
    target.call(b"")
    for _ in range(COUNT):
        target.call(mutated(chance.random, target.seeds))


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of the twins of a codec sees a codec that errs."""
    monkeypatch.setattr(targets, "pieces", lambda octets: [octets.replace(b"hello", b"hallo")])
    with pytest.raises(AssertionError):
        targets.websocket(b"\x81\x85\x00\x00\x00\x00hello")


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_guided_by_coverage(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            "--seconds",
            str(SECONDS),
            "--",
            f"-artifact_prefix={tmp_path}/",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    print(run.stderr[-2000:])
    assert run.returncode == 0, run.stderr[-4000:]
    assert "stat::number_of_executed_units" in run.stderr
