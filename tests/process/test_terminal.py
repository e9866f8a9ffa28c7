"""The command on a terminal: what a developer reads there, line by line, and what closing it does."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import Command, environment
from tests.support.live import eventually
from tests.support.peer import PATIENCE, Peer

if sys.platform == "win32":
    pytest.skip("no pseudo terminals", allow_module_level=True)

import pty

APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("Django can only handle ASGI/HTTP connections, not %s." % scope["type"])
    if scope["path"] == "/boom":
        fail()
    await send({"type": "http.response.start", "status": 404 if scope["path"] == "/no" else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hi"})

def fail():
    raise RuntimeError("boom")

def create_app():
    return app
"""
# The terminal becomes the controlling one. Signals are as a user's shell has them: where tests run in the background,
# SIGINT is ignored.
IN_FOREGROUND = """
import fcntl, os, signal, sys, termios
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
RUNNING = re.compile(r"Running on http://127.0.0.1:(\d+)")


class Terminal:
    """A pseudo terminal, with the command in its foreground, as the leader of its session."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-c", IN_FOREGROUND, sys.executable, "-m", "hypercorn", "--port", "0", *arguments]
        variables = environment(TERM="xterm", **{"NO_COLOR": "", **variables})
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
        self.process = subprocess.Popen(command, **streams, cwd=folder, env=variables, start_new_session=True)
        self.pid = self.process.pid
        os.close(slave)
        self.text = ""
        self.code: int | None = None

    def read(self, seconds: float = 0.1) -> bool:
        """Takes what has been written. False once the terminal's other side is closed."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has it open any more
                return False
            self.text += data.decode().replace("\r\n", "\n")
            return bool(data)
        return True

    def await_text(self, pattern: str) -> re.Match[str]:
        """The first match in what it writes."""
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < end, self.text
            assert self.read(), self.text
        return found

    def lines(self) -> list[str]:
        return self.text.splitlines()

    def get(self, path: str) -> int:
        """The status of a request, once the server runs."""
        port = int(self.await_text(RUNNING.pattern)[1])
        with Peer(("127.0.0.1", port)) as peer:
            return peer.get(path).status

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def wait(self) -> int:
        """Its exit code."""
        end = time.monotonic() + PATIENCE
        while self.code is None:
            assert time.monotonic() < end, self.text
            if self.master >= 0 and not self.read(0.02):
                time.sleep(0.02)
            self.code = self.process.poll()
        return self.code

    def close(self) -> None:
        """Closes the terminal, as a user closes its window."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.code is None:
            self.process.kill()
            self.process.wait()
        self.close()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APPLICATION)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "deep.py").write_text(APPLICATION)
    (tmp_path / "broken.py").write_text("def app(x:\n")
    return tmp_path


# -- what is written


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_developer_reads_short_lines(workers: str, folder: Path) -> None:
    with Terminal(folder, "-w", workers, "main:app") as terminal:
        assert [terminal.get(path) for path in ("/a?b=1", "/no", "/boom")] == [200, 404, 500]
        terminal.await_text(r"GET /boom \S+500")
        terminal.press(b"\x03")
        assert terminal.wait() == 0
    lines = terminal.lines()
    place = "in this process" if workers == "0" else "1 worker"
    build = r"(compiled|pure) build, asyncio"
    assert re.fullmatch(
        rf"\d\d:\d\d:\d\d \x1b\[32mINFO\x1b\[0m hypercorn \S+ \({build}, {place}, Python \S+\) serves main:app",
        lines[0],
    )
    assert sum("The application has no lifespan" in line for line in lines) == 1
    assert "WARNING" not in terminal.text
    shown = [line for line in lines if "GET /" in line and "Error" not in line]
    assert len(shown) == 3
    for line, colour, status in zip(shown, (32, 33, 31), (200, 404, 500), strict=True):
        assert re.fullmatch(
            rf"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m GET /\S+ \x1b\[{colour}m{status}\x1b\[0m \x1b\[2m[\d.]+ m?s\x1b\[0m", line
        )
    assert "GET /a?b=1" in shown[0]
    frames = [line for line in lines if line.startswith('  File "')]
    assert [re.sub(r'.*/(\w+\.py)".*in (\w+)', r"\1 \2", line) for line in frames] == ["main.py app", "main.py fail"]
    assert "Stopped" in lines[-1]


def test_no_colours_where_nobody_wants_them(folder: Path) -> None:
    with Terminal(folder, "main:app", NO_COLOR="1") as terminal:
        assert terminal.get("/") == 200
        terminal.await_text(r"\d\d:\d\d:\d\d GET / 200 [\d.]+ ms\n")
    assert "\x1b" not in terminal.text


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--no-access-log"], 0),
        (["--access-logfile", "access.log"], 0),
        (["--access-logfile", "-"], 1),
        (["--access-logformat", "common"], 1),
    ],
)
def test_access_lines_follow_the_options(arguments: list[str], shown: int, folder: Path) -> None:
    with Terminal(folder, "-w", "0", *arguments, "main:app") as terminal:
        assert terminal.get("/") == 200
        terminal.press(b"\x03")
        assert terminal.wait() == 0
    assert sum("GET /" in line for line in terminal.lines()) == shown
    assert ('"GET / HTTP/1.1"' in terminal.text) == ("common" in arguments)


def test_nothing_of_this_without_a_terminal(folder: Path) -> None:
    with Command("--port", "0", "main:app", cwd=folder) as command:
        with command.connect() as peer:
            assert peer.get("/").status == 200
        assert command.end() == 0
        assert command.output == []
        assert all(line.startswith("[") for line in command.errors)


# -- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["main:create_app"], "add --factory, or write main:create_app()"),
        (["deep:app"], "It is in inner: add --app-dir inner"),
        (["broken:app"], "could not be loaded: SyntaxError: '(' was never closed"),
        (["main:nope"], "its callables are app, fail, create_app"),
        (["Main:app"], "Did you mean main:app?"),
        (["main:app:"], "'app:' is not an expression."),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(arguments: list[str], words: str, folder: Path) -> None:
    with Terminal(folder, *arguments, NO_COLOR="1") as terminal:
        assert terminal.wait() == 3
    errors = [line for line in terminal.lines() if " ERROR " in line]
    assert len(errors) == 1
    assert words in errors[0]
    assert "Traceback" not in terminal.text


def test_a_busy_port_names_the_next(folder: Path) -> None:
    with Terminal(folder, "main:app", NO_COLOR="1") as first:
        port = int(first.await_text(RUNNING.pattern)[1])
        with Terminal(folder, "--port", str(port), "main:app", NO_COLOR="1") as second:
            assert second.wait() == 3
    (line,) = [line for line in second.lines() if " ERROR " in line]
    assert f"cannot bind 127.0.0.1:{port}: address already in use" in line
    assert line.endswith(f"choose another port: --port {port + 1}")


def test_the_reloader_says_that_it_waits(folder: Path) -> None:
    with Terminal(folder, "--reload", "broken:app", NO_COLOR="1") as terminal:
        terminal.await_text("Watching .* for changes")
        terminal.await_text("Waiting for a change of the code")
        (folder / "broken.py").write_text(APPLICATION)
        terminal.await_text("Changed: broken.py")
        assert terminal.get("/") == 200
        terminal.press(b"\x03")
        assert terminal.wait() == 0
    assert sum("SyntaxError" in line for line in terminal.lines()) == 2, "said once, with the line of code"


# -- the end of the terminal


@pytest.mark.parametrize("arguments", [["-w", "0"], ["-w", "2"], ["--reload"]], ids=" ".join)
def test_a_server_ends_with_its_terminal(arguments: list[str], folder: Path) -> None:
    log = folder / "error.log"
    with Terminal(folder, *arguments, "--error-logfile", str(log), "main:app") as terminal:
        eventually(lambda: log.exists() and RUNNING.search(log.read_text()), PATIENCE)
        terminal.close()
        assert terminal.wait() == 0
    text = log.read_text()
    assert "(its terminal was closed)" in text
    assert "Reloading" not in text
    assert "ERROR" not in text


@pytest.mark.parametrize("workers", ["0", "1"])
def test_sighup_is_a_reload_while_the_terminal_is_there(workers: str, folder: Path) -> None:
    with Terminal(folder, "-w", workers, "main:app", NO_COLOR="1") as terminal:
        assert terminal.get("/") == 200
        os.kill(terminal.pid, signal.SIGHUP)
        terminal.await_text(r"Reloading \(SIGHUP\)" if workers == "1" else "Log files opened anew")
        assert terminal.get("/") == 200
        terminal.press(b"\x03")
        assert terminal.wait() == 0
    assert "its terminal" not in terminal.text
