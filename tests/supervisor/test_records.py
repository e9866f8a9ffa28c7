"""What the log says at INFO of starts, reloads, scaling, recycling and the end; and that nothing of it is lost."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest
from tests.process.command import Command
from tests.supervisor.servers import WAIT, Server, kill
from tests.supervisor.test_control import hypercorn
from tests.support.live import BACKENDS, eventually
from tests.support.peer import request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")

INSIDE = re.compile("inside")


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("worker_class", ["asyncio", "trio"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_stop_says_why_what_it_waits_for_and_what_it_cuts(worker_class: str, workers: str, form: str) -> None:
    arguments = ("-w", workers, "-k", worker_class, "--graceful-timeout", "0.3")
    with Server(*arguments, HYPERCORN_LOG_FORMAT=form) as server, server.connect() as peer:
        peer.send(request("/slow/60"))
        server.await_line(INSIDE, server.output)
        assert server.end(signal.SIGTERM) == 0
        for pattern in (
            r"Stopping( 2 workers)? \(SIGTERM\)",
            r"Waiting up to 0\.3 s for 1 request to end",
            r"Cut 1 request: graceful_timeout \(0\.3 s\)",
            r"Stopped",
        ):
            assert sum(bool(re.search(pattern, line)) for line in server.errors) == 1, server.errors
            assert server.said(f"INFO.*{pattern}")
        assert "Stopped" in server.errors[-1]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_ctrl_c_tells_how_to_end_at_once(workers: str) -> None:
    with Server("-w", workers, "--graceful-timeout", "60") as server, server.connect() as peer:
        peer.send(request("/slow/60"))
        server.await_line(INSIDE, server.output)
        server.notify(signal.SIGINT)
        server.await_said("CTRL . C again ends at once")
        server.await_said("Waiting up to 60 s for 1 request")
        assert server.end(signal.SIGINT) == 0
        assert server.said("Cut 1 request: asked to end at once")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_slow_shutdown_is_waited_for_aloud(workers: str) -> None:
    with Server("-w", workers, how="shutdown hangs", HYPERCORN_SHUTDOWN_TIMEOUT="1.5") as server:
        server.address()
        assert server.end() == 3
        assert server.said("INFO.*Waiting up to 1.5 s for the application's lifespan shutdown")


@pytest.mark.parametrize("workers", ["0", "1", "3"])
@pytest.mark.parametrize("worker_class", BACKENDS)
def test_a_missing_lifespan_is_said_once(worker_class: str, workers: str) -> None:
    """However many workers find it out, and after a reload too."""
    with Server("-w", workers, "-k", worker_class, how="only requests") as server:
        server.address()
        if workers != "0":
            server.serving(int(workers))
            server.notify(signal.SIGHUP)
            server.await_said("All workers are new")
        assert server.end() == 0
        assert sum("The application has no lifespan" in line for line in server.errors) == 1, server.errors
        assert server.said("INFO.*The application has no lifespan")


def test_reload_scale_and_recycle_say_what_asked_for_them(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with Server("-w", "1", HYPERCORN_CONTROL=path) as server:
        (first,) = server.serving(1)
        server.await_said(f"Worker {first} is ready")
        server.notify(signal.SIGTTIN)
        server.await_said(r"INFO.*Scaling from 1 to 2 workers \(SIGTTIN\)")
        server.serving(2)
        assert hypercorn("ctl", "scale", "1", "--socket", path).returncode == 0
        server.await_said(r"INFO.*Scaling from 2 to 1 workers \(hypercorn ctl\)")
        server.await_said(r"INFO.*Stopping worker \d+: fewer are wanted")
        (one,) = server.serving(1)
        server.notify(signal.SIGHUP)
        server.await_said(r"INFO.*Reloading \(SIGHUP\)")
        server.await_said(rf"INFO.*Stopping worker {one}: a new one has taken its place")
        server.await_said("All workers are new")
        (other,) = server.serving(1)
        kill(other, signal.SIGTERM)
        server.await_said(rf"INFO.*Worker {other} stops: SIGTERM")
        (last,) = eventually(lambda: server.workers() - {other}, WAIT)
        server.await_said(f"Worker {last} is ready")
        assert hypercorn("ctl", "drain", str(last), "--socket", path).returncode == 0
        server.await_said(rf"INFO.*Stopping worker {last}: drained by hand")
        assert hypercorn("ctl", "drain", "--socket", path).returncode == 0
        assert server.code() == 0
        assert server.said(r"INFO.*Stopping (a|\d) workers? \(hypercorn ctl\)")


def test_a_worker_that_has_served_enough() -> None:
    with Server("-w", "1", HYPERCORN_MAX_REQUESTS="3") as server:
        for _ in range(4):
            server.pid()
        server.await_said(r"INFO.*Stopping worker \d+: max_requests")
        assert server.end() == 0


RAISES = """
import logging, logging.handlers, os
target = logging.FileHandler(os.environ["TEST_FILE"])
logging.getLogger("mine").addHandler(logging.handlers.MemoryHandler(1000, target=target))
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    logging.getLogger("mine").warning("a record in memory")
    raise ValueError("lost on the way")
"""


@pytest.mark.parametrize("where", ["file", "stderr"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_last_records_are_written(tmp_path: Path, workers: str, where: str) -> None:
    """Every run logs an exception of the lifespan's shutdown and flushes the application's own handlers."""
    (tmp_path / "raising.py").write_text(RAISES)
    for number in range(4):
        log, own = tmp_path / f"log{number}", tmp_path / f"own{number}"
        arguments = ("--error-log", str(log) if where == "file" else "-")
        options = {"TEST_FILE": str(own), "HYPERCORN_CONTROL": "none"}
        with Command("-b", "127.0.0.1:0", "-w", workers, *arguments, "raising:app", cwd=tmp_path, **options) as command:

            def text(log: Path = log, command: Command = command) -> str:
                if where == "stderr":
                    return "".join(command.errors)
                return log.read_text() if log.exists() else ""

            eventually(lambda text=text: "Running on" in text())  # type: ignore[misc]
            command.end(signal.SIGTERM)
            assert "ValueError: lost on the way" in text()
            assert "a record in memory" in own.read_text()
