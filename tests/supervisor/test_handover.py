"""Sockets from elsewhere: systemd's, and those of the program before this one. What systemd is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.command import ROOT, environment
from tests.supervisor.servers import APP, WAIT, Load, Server, children_of, is_alive, kill
from tests.support.live import eventually
from tests.support.peer import Peer

from hypercorn.supervisor.notify import Notifier

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")


class Systemd:
    """What listens at NOTIFY_SOCKET."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.said: list[str] = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        """Keeps every line."""
        while data := self.sock.recv(4096):
            self.said.extend(data.decode().split("\n"))

    def hears(self, line: str, times: int = 1) -> None:
        """Waits for a line."""
        eventually(lambda: self.said.count(line) >= times, WAIT)


@pytest.fixture(name="systemd")
def _systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify"))
    yield systemd
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"", systemd.path)
    systemd.sock.close()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_systemd_is_told(systemd: Systemd, workers: str) -> None:
    variables = {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "400000"}
    with Server("-w", workers, **variables) as server:
        systemd.hears("READY=1")
        systemd.hears("WATCHDOG=1", 3)
        if workers == "2":
            systemd.hears("STATUS=2 of 2 workers ready")
            server.notify(signal.SIGHUP)
            systemd.hears("RELOADING=1")
            systemd.hears("READY=1", 2)
            assert any(line.startswith("MONOTONIC_USEC=") for line in systemd.said)
        server.notify(signal.SIGTERM)
        systemd.hears("STOPPING=1")
        assert server.code() == 0
        assert server.complaint == ""


def test_nobody_is_told_without_a_socket() -> None:
    variables = {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1", "OTHER": "kept"}
    notifier = Notifier(variables)
    assert variables == {"OTHER": "kept"}  # no worker speaks for the service
    notifier.ready()
    notifier.send_watchdog(time.monotonic())
    assert notifier.watchdog_at == float("inf")
    notifier.close()


ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "hypercorn", *sys.argv[2:]])
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_sockets_of_systemd(workers: str) -> None:
    """N32: LISTEN_FDS stands in for `bind`; what connected before the server came is served."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        early = Peer(listener.getsockname())
        early.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(listener.fileno()), "-w", workers, APP],
            pass_fds=[listener.fileno(), 3] if listener.fileno() != 3 else [3],
            cwd=ROOT,
            env=environment(HYPERCORN_CONTROL="none"),
            stdout=subprocess.DEVNULL,
        )
        try:
            assert early.response().status == 200
            process.terminate()
            assert process.wait(WAIT) == 0
        finally:
            process.kill()
            process.wait()


def test_another_program_takes_over(tmp_path: Path) -> None:
    """F-25: SIGUSR2. No request fails, the pid file names the new one, and the old one ends with 0."""
    pid_file = tmp_path / "pid"
    with Server("-w", "2", "-p", str(pid_file), HYPERCORN_IDLE_GRACE="1") as server:
        before = server.serving(2)
        with Load(server) as load:
            eventually(lambda: load.done > 20, WAIT)
            server.notify(signal.SIGUSR2)
            server.process.wait(WAIT)
            done = load.done
            eventually(lambda: load.done > done + 20, WAIT)
        new = int(pid_file.read_text())
        try:
            assert load.failures == []
            assert server.process.returncode == 0
            assert new != server.process.pid
            assert not any(map(is_alive, before))
            assert server.pid() in children_of(new)
        finally:
            kill(new, signal.SIGTERM)
            eventually(lambda: not is_alive(new), WAIT)
        assert not pid_file.exists()
        assert server.refused()


def test_a_program_that_fails_to_take_over(tmp_path: Path) -> None:
    """F-25: then nothing has happened."""
    module = tmp_path / "changing.py"
    module.write_text("from tests.supervisor.apps import app\n")
    pid_file = tmp_path / "pid"
    with Server("-w", "1", "-p", str(pid_file), app="changing:app", cwd=tmp_path) as server:
        (worker,) = server.serving(1)
        module.write_text("raise ValueError('broken')\n")
        server.notify(signal.SIGUSR2)
        server.await_said("The new program failed; this one goes on")
        assert server.pid() == worker
        assert int(pid_file.read_text()) == server.process.pid
        eventually(lambda: server.workers() == {worker}, WAIT)  # the new program has said its last word, and ends
        assert server.end() == 0
        assert not pid_file.exists()


def test_descriptors_and_threads_do_not_pile_up() -> None:
    """N17, LC-18: reload after reload."""

    def count(pid: int) -> tuple[int, int]:
        return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

    if sys.platform != "linux":
        pytest.skip("needs /proc")
    with Server("-w", "1") as server:
        (worker,) = server.serving(1)
        before, worker_before = count(server.process.pid), count(worker)
        for _ in range(3):
            server.notify(signal.SIGHUP)
            old = worker
            eventually(lambda old=old: not is_alive(old), WAIT)  # type: ignore[misc]
            (worker,) = server.serving(1)
        # One more or less comes with the moment: a thread that writes the log, a file that is looked at.
        for pid, then in ((server.process.pid, before), (worker, worker_before)):
            eventually(lambda pid=pid, then=then: all(map(int.__le__, count(pid), (then[0] + 1, then[1] + 1))), WAIT)  # type: ignore[misc]
        assert server.end() == 0
