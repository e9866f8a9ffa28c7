"""The pages that repeat what the option table says are up to date, and name nothing that does not exist."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import PAGES, ROOT
from tests.process.command import environment

from hypercorn.cli.parser import make_parser
from hypercorn.config.options import BY_NAME, OPTIONS
from hypercorn.metrics.board import Board
from hypercorn.metrics.openmetrics import render

MIGRATIONS = sorted((ROOT / "docs" / "migration").glob("*.md"))
OUTSIDE = ["README.md", "SECURITY.md", "CHANGELOG.md", ".github/CONTRIBUTING.md", "bench/README.md"]
ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)
SERIES = re.compile(r"^(hypercorn_\w+?)(?:_bucket|_sum|_count)?(?:\{.*\})? ", re.MULTILINE)
FLAG = re.compile(r"`(--[\w-]+)[^`]*`")
ANCHOR = re.compile(r"options\.md#(\w+)\)")
FLAGS = {flag for action in make_parser().actions for flag in action.option_strings}


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_option_reference_is_what_the_table_says() -> None:
    maker = load(ROOT / "docs" / "make_reference.py")
    assert maker.PAGE.read_text() == maker.page(), "run: python docs/make_reference.py"


def test_the_flags_of_other_servers_are_those_of_the_table() -> None:
    maker = load(ROOT / "docs" / "make_reference.py")
    for path, text in maker.pages():
        assert path.read_text() == text, "run: python docs/make_reference.py"
    text = (ROOT / "docs" / "migration" / "daphne.md").read_text()
    assert maker.migration_page("Daphne", text.replace("| `--fd` | `--fd` |", "| `--fd` | - |")) == text


def test_the_threat_model_has_every_limit_with_its_default() -> None:
    maker = load(ROOT / "docs" / "make_reference.py")
    text = maker.SECURITY.read_text()
    assert text == maker.security_page(text), "run: python docs/make_reference.py"
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert rows["header_timeout"] == "10 s"
    limits = {option.name for option in OPTIONS if maker.is_limit(option)}
    assert set(rows) == limits
    assert text.replace("| 10 s |", "| 11 s |") != maker.security_page(text.replace("| 10 s |", "| 11 s |"))


@pytest.mark.parametrize("page", MIGRATIONS, ids=lambda page: page.stem)
def test_the_second_column_has_flags_of_this_server(page: Path) -> None:
    for row in ROW.findall(page.read_text()):
        cells = row.split("|")
        for flag in FLAG.findall(cells[1] if page.stem not in ("hypercorn", "first-commands") else ""):
            assert flag in FLAGS, f"{flag} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_options_name_options(page: Path) -> None:
    for name in ANCHOR.findall(page.read_text()):
        assert name in BY_NAME, f"{name} is no option"


@pytest.mark.parametrize("name", OUTSIDE)
def test_links_of_the_pages_outside_name_files(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{name} links {target}"


def test_metrics_are_documented_by_their_names() -> None:
    text = (ROOT / "docs" / "guide" / "metrics.md").read_text()
    table = text[text.index("| Metric (`hypercorn_...`)") : text.index("[A dashboard for Grafana]")]
    documented = {
        f"hypercorn_{name}" for row in ROW.findall(table) for name in re.findall(r"`(\w+)`", row.split("|")[0])
    }
    board = Board.create(1)
    try:
        board.slot(0).claim()
        names = SERIES.findall(render(board).decode())
    finally:
        board.close()
    if sys.platform != "linux":  # where alone the system tells of processes
        documented = {name for name in documented if not re.match("hypercorn_worker_(res|cpu|open)", name)}
    assert documented == set(names)


def test_the_fixed_bounds_are_those_of_the_code() -> None:
    """By their values in the sources: the compiled twin has no such names."""
    text = " ".join((ROOT / "SECURITY.md").read_text().partition("Fixed bounds:")[2].partition("### ")[0].split())
    for path, name, words in (
        ("wire/http1", "_MAX_EMPTY_BYTES", "{} bytes of empty lines"),
        ("wire/http1_primitives", "_MAX_METHOD_BYTES", "a method of {} bytes"),
        ("wire/http1", "_MAX_TRAILERS", "{} trailer fields"),
        ("wire/http2_events", "MAX_CONTINUATIONS", "{} CONTINUATION frames"),
        ("protocol/mux/budgets", "CONTROL_FRAMES", "{} frames waiting"),
    ):
        source = (ROOT / "src" / "hypercorn" / f"{path}.py").read_text()
        found = re.search(rf"^{name} = (\d+)", source, re.MULTILINE)
        assert found is not None, name
        assert words.format(found[1]) in text, name


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="signatures of built-in classes are CPython's")
def test_the_api_page_is_what_the_docstrings_say() -> None:
    script = ROOT / "docs" / "make_api.py"
    variables = environment(HYPERCORN_PURE_PYTHON="1")  # compiled classes have no signatures
    checked = subprocess.run([sys.executable, script, "--check"], env=variables, check=False)
    assert checked.returncode == 0, "run HYPERCORN_PURE_PYTHON=1 python docs/make_api.py"


def test_every_page_is_in_the_navigation() -> None:
    """By its text, since the file has tags of the generator's own."""
    text = (ROOT / "mkdocs.yml").read_text()
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages == set(re.findall(r": ([\w/-]+\.md)$", text, re.MULTILINE))


PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def test_every_picture_is_there() -> None:
    """Zensical's strict mode checks links and anchors, not pictures."""
    found = [(page, name) for page in PAGES for name in PICTURE.findall(page.read_text())]
    assert len(found) >= 3
    for page, name in found:
        assert (page.parent / name).is_file(), f"{page}: {name}"


def test_pictures_can_be_read_on_a_phone_and_in_the_dark() -> None:
    """The chart of the first page: no wider than a phone, with letters of 11 pixels or more, and dark colours."""
    text = (ROOT / "docs" / "chart.svg").read_text()
    width = re.search(r'width="(\d+)"', text)
    assert width is not None
    assert int(width[1]) <= 400
    assert min(map(int, re.findall(r'font-size="(\d+)"', text))) >= 11
    assert "@media (prefers-color-scheme: dark)" in text


def test_the_site_follows_the_systems_colours() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    assert [*re.findall(r'media: "\((.*)\)"', text)] == [
        "prefers-color-scheme",
        "prefers-color-scheme: light",
        "prefers-color-scheme: dark",
    ]
