"""One word, one meaning: names of the project's own invention do not come back, and constants carry their unit.

The words and what stands for them are in .github/CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "hypercorn"
# Words that no name of a folder has, alone or as a part ("free_place").
FLOORS = """
    askers asker bark brisk buried buries bury burying cork corked crew dismissed glance goodbye graves hear heard hears
    hurried hurry pace park parked parking place places stir stirred strange strangers stray tells unhurried zombie
    zombies
"""
PARTS = {
    "asgi": FLOORS,
    "asyncio": FLOORS,
    "metrics": FLOORS,
    "middleware": FLOORS,
    "net": FLOORS,
    "protocol": FLOORS,
    "runtime": FLOORS,
    "supervisor": """
        askers asker bell bells buried buries bury child children crew goodbye hear heard hears hurried look looks
        parking place places say says tells twin twins watched watches words zombie zombies
    """,
    "trio": FLOORS,
}
# Words that no name is by itself; with another they mean something ("worker_slot", "WorkerMessage").
OWN = "busy gives_way leave life line_up must_give_way say_goodbye told"
WHOLE = dict.fromkeys(PARTS, OWN) | {
    "protocol": f"{OWN} port slot wrote",
    "supervisor": "event gives_way life line_up message_type pace port slot slots tell watch",
}
# Words that comments and docstrings do not use.
COINED = "barked buries bury cork corked crew goodbye heard parked strangers unhurried zombie zombies"
PROSE = dict.fromkeys(PARTS, COINED) | {"supervisor": "buries bury crew goodbye heard zombie zombies"}
# The one meaning of "stream" is RFC 9113's and RFC 9114's: nothing else is called so above the protocol floor.
STREAMS = ("asgi", "asyncio", "runtime", "trio")
CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
CONSTANT = re.compile(r"^(_?[A-Z][A-Z0-9_]*) = ([\d_.e]+(?: \* [\d_.e]+)*)(?:  # (.*))?$", re.MULTILINE)
UNITS = {"seconds": "_SECONDS", "bytes": "_BYTES", "octets": "_BYTES"}


def files(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).rglob("*.py"))


def names_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The names that a module gives: to classes, functions, parameters, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def banned_names(text: str, parts: set[str], whole: set[str]) -> list[tuple[int, str]]:
    """The names, with their lines, that have a banned word in them."""
    found = []
    for line, name in names_of(ast.parse(text)):
        words = CAPITAL.sub("_", name).lower().strip("_").split("_")
        if parts & set(words) or "_".join(words) in whole:
            found.append((line, name))
    return found


def prose_of(text: str) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a module, by line."""
    for number, line in enumerate(text.splitlines(), 1):
        _, mark, comment = line.partition("# ")
        if mark:
            yield number, comment
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def without_unit(text: str) -> list[str]:
    """The constants that are a time or a size and do not say in what."""
    found = []
    for name, value, comment in CONSTANT.findall(text):
        wanted = {suffix for word, suffix in UNITS.items() if re.search(rf"\b{word}\b", comment)}
        if re.search(r"[.e]", value) and not f"_{name}".endswith((*UNITS.values(), "_RATIO")):
            wanted.add("_SECONDS")
        if wanted and not name.endswith(tuple(wanted)):
            found.append(name)
    return found


def called_stream(text: str) -> list[tuple[int, str]]:
    """The names that are "stream", alone or at their end ("HTTPStream")."""
    return [(line, name) for line, name in names_of(ast.parse(text)) if re.search(r"(^|_)streams?$|Streams?$", name)]


CHECKED = [pytest.param(key, path, id=path.relative_to(PACKAGE).as_posix()) for key in PARTS for path in files(key)]


@pytest.mark.parametrize(("folder", "path"), CHECKED)
def test_names_are_the_glossarys(folder: str, path: Path) -> None:
    assert banned_names(path.read_text(), set(PARTS[folder].split()), set(WHOLE[folder].split())) == []


@pytest.mark.parametrize(("folder", "path"), CHECKED)
def test_prose_is_the_glossarys(folder: str, path: Path) -> None:
    banned = re.compile(rf"\b({'|'.join(PROSE[folder].split())})\b", re.IGNORECASE)
    assert [(line, text) for line, text in prose_of(path.read_text()) if banned.search(text)] == []


@pytest.mark.parametrize("path", [pytest.param(path, id=path.relative_to(PACKAGE).as_posix()) for path in files(".")])
def test_constants_carry_their_unit(path: Path) -> None:
    assert without_unit(path.read_text()) == []


@pytest.mark.parametrize(("folder", "path"), [case for case in CHECKED if case.values[0] in STREAMS])
def test_an_exchange_is_no_stream(folder: str, path: Path) -> None:
    assert called_stream(path.read_text()) == []


def test_the_checks_see_what_they_look_for() -> None:
    """They can fail."""
    text = "class FreePlace:\n    def f(self, slot):\n        self.twin = slot\nworker_slot = replaced = 1\n"
    assert banned_names(text, {"place", "twin"}, {"slot"}) == [(1, "FreePlace"), (2, "slot"), (3, "twin")]
    assert (1, "it buries") in list(prose_of("x = 1  # it buries\n"))
    assert called_stream("class HTTPStream: ...\nstream_id = 1\nstream = 2\n") == [(1, "HTTPStream"), (3, "stream")]
    assert without_unit("A = 1.5\nB = 4096  # bytes at once\nC_SECONDS = 2.0\nD = 5  # crashes\nE = 3  # octets\n") == [
        "A",
        "B",
        "E",
    ]


def test_the_glossary_has_every_folder() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    for folder in PARTS:
        assert f"`{folder}/`" in text
