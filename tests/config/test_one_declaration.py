"""An option is declared in one place: one new line in the table, and the generators have run, is all that it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
LINE = '    Option("h9_max_things", size(), 4096, "Limits", "things of one request", aliases=("h9_things",)),\n'
USE = """
from hypercorn import Config
from hypercorn.cli.parser import make_parser
from hypercorn.config.options import limits_of
from hypercorn.protocol.limits import Limits

config = Config(h9_max_things="8KiB")
assert config.h9_max_things == config.h9_things == 8192
assert Limits(limits_of(config)).h9_max_things == 8192
config.update_from_environ({"HYPERCORN_H9_MAX_THINGS": "16KiB"})
assert config.h9_max_things == 16384
assert make_parser().parse_args(["--h9-max-things", "1"]).h9_max_things == "1"
assert make_parser().parse_args(["--h9-things", "1"]).h9_max_things == "1"
print(repr(config))
"""
TYPED = """
from hypercorn import Config

config = Config(h9_max_things="8KiB")
config.h9_max_things = "8KiB"
print(config.h9_max_things + 1)
"""
# The copy comes first, wherever this environment finds the package.
RUN = "import runpy, sys\nsys.path.insert(0, 'src')\nsys.argv.pop(0)\nrunpy.run_path(sys.argv[0], run_name='__main__')"
GENERATORS = ("csrc/make_limits.py", "csrc/make_config.py", "docs/make_reference.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what has to do with options, uncompiled."""
    without = shutil.ignore_patterns("*.so", "*.c", "*.pyd", "__pycache__")
    for name in ("src", "csrc", "docs"):
        shutil.copytree(TREE / name, tmp_path / name, ignore=without)
    shutil.copy(TREE / "SECURITY.md", tmp_path)
    return tmp_path


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the copy."""
    environment = {**os.environ, "MYPYPATH": "src", "HYPERCORN_PURE_PYTHON": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=300, check=False)


def run_file(tree: Path, path: str, *arguments: str) -> int:
    """Runs a file of the copy, and returns its exit code."""
    return run(tree, "-c", RUN, path, *arguments).returncode


def add_line(tree: Path) -> None:
    """Declares one more option."""
    table = tree / "src" / "hypercorn" / "config" / "options" / "limits.py"
    text = table.read_text()
    assert text.endswith(")\n")
    table.write_text(text[:-2] + LINE + ")\n")


def test_the_generated_types_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "csrc/make_config.py", "--check"], cwd=TREE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_line_makes_an_option(tree: Path) -> None:
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    add_line(tree)
    for generator in GENERATORS:
        assert run_file(tree, generator, "--check") == 1, generator
        assert run_file(tree, generator) == 0, generator
        assert run_file(tree, generator, "--check") == 0, generator
    done = run(tree, "-c", f"import sys\nsys.path.insert(0, 'src')\n{USE}")
    assert done.stdout == "Config(h9_max_things=16384)\n", done.stderr
    changed = {str(path.relative_to(tree)) for path, data in before.items() if path.read_bytes() != data}
    assert changed == {
        "src/hypercorn/config/options/limits.py",  # the line itself; the others are generated
        "src/hypercorn/config/attributes.pyi",
        "src/hypercorn/protocol/limits.py",
        "src/hypercorn/protocol/limits.pxd",
        "docs/reference/options.md",
        "SECURITY.md",
    }


@pytest.mark.slow  # mypy reads the package anew
def test_the_option_of_one_line_is_typed(tree: Path) -> None:
    (tree / "use.py").write_text(TYPED)
    check = ("-m", "mypy", "--strict", "--follow-imports", "silent", "--cache-dir", "cache", "use.py")
    assert "h9_max_things" in run(tree, *check).stdout
    add_line(tree)
    assert run_file(tree, "csrc/make_config.py") == 0
    done = run(tree, *check)
    assert done.stdout.startswith("Success"), done.stdout
