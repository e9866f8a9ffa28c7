"""`run()`: which worker, which exit code, what is said, and the pid file."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hypercorn.run
from hypercorn.asgi.loading import load_application
from hypercorn.config import Config
from hypercorn.errors import (
    BindError,
    ConfigError,
    LifespanFailureError,
    LifespanTimeoutError,
    NoAppError,
    SocketTypeError,
)
from hypercorn.run import PidFileError, run
from hypercorn.supervisor.pid_file import pid_file
from hypercorn.supervisor.worker_classes import find_worker

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


@pytest.fixture(name="config")
def _config() -> Config:
    return Config.from_mapping(application_path="module:app", workers=0, error_log=logging.Logger("run.test"))


def running(monkeypatch: pytest.MonkeyPatch, config: Config, action: Any) -> int:
    """`run()` over a worker that does `action`."""

    def worker(given: Config, **_: Any) -> None:
        assert given is config
        if isinstance(action, BaseException):
            raise action
        if action is not None:
            action()

    monkeypatch.setattr(hypercorn.run, "find_worker", lambda name: worker)
    return run(config)


BUSY = BindError(98, "127.0.0.1:80", "address already in use", "another process is listening there")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (NoAppError("Cannot load"), 3, "hypercorn: error: Cannot load\n"),
        (LifespanFailureError("startup", "no"), 3, "hypercorn: error: Lifespan failure in startup. 'no'\n"),
        (LifespanTimeoutError("startup"), 3, "hypercorn: error: Timeout whilst awaiting startup. "),
        (
            BUSY,
            3,
            "hypercorn: error: cannot bind 127.0.0.1:80: address already in use (another process is listening there);"
            " end that one, or choose another port: --port 81\n",
        ),
        (SocketTypeError(1, 2), 3, 'hypercorn: error: Unexpected socket type, wanted "SOCK_STREAM"'),
        (ConfigError("certfile 'a' cannot be used"), 2, "hypercorn: error: certfile 'a' cannot be used\n"),
        (ExceptionGroup("g", [ExceptionGroup("h", [NoAppError("inner")])]), 3, "hypercorn: error: inner\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_outcomes(
    error: BaseException | None,
    code: int,
    message: str,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert running(monkeypatch, config, error) == code
    text = capsys.readouterr().err
    assert text.startswith(message)
    assert len(text.splitlines()) == bool(message)


def test_a_crash_shows_its_traceback(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert running(monkeypatch, config, ValueError("bug")) == 1
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert text.endswith("ValueError: bug\nhypercorn: error: the server failed\n")


def test_an_application_that_exits_decides_the_code(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as caught:
        running(monkeypatch, config, SystemExit(7))
    assert caught.value.code == 7


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "first", "last"),
    [
        ("import not_installed_anywhere\n", "Traceback", "ModuleNotFoundError: No module named"),
        ("def f(): 1 / 0\nf()\n", "Traceback", "ZeroDivisionError: division by zero"),
        ("x = = 1\n", "  File", "SyntaxError: invalid syntax"),
    ],
)
def test_an_application_that_cannot_be_imported(
    source: str,
    first: str,
    last: str,
    folder: Path,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its own lines are shown, and none of the server's."""
    (folder / "unimportable.py").write_text(source)
    config.application_path = "unimportable:app"
    assert running(monkeypatch, config, lambda: load_application(config.application_path, 1)) == 3
    text = capsys.readouterr().err
    assert text.startswith(first)
    assert last in text
    start = "hypercorn: error: the application 'unimportable:app' could not be loaded: "
    assert text.splitlines()[-1].startswith(f"{start}{last}")
    assert "unimportable.py" in text
    assert "asgi/loading.py" not in text


def test_a_log_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config.from_mapping(application_path="m:a", error_log="/not/there/x.log")
    assert running(monkeypatch, config, None) == 3
    assert "hypercorn: error: logging cannot be set up: " in capsys.readouterr().err


def test_nothing_to_serve() -> None:
    with pytest.raises(ConfigError, match="application_path is not set"):
        run(Config())


# --- the worker


def test_unknown_worker_class(config: Config) -> None:
    config.worker_class = "twisted"
    with pytest.raises(ValueError, match=r"^No worker of class twisted exists: asyncio"):
        run(config)


@pytest.mark.parametrize("name", ["uvloop", "trio"])
def test_a_package_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"worker_class '{name}' needs .* pip install 'hypercorn\[{name}\]'"):
        find_worker(name)


@pytest.mark.parametrize(
    ("name", "function"),
    [("asyncio", "asyncio_worker"), ("uvloop", "uvloop_worker"), ("trio", "trio_worker")],
)
def test_workers(name: str, function: str) -> None:
    pytest.importorskip(name)
    assert find_worker(name).__name__ == function


# --- the pid file


def test_pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pid_file("a.pid"):
        assert (tmp_path / "a.pid").read_text() == str(os.getpid())
        monkeypatch.chdir("/")
    assert not (tmp_path / "a.pid").exists()


def test_no_pid_file() -> None:
    with pid_file(None):
        pass


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("content", ["", "nonsense", "-5", "0", str(2**70), None])
def test_a_stale_pid_file_is_replaced(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    path.write_text(str(ended_process()) if content is None else content)
    with pid_file(str(path)):
        assert path.read_text() == str(os.getpid())
    assert not path.exists()


def test_a_pid_file_of_a_live_process_is_respected(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pid"
    path.write_text(str(os.getppid()))
    config.pid_path = str(path)
    assert running(monkeypatch, config, AssertionError("it ran")) == 3
    expected = f"hypercorn: error: the pid file {path} names process {os.getppid()}, which is running\n"
    assert capsys.readouterr().err == expected
    assert path.read_text() == str(os.getppid())


def test_a_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(PidFileError, match="cannot be written: No such file or directory"),
        pid_file(str(tmp_path / "no" / "a.pid")),
    ):
        raise AssertionError("it ran")


def test_a_pid_file_that_another_process_took_over_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.pid"
    with pid_file(str(path)):
        path.write_text("1")
    assert path.read_text() == "1"


def test_the_pid_file_is_removed_after_a_crash(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.pid_path = str(tmp_path / "a.pid")
    assert running(monkeypatch, config, ValueError("bug")) == 1
    assert not (tmp_path / "a.pid").exists()
