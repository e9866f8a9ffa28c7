"""What happens to workers and to their supervisor, and what comes of it: real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compliance.test_http2_live import Conversation
from tests.process.command import ROOT, RUNNING, complaints, environment
from tests.supervisor.servers import APP, WAIT, Load, Server, children_of, is_alive, kill
from tests.support.http2 import GET, headers, ping
from tests.support.live import eventually
from tests.support.peer import Peer, request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")
TWO = ("-w", "2")


def test_workers_share_an_address_and_end_with_their_supervisor() -> None:
    with Server("-w", "3", HYPERCORN_IDLE_GRACE="1") as server:
        workers = server.serving(3)
        assert server.end(signal.SIGTERM) == 0
        assert not any(map(is_alive, workers))
        assert server.output.count("shutdown complete\n") == 3
        assert len([line for line in server.errors if RUNNING.search(line)]) == 1
        assert server.complaint == ""


@pytest.mark.parametrize(
    ("method", "worker_class"),
    [
        ("spawn", "asyncio"),
        ("fork", "trio"),
        ("fork", "uvloop"),
        pytest.param("fork", "asyncio", marks=pytest.mark.slow),
        pytest.param("spawn", "uvloop", marks=pytest.mark.slow),
        pytest.param("spawn", "trio", marks=pytest.mark.slow),
    ],
)
def test_every_way_to_start_a_worker(method: str, worker_class: str) -> None:
    with Server("-w", "1", "--start-method", method, "-k", worker_class) as server:
        (worker,) = server.serving(1)
        assert worker != server.process.pid
        assert server.end() == 0
        assert server.complaint == ""


def test_preloaded_workers_share_one_import() -> None:
    program = "-w", "2", "--preload"
    with Server(*program, app="tests.supervisor.preloaded:app") as server:
        server.address()
        with server.connect() as peer:
            imported_by, pid = map(int, peer.get().body.split())
        assert imported_by == server.process.pid != pid
        assert server.end() == 0
        assert server.complaint == ""


def test_a_killed_worker_is_replaced() -> None:
    """F-01, F-06, Q-P-5: at once (bench/faults.py has the time), and no request is refused meanwhile."""
    with Server(*TWO) as server:
        before = server.serving(2)
        victim = min(before)
        kill(victim)
        eventually(lambda: len(server.workers()) == 2 and victim not in server.workers(), WAIT)
        with server.connect() as peer:
            assert peer.get().status == 200
        after = server.serving(2)
        assert len(after & before) == 1
        assert server.said(f"Worker {victim} was ended by SIGKILL .*memory.*; another takes its place now")
        assert server.end() == 0


def test_a_worker_killed_under_load_fails_only_what_it_was_doing() -> None:
    """F-02."""
    with Server(*TWO) as server:
        workers = server.serving(2)
        with Load(server, clients=4) as load:
            eventually(lambda: load.done > 50, WAIT)
            kill(min(workers))
            done = load.done
            eventually(lambda: load.done > done + 200, WAIT)
        assert len(load.failures) <= 4, load.failures  # a request in flight for each client at the most
        assert server.end() == 0


def test_all_workers_killed_at_once() -> None:
    """F-03: what connects meanwhile waits, and is served."""
    with Server(*TWO) as server:
        workers = server.serving(2)
        for worker in workers:
            kill(worker)
        with server.connect() as peer:
            assert int(peer.get().body) not in workers
        assert server.serving(2).isdisjoint(workers)
        assert server.end() == 0


@pytest.mark.parametrize("how", ["idle", "busy"])
def test_workers_do_not_outlive_their_supervisor(how: str) -> None:
    """F-04, Q-P-24, LC-17: no orphan holds the port."""
    with Server(*TWO, "--graceful-timeout", "1") as server:
        workers = server.serving(2)
        with server.connect() as peer:
            if how == "busy":
                peer.send(request("/slow/60"))
                server.await_line(re.compile("inside"), server.output)
            server.process.kill()
            eventually(lambda: not any(map(is_alive, workers)), WAIT)
            assert server.refused()
        server.process.wait()


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGABRT, "SIGABRT")])
def test_a_crash_in_compiled_code(number: int, name: str) -> None:
    """F-05: its name is logged, with a traceback of where it was, and the worker is replaced."""
    with Server("-w", "1") as server:
        (worker,) = server.serving(1)
        with server.connect() as peer:
            peer.send(request(f"/signal/{int(number)}"))
            assert peer.ended()
        assert server.serving(1) != {worker}
        assert server.said(f"Worker {worker} was ended by {name}")
        assert server.said("in serve")
        assert server.end() == 0


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("import error", "could not be loaded"),
        ("exit", "exited with code 7 before it was ready"),
        ("startup fails", "Lifespan failure in startup. 'no database'"),
        ("startup hangs", "Timeout whilst awaiting startup"),
        ("dies soon", "was ended by SIGKILL"),
    ],
)
def test_a_start_that_fails_ends_once_with_3(how: str, words: str) -> None:
    """F-07, F-13, Q-P-3: no loop, one complaint, a code of its own."""
    with Server("-w", "3", how=how, HYPERCORN_STARTUP_TIMEOUT="0.5") as server:
        assert server.code(WAIT) == 3
        found = complaints(server.errors)
        assert len(found) == 1, server.errors
        assert words in found[0]
        assert server.complaint.count("Traceback") == (how == "import error")


def test_a_worker_that_dies_soon_after_its_start_always(tmp_path: Path) -> None:
    """F-08: it serves, and dies: the first time costs nothing, then the wait doubles; at the sixth there is one
    alarm. It never gives up: once the reason is gone, all is well."""
    cure = tmp_path / "cure"
    waits = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
    with Server("-w", "1", how="dies young", file=cure) as server:
        for wait in waits:
            server.await_said(rf"exited with code 9; another takes its place {f'in {wait} seconds' if wait else 'now'}")
        cure.touch()
        (worker,) = server.serving(1)
        times = {
            word: [float(line.split()[1]) for line in server.output if line.startswith(word)] for word in ("up", "down")
        }
        pauses = [up - down for down, up in zip(times["down"], times["up"][1:], strict=False)]
        assert len(pauses) >= len(waits) - 1
        assert all(pause >= wait for pause, wait in zip(pauses, waits, strict=False)), pauses
        assert sum("[CRITICAL] Workers crash again and again: 6 times" in line for line in server.errors) == 1
        assert server.pid() == worker
        assert server.end() == 0


def test_one_worker_of_several_fails_to_start(tmp_path: Path) -> None:
    """F-09: the others serve, and it is tried again."""
    with Server("-w", "3", how="die once", file=tmp_path / "first") as server:
        server.serving(3)
        assert server.said("exited with code 9 before it was ready")
        assert server.end() == 0


@pytest.mark.parametrize("how", ["block", "spin"])
def test_a_worker_that_stands_still(how: str) -> None:
    """F-10, F-12: with `worker_timeout` it shows where, is killed and replaced."""
    with Server(*TWO, "--worker-timeout", "1") as server:
        server.serving(2)
        with server.connect() as peer:
            peer.send(request(f"/{how}/60"))
            server.await_line(re.compile("inside"), server.output)
            server.await_said("gave no sign of life for")
            server.await_said("in serve")  # faulthandler's traceback
            assert peer.ended()
        server.serving(2)
        assert server.end() == 0


def test_a_worker_that_was_stopped() -> None:
    """F-11: SIGSTOP. No new connection waits on it; with `worker_timeout` it is replaced."""
    with Server(*TWO, "--worker-timeout", "1.5") as server:
        victim, other = server.serving(2)
        kill(victim, signal.SIGSTOP)
        assert {server.pid() for _ in range(20)} == {other}
        eventually(lambda: victim not in server.workers() and len(server.workers()) == 2, WAIT)
        server.serving(2)
        assert server.end() == 0


def test_a_busy_worker_is_left_alone_by_default() -> None:
    """N16: a long call that holds the interpreter is no reason to kill."""
    with Server("-w", "1") as server, server.connect() as peer:
        peer.send(request("/block/1"))
        assert peer.response().status == 200
        assert server.complaint == ""
        assert server.end() == 0


def test_nobody_waits_on_a_blocked_worker() -> None:
    """N24: four workers, one blocked for 5 s, 200 connections."""
    with Server("-w", "4", HYPERCORN_BACKLOG="256") as server:
        server.serving(4)
        with server.connect() as blocked:
            blocked.send(request("/block/60"))
            server.await_line(re.compile("inside"), server.output)
            peers = [server.connect() for _ in range(200)]
            for peer in peers:
                peer.send(request())
            for peer in peers:
                assert peer.response().status == 200
                peer.close()
            blocked.sock.settimeout(0)
            with pytest.raises(BlockingIOError):
                blocked.more()
        server.notify(signal.SIGQUIT)
        assert server.code() == 0


@pytest.mark.parametrize("how", ["import slowly", "startup hangs"])
def test_a_signal_during_the_start(how: str) -> None:
    """F-17, LC-15: it ends promptly, and no lifespan is left half-started."""
    with Server(*TWO, "--graceful-timeout", "600", how=how) as server:
        server.await_line(re.compile("importing|starting"), server.output)
        assert server.end(signal.SIGTERM) == 0
        assert "shutdown complete\n" not in server.output
        assert server.complaint == ""


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGTERM, signal.SIGQUIT), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
)
def test_a_second_signal_forces(numbers: tuple[int, int]) -> None:
    """F-18: the second one ends at once, without a traceback."""
    with Server(*TWO, "--graceful-timeout", "600") as server, server.connect() as peer:
        peer.send(request("/slow/60"))
        server.await_line(re.compile("inside"), server.output)
        server.notify(numbers[0])
        eventually(server.refused, WAIT)
        server.notify(numbers[1])
        assert server.code() == 0
        assert "Traceback" not in server.complaint


def test_a_terminal_interrupts_all_processes_at_once() -> None:
    """Ctrl-C goes to the workers too: it is the supervisor's to act on."""
    with Server(*TWO) as server:
        workers = server.serving(2)
        with server.connect() as peer:
            peer.send(request("/slow/0.5"))
            server.await_line(re.compile("inside"), server.output)
            for pid in (*workers, server.process.pid):
                kill(pid, signal.SIGINT)
            assert peer.response().status == 200
        assert server.code() == 0
        assert server.output.count("shutdown complete\n") == 2
        assert server.complaint == ""


@pytest.mark.parametrize(("how", "words"), [("shutdown fails", "still busy"), ("shutdown hangs", "Timeout whilst")])
def test_a_shutdown_that_fails_shows_in_the_exit_code(how: str, words: str) -> None:
    """F-15."""
    with Server("-w", "1", how=how, HYPERCORN_SHUTDOWN_TIMEOUT="0.5") as server:
        server.serving(1)
        assert server.end() == 3
        assert words in server.complaint


def test_a_worker_that_is_sent_a_signal_is_replaced() -> None:
    """Whoever ends a worker gets a graceful end of that one, and another takes its place."""
    with Server(*TWO) as server:
        workers = server.serving(2)
        victim = min(workers)
        kill(victim, signal.SIGTERM)
        eventually(lambda: victim not in server.workers(), WAIT)
        assert len(server.serving(2) - workers) == 1
        assert server.output.count("shutdown complete\n") == 1
        assert server.complaint == ""
        assert server.end() == 0


def test_workers_that_the_application_forked_do_not_hold_the_port(tmp_path: Path) -> None:
    """F-44."""
    file = tmp_path / "pids"
    with Server("-w", "1", how="fork", file=file) as server:
        server.address()
        others = [int(text) for text in file.read_text().split()]
        try:
            server.notify(signal.SIGTERM)
            assert server.process.wait(WAIT) == 0
            assert all(map(is_alive, others))
            assert server.refused()
        finally:
            for pid in others:
                kill(pid)


def test_signals_without_a_supervisor() -> None:
    """`workers = 0`: logs are opened anew, and what can change under a running application does."""
    with Server("-w", "0") as server:
        pid = server.pid()
        assert pid == server.process.pid
        for number in (signal.SIGUSR1, signal.SIGHUP):
            server.notify(number)
            assert server.pid() == pid
        assert server.end() == 0
        assert server.complaint == ""


REAPER = """
import ctypes, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come here, as to process 1
from hypercorn.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
def test_orphans_of_others_are_buried(tmp_path: Path) -> None:
    """F-43: as process 1. Their ends say nothing of the workers."""
    arguments = ["-b", "127.0.0.1:0", "-w", "1", APP]
    process = subprocess.Popen(
        [sys.executable, "-c", REAPER, *arguments],
        env=environment(TEST_START="orphan", TEST_FILE=str(tmp_path / "orphan"), HYPERCORN_CONTROL="none"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("Running on" in process.stderr.readline() for _ in range(3))
        orphan = Path("/proc", (tmp_path / "orphan").read_text())
        eventually(lambda: not orphan.exists(), WAIT)  # it has ended, and is no zombie
        process.terminate()
        assert process.wait(WAIT) == 0
        assert all("[INFO]" in line for line in process.stderr)
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


def test_standard_error_is_a_closed_pipe() -> None:
    """F-35: nobody listens, nothing dies."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "-w", "2", "--access-log", "-", APP],
        stderr=write,
        stdout=write,
        cwd=ROOT,
        env=environment(HYPERCORN_CONTROL="none"),
    )
    os.close(write)
    os.close(read)
    try:

        def answer() -> int:
            try:
                with Peer(("127.0.0.1", port)) as peer:
                    return int(peer.get().body)
            except ConnectionError:
                return 0

        worker = eventually(answer, WAIT)
        kill(worker)
        eventually(lambda: len(children_of(process.pid) - {worker}) == 2, WAIT)
        assert answer() not in (0, worker)
        process.terminate()
        assert process.wait(WAIT) == 0
    finally:
        process.kill()
        process.wait()


def test_g13_a_worker_killed_with_a_hundred_streams() -> None:
    """The client sees the end of its connection; the next request is served within a second."""
    with Server("-w", "2") as server:
        server.serving(2)
        with server.connect() as peer:
            client = Conversation(peer)
            client.send(headers(1))
            victim = int(client.answer(1).body)
            target = [(name, b"/slow/60" if name == b":path" else value) for name, value in GET]
            client.send(*(headers(stream, target) for stream in range(3, 203, 2)), ping())
            client.until(lambda: any(one.kind == 6 for one in client.reader.frames))
            kill(victim)
            assert client.ended()
        assert server.pid() != victim
        assert victim not in server.serving(2)
