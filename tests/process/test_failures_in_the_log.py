"""What keeps a server from starting is in its error log; on stderr only before there is one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import hypercorn.__main__

RECORD = r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[ERROR\] "
APP = "async def app(scope, receive, send):\n    raise RuntimeError\n"
COMMAND = [sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:0", "--control", "none"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and worker processes")


def fail(folder: Path, *arguments: str, app: str = "broken:app") -> tuple[int, str]:
    """The exit code of a server that cannot start, and what it wrote to stderr."""
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    (folder / "good.py").write_text(APP)
    done = subprocess.run(
        [*COMMAND, *arguments, app], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_start_that_fails_is_in_the_log(workers: str, tmp_path: Path) -> None:
    code, stderr = fail(tmp_path, "--workers", workers, "--error-log", "e.log")
    assert (code, stderr) == (3, "")
    text = (tmp_path / "e.log").read_text()
    assert re.search(
        RECORD + "the application 'broken:app' could not be loaded: ModuleNotFoundError: .*$", text, re.MULTILINE
    )
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in text


CASES = {
    "application": ([], "the application 'broken:app' could not be loaded"),
    "pid file": (["--pid-path", "absent/pid"], "the pid file absent/pid cannot be written: No such file or directory"),
    "pid file of another": (["--pid-path", "pid"], f"the pid file pid names process {os.getpid()}, which is running"),
    "bind": (["--bind", "unix:absent/socket"], "cannot bind unix:absent/socket: "),
    "certificate": (["--certfile", "absent.pem", "--keyfile", "absent.pem"], "certfile 'absent.pem'"),
}


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("form", ["text", "json", "file"])
@pytest.mark.parametrize("case", CASES)
def test_each_failure_is_one_record_in_the_form_of_the_log(case: str, form: str, workers: str, tmp_path: Path) -> None:
    """Also where the log is plain text on stderr."""
    arguments, words = CASES[case]
    (tmp_path / "pid").write_text(str(os.getpid()))
    place = {"text": [], "json": ["--log-format", "json"], "file": ["--error-log", "e.log"]}[form]
    app = "broken:app" if case == "application" else "good:app"
    code, stderr = fail(tmp_path, "--workers", workers, *place, *arguments, app=app)
    assert code == (2 if case == "certificate" else 3)
    if form == "file":
        assert stderr == ""
    text = (tmp_path / "e.log").read_text() if form == "file" else stderr
    assert "hypercorn: error: " not in text
    if form == "json":
        found = [one["message"] for one in map(json.loads, text.splitlines()) if one["level"] == "ERROR"]
    else:
        found = re.findall(RECORD + "(.*)$", text, re.MULTILINE)
    assert len(found) == 1, text
    assert found[0].startswith(words)


@pytest.mark.parametrize("arguments", [["--error-log", ""], ["--log-level", "critical"]])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_where_the_log_takes_no_errors_it_is_on_stderr(workers: str, arguments: list[str], tmp_path: Path) -> None:
    """Nothing else would say why there is no server."""
    code, stderr = fail(tmp_path, "--workers", workers, *arguments)
    assert code == 3
    assert "\nhypercorn: error: the application 'broken:app' could not be loaded: ModuleNotFound" in stderr


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_start_that_fails_is_a_line_of_json(workers: str, tmp_path: Path) -> None:
    code, stderr = fail(tmp_path, "--workers", workers, "--log-format", "json")
    assert code == 3
    records = [json.loads(line) for line in stderr.splitlines()]
    assert any("could not be loaded" in str(record) and "nothing_of_this_name" in str(record) for record in records)


def test_without_a_log_it_is_on_stderr(tmp_path: Path) -> None:
    code, stderr = fail(tmp_path, "--error-log", "absent/e.log")
    assert code == 3
    assert stderr.startswith("hypercorn: error: logging cannot be set up: ")


def test_a_reload_says_what_it_warns_of_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(APP)
    (tmp_path / "hypercorn.toml").write_text("workers = 1\n")
    log = tmp_path / "e.log"

    def wait_for(text: str) -> None:
        end = time.monotonic() + 60
        while not (log.exists() and text in log.read_text()):
            assert time.monotonic() < end, log.read_text() if log.exists() else "no log"
            assert server.poll() is None
            time.sleep(0.05)

    command = [*COMMAND, "--error-log", "e.log", "good:app"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            wait_for("Running on")
            (tmp_path / "hypercorn.toml").write_text("workers = 1\nworker = 2\n")
            os.kill(server.pid, signal.SIGHUP)
            wait_for("[WARNING] unknown option worker (file hypercorn.toml); did you mean workers?")
            (tmp_path / "good.py").write_text("import nothing_of_this_name\n")
            os.kill(server.pid, signal.SIGHUP)
            wait_for("nothing_of_this_name")
        finally:
            server.terminate()
            _, stderr = server.communicate(timeout=60)
    assert stderr == ""


BAD = {
    "version": 1,
    "handlers": {"h": {"class": "logging.FileHandler", "filename": "/absent/e.log"}},
    "root": {"handlers": ["h"]},
}


def test_a_log_configuration_is_tried(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """The error of dictConfig alone names the handler and not what is wrong with it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.json").write_text(json.dumps(BAD))
    assert hypercorn.__main__.main(["--check-config", "--log-config", "json:log.json"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("hypercorn: error: logging cannot be set up: Unable to configure handler 'h': ")
    assert "No such file or directory: '/absent/e.log'" in said
    assert said.count("\n") == 1


def test_what_no_worker_can_be_sent_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(APP)
    (tmp_path / "start.py").write_text(
        "from hypercorn.config import Config\nfrom hypercorn.run import run\n"
        "class Local:\n    def __reduce__(self):\n        raise TypeError('cannot pickle Local')\n"
        "config = Config(bind='127.0.0.1:0', control='none', start_method='spawn', application_path='good:app')\n"
        "config.log_config_dict = {'version': 1, 'formatters': {}, 'x': Local()}\n"
        "raise SystemExit(run(config))\n"
    )
    done = subprocess.run(
        [sys.executable, "start.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert sum("[ERROR]" in line for line in done.stderr.splitlines()) == 1
    assert re.search(RECORD + "log_config_dict = ", done.stderr, re.MULTILINE)
    assert "cannot be sent to a worker process: cannot pickle Local; define it in a module" in done.stderr
