"""A signal to every process of the server, as systemd, Heroku, `tini -g`, dumb-init and GNU timeout send it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.supervisor.servers import Server, children_of, kill
from tests.support.peer import request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")

INSIDE = re.compile("inside")


def everybody(pid: int) -> set[int]:
    """A process and all below it."""
    return {pid}.union(*(everybody(child) for child in children_of(pid)))


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("order", ["group", "workers first", "supervisor first"])
@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_open_requests_are_answered(worker_class: str, order: str, count: int) -> None:
    """Every one: a worker takes its own SIGTERM and its supervisor's order for the same wish."""
    servers = [Server("-w", "2", "-k", worker_class, "--graceful-timeout", "20") for _ in range(count)]
    try:
        peers = [server.connect() for server in servers]
        for server, peer in zip(servers, peers, strict=True):
            peer.send(request("/slow/1.5"))
            server.await_line(INSIDE, server.output)
        for server in servers:
            top = server.process.pid
            everyone = sorted(everybody(top) - {top})
            for pid in [*everyone, top] if order == "workers first" else [top, *everyone]:
                kill(pid, signal.SIGTERM)
                if order != "group":
                    time.sleep(0.02)
        assert [peer.response().status for peer in peers] == [200] * count
        for peer in peers:
            peer.close()
        assert [server.code() for server in servers] == [0] * count
        assert [server.complaint for server in servers] == [""] * count
        assert [server.output.count("shutdown complete\n") for server in servers] == [2] * count
    finally:
        for server in servers:
            server.__exit__()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_repeated_sigterm_forces_nothing(workers: str) -> None:
    """Platforms send several, also to a worker that is told to stop meanwhile."""
    with Server("-w", workers, "--graceful-timeout", "20") as server, server.connect() as peer:
        peer.send(request("/slow/1"))
        server.await_line(INSIDE, server.output)
        for _ in range(4):
            for pid in everybody(server.process.pid):
                kill(pid, signal.SIGTERM)
            time.sleep(0.1)
        assert peer.response().status == 200
        peer.close()
        assert server.code() == 0
        assert server.complaint == ""


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_sigterms_that_come_until_the_process_is_gone(workers: str, worker_class: str) -> None:
    """One that comes while the interpreter ends kills nothing, either."""
    for _ in range(3):
        with Server("-w", workers, "-k", worker_class) as server:
            server.address()
            while server.process.poll() is None:
                server.notify(signal.SIGTERM)
                time.sleep(0.0005)
            assert server.code() == 0
            assert server.complaint == ""


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_stop_without_a_limit(workers: str, worker_class: str) -> None:
    with (
        Server("-w", workers, "-k", worker_class, "--graceful-timeout", "none") as server,
        server.connect() as peer,
    ):
        peer.send(request("/slow/1.5"))
        server.await_line(INSIDE, server.output)
        server.notify(signal.SIGTERM)
        assert peer.response().status == 200
        peer.close()
        assert server.code() == 0
        assert server.complaint == ""
        assert server.said(r"Waiting for 1 request to end$")


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGINT), (signal.SIGTERM, signal.SIGQUIT), (signal.SIGINT, signal.SIGINT)],
)
def test_a_second_interrupt_or_quit_forces(workers: str, numbers: tuple[int, int]) -> None:
    with Server("-w", workers, "--graceful-timeout", "600") as server, server.connect() as peer:
        peer.send(request("/slow/60"))
        server.await_line(INSIDE, server.output)
        server.notify(numbers[0])
        time.sleep(0.3)
        assert server.process.poll() is None
        server.notify(numbers[1])
        assert server.code() == 0
        assert server.complaint == ""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_quit_of_the_group_ends_at_once(workers: str) -> None:
    """Ctrl-\\ of a terminal: no core dump, and nobody is replaced."""
    with Server("-w", workers, "--graceful-timeout", "600") as server, server.connect() as peer:
        peer.send(request("/slow/60"))
        server.await_line(INSIDE, server.output)
        for pid in everybody(server.process.pid):
            kill(pid, signal.SIGQUIT)
        assert server.code() == 0
        assert server.complaint == ""


@pytest.mark.parametrize("how", ["import slowly", "startup hangs"])
def test_during_the_start(how: str) -> None:
    """Nobody complains of a worker that ended by the same signal."""
    with Server("-w", "2", how=how) as server:
        server.await_line(re.compile("importing|starting"), server.output)
        for pid in sorted(everybody(server.process.pid)):
            kill(pid, signal.SIGTERM)
        assert server.code() == 0
        assert server.complaint == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_with_a_reloader(number: int, tmp_path: Path) -> None:
    """The process that watches files is part of the group; its end is no fault."""
    shutil.copy(Path(__file__).with_name("apps.py"), tmp_path / "mine.py")
    with Server("--reload", app="mine:app", cwd=tmp_path) as server, server.connect() as peer:
        assert peer.get().status == 200
        for pid in sorted(everybody(server.process.pid), reverse=True):
            kill(pid, number)
        assert server.code() == 0
        assert server.complaint == ""


def test_gnu_timeout() -> None:
    """It sends to its child first, then to the group, which is the child's too."""
    if shutil.which("timeout") is None:
        pytest.skip("no GNU timeout")
    with Server("-w", "2", "--graceful-timeout", "20", prefix=("timeout", "600")) as server, server.connect() as peer:
        peer.send(request("/slow/1.5"))
        server.await_line(INSIDE, server.output)
        os.kill(server.process.pid, signal.SIGALRM)  # its time is over
        assert peer.response().status == 200
        peer.close()
        assert server.code() == 124
        assert server.complaint == ""


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_connections_that_wait_are_served_at_a_group_stop(worker_class: str) -> None:
    """A worker that hears the signal before its supervisor leaves nobody on the socket that it gives up."""
    with (
        Server("-w", "1", "-k", worker_class, "--graceful-timeout", "20") as server,
        server.connect() as first,
    ):
        first.send(request("/block/0.6"))  # the loop stands still, so that others wait to be accepted
        server.await_line(INSIDE, server.output)
        peers = [server.connect() for _ in range(10)]
        for peer in peers:
            peer.send(request())
        top = server.process.pid
        for pid in sorted(everybody(top) - {top}):
            kill(pid, signal.SIGTERM)
        time.sleep(0.05)
        os.kill(top, signal.SIGTERM)
        assert [peer.response().status for peer in peers] == [200] * 10
        for peer in peers:
            peer.close()
        first.close()
        assert server.code() == 0


WATCHED = """
import signal

set_action = signal.signal


def watched(number, action):
    if number == signal.SIGTERM and action == signal.SIG_DFL:
        print("the default of SIGTERM is set", flush=True)
    return set_action(number, action)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        signal.signal = watched
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
"""


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_default_of_sigterm_is_never_set(workers: str, worker_class: str, tmp_path: Path) -> None:
    """Not for a moment: a signal to the process may go to any thread, also where the main thread blocks it."""
    (tmp_path / "watched.py").write_text(WATCHED)
    with Server("-w", workers, "-k", worker_class, app="watched:app", cwd=tmp_path) as server:
        server.address()
        server.notify(signal.SIGTERM)
        assert server.code() == 0
        assert server.complaint == ""
        assert server.output == []
