"""The harness under the counts, and what becomes of a count."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from bench.harness import EXCHANGES, Exchange, Harness

from bench import callgrind, instructions


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_harness_plays_every_case(name: str) -> None:
    async def play() -> Harness:
        harness = Harness(asyncio.get_running_loop())
        for _ in range(3):
            await harness.check(EXCHANGES[name])
        await harness.play(EXCHANGES[name], 5)
        return harness

    harness = asyncio.run(play())
    assert harness.answered == 8 * EXCHANGES[name].requests
    assert harness.transport.writes >= 8


def test_the_harness_notices_a_wrong_response() -> None:
    async def play() -> None:
        await Harness(asyncio.get_running_loop()).check(Exchange(EXCHANGES["hello"].data, b"Goodbye"))

    with pytest.raises(AssertionError, match="the response was"):
        asyncio.run(play())


def test_the_watched_process_marks_every_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    marks: list[None] = []
    monkeypatch.setattr(os, callgrind.MARK, lambda: marks.append(None))
    monkeypatch.setattr(callgrind, "INPUTS", 2)
    monkeypatch.setattr(callgrind, "WARM", 2)
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr("gc.disable", lambda: None)  # it would stay so for the tests that follow
    asyncio.run(callgrind.play(["hello", "stream"]))
    assert len(marks) == 1 + 3 * 2


def test_reads_what_callgrind_wrote(tmp_path: Path) -> None:
    for number, total in enumerate((900, 50, 30000, 58000), 1):
        (tmp_path / f"out.{number}").write_text(f"# callgrind format\nevents: Ir\n0 1\ntotals: {total}\n")
    counts = callgrind.read_counts(tmp_path)
    assert counts == [900, 50, 30000, 58000]
    assert callgrind.per_input(counts[1:]) == 28000 / callgrind.INPUTS
    (tmp_path / "out.5").write_text("cut short")
    with pytest.raises(callgrind.CountError, match="part 5"):
        callgrind.read_counts(tmp_path)


def test_says_that_valgrind_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert instructions.main(["hello", "--build", "pure"]) == 2
    assert "valgrind is not installed" in capsys.readouterr().err


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the next count finds, of inputs."""
    found = {"hello": 1000.0, "pipeline": 16000.0}
    monkeypatch.setattr(instructions, "count", lambda cases, *, pure: {case: found[case] for case in cases})
    return found


def test_a_check_fails_above_the_limit(
    counted: dict[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["hello", "pipeline", "--build", "pure", "--baseline", str(tmp_path / "base.json")]
    assert instructions.main([*options, "--check"]) == 2, "there is no baseline yet"
    assert instructions.main([*options, "--update"]) == 0
    kept = json.loads((tmp_path / "base.json").read_text())
    assert kept == {instructions.python_name(): {"pure": {"hello": 1000, "pipeline": 1000}}}
    assert instructions.main([*options, "--check"]) == 0
    counted["hello"] = 1029.0
    assert instructions.main([*options, "--check"]) == 0
    counted["pipeline"] = 16.0 * 1031
    capsys.readouterr()
    assert instructions.main([*options, "--check"]) == 1
    assert capsys.readouterr().out.count("<- too many") == 1
    counted["pipeline"] = 8000.0
    assert instructions.main([*options, "--check"]) == 0


def test_an_update_keeps_other_baselines(counted: dict[str, float], tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"cpython-3.1": {"pure": {"hello": 7}}}))
    assert instructions.main(["hello", "--build", "pure", "--update", "--baseline", str(path)]) == 0
    assert json.loads(path.read_text())["cpython-3.1"] == {"pure": {"hello": 7}}


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        instructions.main(["nope"])
    assert "no such case: nope" in capsys.readouterr().err
