"""Type checkers accept what users write, `serve(app, config)` with an application of each framework, and options."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
FILE = Path(__file__).with_name("serving.py")
OPTIONS = Path(__file__).with_name("options.py")
# What a checker refuses, and the words that both mypy and pyright have for it.
WRONG = {
    "Config(workers=[1])": "workers",
    "Config(wokers=1)": "wokers",
    "Config().keep_alive_timeout = b'75s'": "bytes",
    "Config().lifespan = 'sometimes'": "sometimes",
    "Config().workers.upper()": "upper",
    "Config().no_such_option": "no_such_option",
    "hypercorn.run('main:app', workers=[1])": "workers",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of a user's."""
    shutil.copy(FILE, tmp_path)
    shutil.copy(OPTIONS, tmp_path)
    return tmp_path


def check(*command: str, folder: Path) -> str:
    """What a checker, given as a module and its arguments, says."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


@pytest.mark.slow  # half a minute, and the same in every session: .ci/run asks for it once
def test_mypy_strict(folder: Path) -> None:
    """Frameworks without types of their own (Bottle, Django) count as `Any`."""
    (folder / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\nfollow_imports = silent\ndisable_error_code = import-untyped\nmypy_path = {SOURCE}\n"
    )
    assert check("mypy", "--cache-dir", "cache", FILE.name, folder=folder).startswith("Success: no issues found")
    with (folder / FILE.name).open("a") as file:
        file.write("\nhypercorn.asyncio.serve(1, Config())\n")
    assert "incompatible type" in check("mypy", "--cache-dir", "cache", FILE.name, folder=folder)


@pytest.mark.slow  # it brings a runtime for JavaScript
def test_pyright(folder: Path) -> None:
    config = {"include": [FILE.name], "extraPaths": [str(SOURCE)], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    said = check("pyright", "--pythonpath", sys.executable, folder=folder)
    assert "0 errors" in said, said
    with (folder / FILE.name).open("a") as file:
        file.write("\nwrong = hypercorn.asyncio.serve(1, Config())\n")
    said = check("pyright", "--pythonpath", sys.executable, folder=folder)
    assert "1 error" in said, said


def refused(said: str) -> list[str]:
    """The lines of a checker's errors in the file of options."""
    return [line for line in said.splitlines() if " error: " in line or " - error: " in line]


def add_wrong_lines(path: Path) -> None:
    """Adds a line for each mistake."""
    with path.open("a") as file:
        file.write("\n" + "\n".join(WRONG) + "\n")


@pytest.mark.slow
def test_options_for_mypy(folder: Path) -> None:
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = True\nfollow_imports = silent\nmypy_path = {SOURCE}\n")
    run = ("mypy", "--cache-dir", "cache", OPTIONS.name)
    assert check(*run, folder=folder).startswith("Success: no issues found")
    add_wrong_lines(folder / OPTIONS.name)
    errors = refused(check(*run, folder=folder))
    assert len(errors) == len(WRONG), errors
    for error, word in zip(errors, WRONG.values(), strict=True):
        assert word in error


@pytest.mark.slow
def test_options_for_pyright(folder: Path) -> None:
    config = {"include": [OPTIONS.name], "extraPaths": [str(SOURCE)], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    run = ("pyright", "--pythonpath", sys.executable)
    said = check(*run, folder=folder)
    assert "0 errors" in said, said
    add_wrong_lines(folder / OPTIONS.name)
    errors = refused(check(*run, folder=folder))
    assert len(errors) == len(WRONG), errors
