"""What the comparison makes of its figures: medians, the table, the file, the picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.results import Comparison, Row, Sample, table

from bench import chart, servers

SVG = "{http://www.w3.org/2000/svg}"


def sample(cpu: float, errors: str = "") -> Sample:
    return Sample(cpu=cpu, rate=1e6 / cpu, p50=2 * cpu, p99=9 * cpu, memory=20.5, errors=errors)


@pytest.fixture
def comparison() -> Comparison:
    rows = [
        Row("other", "<other> & co", "peer", [sample(20), sample(22), sample(30)]),
        Row("ours-uvloop", "hypercorn (uvloop)", "ours", [sample(10), sample(12, "2 read errors"), sample(11)]),
        Row("slow", "slow", "peer", [sample(5000)]),
        Row("broken", "broken", "peer", [], ["does not answer", "does not answer"]),
    ]
    return Comparison({"method": "median of 3", "machine": "a machine"}, {"hello": rows, "tls": rows[:2]})


def test_median_and_spread(comparison: Comparison) -> None:
    row = comparison.cases["hello"][0]
    assert row.median("cpu") == 22
    assert row.spread == pytest.approx(5 / 22 * 100)


def test_table_has_the_least_cpu_time_first_and_failures_last(comparison: Comparison) -> None:
    lines = table("hello", comparison.cases["hello"]).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["hypercorn", "<other>", "slow", "broken"]
    assert lines[2].split()[2:] == ["11.0", "9%", "90909", "22", "99", "20.5", "2", "read", "errors"]
    assert lines[-1].endswith("-  does not answer")


def test_a_saved_comparison_comes_back(comparison: Comparison, tmp_path: Path) -> None:
    comparison.save(tmp_path / "run.json")
    assert Comparison.load(tmp_path / "run.json") == comparison


def test_select_keeps_what_matches(comparison: Comparison) -> None:
    picked = comparison.select(["hello", "10k"], ["ours-*", "slow"])
    assert {case: [row.name for row in rows] for case, rows in picked.cases.items()} == {
        "hello": ["ours-uvloop", "slow"]
    }


def test_picture_is_well_formed_and_says_everything(comparison: Comparison) -> None:
    root = ElementTree.fromstring(chart.draw(comparison))
    said = [element.text for element in root.iter(f"{SVG}text")]
    for text in ("hello", "hello over TLS", "<other> & co", "11.0", "22.0", "5,000", "broken", "does not answer"):
        assert text in said
    assert len(list(root.iter(f"{SVG}polygon"))) == 1, "one bar is too long"
    width = float(root.get("width", "0"))
    for bar in root.iter(f"{SVG}rect"):
        assert bar.get("width") == "100%" or float(bar.get("x", "0")) + float(bar.get("width", "0")) < width


def test_bars_are_as_long_as_their_figures(comparison: Comparison) -> None:
    root = ElementTree.fromstring(chart.draw(comparison.select(["tls"], [])))
    bars = [float(bar.get("width", "0")) for bar in root.iter(f"{SVG}rect") if bar.get("height") == str(chart.BAR)]
    ours, other = bars[-2:]
    assert ours / other == pytest.approx(0.5, abs=0.01)


def test_picture_without_any_figure() -> None:
    rows = [Row("broken", "broken", "peer", [], ["could not be run"])]
    ElementTree.fromstring(chart.draw(Comparison({}, {"hello": rows})))
    ElementTree.fromstring(chart.draw(Comparison({}, {})))


def test_png_by_the_first_converter_that_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    svg = tmp_path / "run.svg"
    svg.write_text("<svg/>")
    for name, body in (
        ("rsvg-convert", "exit 1"),
        ("magick", "exit 0"),
        ("convert", "printf '\\211PNG' > \"$4\""),
    ):
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
    assert chart.draw_png(svg) == tmp_path / "run.png"
    (tmp_path / "convert").unlink()
    (tmp_path / "run.png").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chart.draw_png(svg) is None


def test_draws_an_earlier_run_again(
    comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison.save(tmp_path / "run.json")
    monkeypatch.setenv("PATH", "")
    files = ["--from", str(tmp_path / "run.json"), "--svg", str(tmp_path / "run.svg")]
    assert servers.main([*files, "--case", "tls"]) == 0
    assert "## tls" in capsys.readouterr().out
    assert "hello over TLS" in (tmp_path / "run.svg").read_text()
    assert not (tmp_path / "run.png").exists()
