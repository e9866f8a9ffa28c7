"""What runs out under a server with workers, and what jumps: descriptors, disks, clocks, the machine's attention."""

from __future__ import annotations

import http.client
import os
import re
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import ROOT, complaints, environment
from tests.process.unprivileged import unprivileged
from tests.runtime.test_tls import Certificates, certificates
from tests.supervisor.groups import control_group
from tests.supervisor.servers import APP, WAIT, Load, Server, is_alive, kill
from tests.support.live import DRIVERS, eventually
from tests.support.peer import Peer, request

__all__ = ("certificates",)  # a fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and limits as Linux has them")
INSIDE = re.compile("inside")
ACCESS = ("--access-log-format", "json", "--access-log")


def cpu(pid: int) -> float:
    """Seconds of CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("worker_class", ["asyncio", "trio"])
def test_a_worker_out_of_descriptors(worker_class: str) -> None:
    """F-30, F-32: it says so once, does not spin, serves those who are in, and takes the others when there is room."""
    with Server("-w", "1", "-k", worker_class, HYPERCORN_BACKLOG="256") as server:
        (worker,) = server.serving(1)
        with server.connect() as early:
            early.get()
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (64, 64))
            peers = [server.connect() for _ in range(200)]
            server.await_said("Cannot accept a connection|Too many open files|out of system resource")
            before = cpu(worker)
            for _ in range(5):
                assert early.get().status == 200
            time.sleep(0.3)  # for as long as it would spin
            assert cpu(worker) - before < 0.25
            for peer in peers[:190]:
                peer.close()
            for peer in peers[190:]:
                assert peer.get().status == 200
        assert server.end() == 0


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_no_processes_to_be_had(method: str) -> None:
    """F-33: the system's limit of them is reached when a worker has died: the other one serves, it is tried again at
    intervals, and once there is room there are two again."""
    prefix = unprivileged()
    with Server("-w", "2", "--start-method", method, prefix=prefix) as server:
        victim, other = server.serving(2)
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)

        def limit(soft: int) -> None:
            code = f"import resource; resource.prlimit({server.process.pid}, resource.RLIMIT_NPROC, ({soft}, {hard}))"
            subprocess.run([*prefix, sys.executable, "-c", code], check=True)  # only its own user may

        limit(1)
        kill(victim)
        server.await_said("Cannot start a worker, trying again in 1.0 seconds: .*Resource temporarily unavailable")
        before = cpu(server.process.pid)
        assert {server.pid() for _ in range(20)} == {other}
        eventually(lambda: sum("Cannot start a worker" in line for line in server.errors) >= 2, WAIT)
        assert server.workers() == {other}
        assert cpu(server.process.pid) - before < 0.25
        limit(hard)
        assert other in server.serving(2)
        assert server.end() == 0
        assert "Traceback" not in server.complaint


@pytest.mark.parametrize(("quota", "workers"), [(50_000, 1), (150_000, 2), (-1, None)])
def test_a_quota_of_cpu_time(quota: int, workers: int | None) -> None:
    """F-45: `workers = auto` in a real control group: half a processor is one worker, one and a half are two."""
    cpus = len(os.sched_getaffinity(0))
    expected = cpus if workers is None else min(workers, cpus)
    new = {"cpu.max": f"{quota if workers else 'max'} 100000"}
    with control_group("cpu", {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": quota}, new) as prefix:  # noqa: SIM117
        with Server("-w", "auto", prefix=prefix) as server:
            server.serving(expected)
            assert server.end() == 0
            assert server.complaint == ""


def test_the_system_ran_out_of_memory() -> None:
    """F-06: in a control group with little of it, the kernel kills the worker that takes too much. The record
    says what to suspect, the worker is replaced, and the others go on."""
    limit = 400 << 20
    with control_group("memory", {"memory.limit_in_bytes": limit}, {"memory.max": limit}) as prefix:  # noqa: SIM117
        with Server("-w", "2", prefix=prefix) as server:
            server.serving(2)
            with server.connect() as peer:
                victim = int(peer.get().body)
                peer.send(request(f"/hoard/{2 * limit}"))
                assert peer.ended()
            server.await_said(f"Worker {victim} was ended by SIGKILL .*memory")
            assert victim not in server.serving(2)
            assert server.end() == 0


def lines_dropped(metrics: Path) -> int:
    """What the workers say of their logs."""
    with Peer(str(metrics)) as peer:
        found = re.search(rb"hypercorn_log_records_dropped_total (\d+)", peer.get("/metrics").body)
    assert found
    return int(found[1])


def test_a_full_disk(tmp_path: Path) -> None:
    """F-34: requests are served, and the lines are counted that nobody will read."""
    metrics = tmp_path / "m"
    with Server("-w", "2", *ACCESS, "/dev/full", "--metrics-bind", f"unix:{metrics}") as server:
        server.serving(2)
        for _ in range(10):
            server.pid()
        eventually(lambda: lines_dropped(metrics) >= 10, WAIT)
        assert server.end() == 0


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    """F-34: the log goes on where there is room again."""
    path, metrics = tmp_path / "access", tmp_path / "m"
    with Server("-w", "1", *ACCESS, str(path), "--metrics-bind", f"unix:{metrics}") as server:
        (worker,) = server.serving(1)
        eventually(lambda: path.stat().st_size, WAIT)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        server.pid("/lost")
        eventually(lambda: lines_dropped(metrics), WAIT)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        server.pid("/kept")
        eventually(lambda: '"path":"/kept"' in path.read_text(), WAIT)
        assert "lines were dropped here" in path.read_text()
        assert server.end() == 0


@pytest.mark.parametrize("how", ["renamed", "deleted", "truncated"])
def test_rotated_logs(tmp_path: Path, how: str) -> None:
    """F-36: SIGUSR1 reaches the supervisor's log and those of all workers."""
    path = tmp_path / "access"
    with Server("-w", "2", *ACCESS, str(path)) as server:
        server.serving(2)
        eventually(lambda: path.exists() and path.stat().st_size, WAIT)
        if how == "renamed":
            path.rename(tmp_path / "access.1")
        elif how == "deleted":
            path.unlink()
        else:
            shutil.copy(path, tmp_path / "access.1")
            os.truncate(path, 0)
        if how != "truncated":  # a file that is appended to needs nobody to tell
            server.notify(signal.SIGUSR1)
            eventually(path.exists, WAIT)
        asked: list[tuple[int, str]] = []  # worker, path

        def logged() -> bool:
            target = f"/after/{len(asked)}/"
            asked.append((server.pid(target), target))
            text = path.read_text()
            return len({pid for pid, target in asked if target in text}) == 2 and "\0" not in text

        eventually(logged, WAIT)
        assert server.end() == 0


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {  /* seconds that the clock on the wall is off */
    const char *file = getenv("SHIM_JUMP");
    return file && access(file, F_OK) == 0 ? atol(getenv("SHIM_SECONDS")) : 0;
}
int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (code == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += jump();
    return code;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    static int (*real)(int, struct sockaddr *, socklen_t *, int);
    static const int errors[] = {ECONNABORTED, EPROTO, EINTR, ENOBUFS, ENFILE, ENOMEM, EMFILE};
    static unsigned calls;
    if (!real) real = dlsym(RTLD_NEXT, "accept4");
    if (getenv("SHIM_ACCEPT") && calls < sizeof errors / sizeof *errors) {
        errno = errors[calls++];
        return -1;
    }
    return real(fd, address, length, flags);
}
"""


@pytest.fixture(name="shim", scope="module")
def _shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that lies about the clock and about `accept4`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = str(folder / "shim.so")
    done = subprocess.run([compiler, "-shared", "-fPIC", "-o", library, str(folder / "shim.c"), "-ldl"], check=False)
    if done.returncode:
        pytest.skip("the compiler does not make it")
    return library


@pytest.mark.parametrize("hours", [1, -1])
def test_the_clock_jumps(shim: str, hours: int, tmp_path: Path) -> None:
    """F-38: nothing times out, nobody is killed, and the Date field follows."""
    jump = tmp_path / "jump"
    options: dict[str, Any] = {"LD_PRELOAD": shim, "SHIM_JUMP": str(jump), "SHIM_SECONDS": str(3600 * hours)}
    with Server("-w", "2", "--worker-timeout", "2", "--keep-alive-timeout", "5", **options) as server:
        workers = server.serving(2)

        def date(peer: Peer) -> float:
            field = peer.get().header("date")
            assert field is not None
            return parsedate_to_datetime(field).timestamp()

        with server.connect() as idle, server.connect() as slow:
            before = date(idle)
            slow.send(request("/slow/1.5"))
            server.await_line(INSIDE, server.output)
            jump.touch()
            eventually(lambda: abs(date(idle) - before - 3600 * hours) < 600, WAIT)
            assert slow.response().status == 200
            assert date(idle)
        assert server.workers() == workers
        assert server.complaint == ""
        assert server.end() == 0


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_accepting_fails_for_a_while(shim: str, worker_class: str) -> None:
    """F-31: ECONNABORTED, EPROTO, EINTR, ENOBUFS, ENFILE, ENOMEM and EMFILE from accept."""
    if worker_class == "uvloop" and "reactor" not in DRIVERS:
        pytest.skip("libuv's listener turns a client away where descriptors have run out")
    with Server("-w", "1", "-k", worker_class, LD_PRELOAD=shim, SHIM_ACCEPT="1") as server:
        server.address()
        for _ in range(3):
            assert server.pid()
        assert server.end() == 0


def test_everybody_stood_still_for_a_while() -> None:
    """F-39: the machine slept. Silence in that time is nobody's fault."""
    with Server("-w", "2", "--worker-timeout", "0.8") as server:
        workers = server.serving(2)
        everybody = [server.process.pid, *workers]
        for pid in everybody:
            kill(pid, signal.SIGSTOP)
        time.sleep(2)
        for pid in everybody:
            kill(pid, signal.SIGCONT)
        done = time.monotonic() + 1
        while time.monotonic() < done:
            assert server.pid() in workers
        assert server.workers() == workers
        assert server.complaint == ""
        assert server.end() == 0


@pytest.mark.parametrize(("mode", "code"), [("auto", 0), ("on", 3)])
def test_an_application_without_lifespan(mode: str, code: int) -> None:
    """F-14."""
    with Server("-w", "2", how="no lifespan", HYPERCORN_LIFESPAN=mode) as server:
        if code:
            assert server.code() == code
            assert len(complaints(server.errors)) == 1
        else:
            server.serving(2)
            assert server.end() == 0


def test_a_lifespan_that_ends_before_its_time() -> None:
    """F-16: it is logged, what was up stays up, and the end is clean."""
    with Server("-w", "1", how="lifespan crashes") as server:
        server.serving(1)
        server.await_said("lost the database")
        assert server.pid()
        assert server.end() == 0


def test_a_second_server_on_the_same_port() -> None:
    """F-27: `reuse_port` would let it in, and take half of the clients; it is refused."""
    with Server("-w", "2", "--reuse-port") as server:
        host, port = server.address()
        command = [sys.executable, "-m", "hypercorn", "--reuse-port", "-w", "2", "-b", f"{host}:{port}", APP]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(HYPERCORN_CONTROL="none"),
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 3
        assert "address already in use" in done.stderr
        assert server.end() == 0


def test_connections_are_shared_out() -> None:
    """F-42: four workers, 400 connections that stay: none has more than twice its share. Another try, where the machine
    gave one worker no time."""
    with Server("-w", "4", "-k", "uvloop", HYPERCORN_BACKLOG="512") as server:
        server.serving(4)

        def even() -> bool:
            counts: dict[int, int] = {}
            connections = [http.client.HTTPConnection(*server.address(), timeout=WAIT) for _ in range(400)]
            for connection in connections:
                connection.request("GET", "/")
            for connection in connections:
                pid = int(connection.getresponse().read())
                counts[pid] = counts.get(pid, 0) + 1
            for connection in connections:
                connection.close()
            return len(counts) == 4 and max(counts.values()) <= 200

        eventually(even, WAIT)
        assert server.end() == 0


@pytest.mark.skipif("reactor" not in DRIVERS, reason="the loops' own listeners take what they get")
@pytest.mark.parametrize("held", [True, False], ids=["held", "closed"])
@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_connections_that_come_slowly_are_shared_out(worker_class: str, held: bool) -> None:
    """F-42: one every few milliseconds, so that all workers are idle and wake for each. Who has had less goes first:
    none has less than half of its share or more than 1.6 times of it. Another try, where the machine was busy."""
    with Server("-w", "4", "-k", worker_class) as server:
        server.serving(4)

        def even() -> bool:
            counts: dict[int, int] = {}
            peers = []
            for _ in range(200):
                peer = server.connect()
                pid = int(peer.get().body)
                counts[pid] = counts.get(pid, 0) + 1
                if held:
                    peers.append(peer)
                else:
                    peer.close()
                time.sleep(0.003)
            for peer in peers:
                peer.close()
            return len(counts) == 4 and min(counts.values()) >= 25 and max(counts.values()) <= 80

        eventually(even, WAIT)
        assert server.end() == 0


def test_nobody_waits_long_for_a_worker_that_is_behind() -> None:
    """F-42 and F-11 together: of three workers one is stopped and gets nothing, another is new; all others are served
    by those who run, the new one gets its share, and the one that comes back does not get all that it has missed."""
    with Server("-w", "3") as server:
        before = server.serving(3)
        stopped, killed, other = before
        kill(stopped, signal.SIGSTOP)
        counts = dict.fromkeys((server.pid() for _ in range(300)), 0)
        assert set(counts) == {killed, other}
        kill(killed)
        eventually(lambda: len(server.workers() - {stopped, killed}) == 2, WAIT)
        (fresh,) = server.workers() - before

        def count() -> dict[int, int]:
            pids = [server.pid() for _ in range(200)]
            return {pid: pids.count(pid) for pid in pids}

        eventually(lambda: min(count().get(pid, 0) for pid in (fresh, other)) >= 25, WAIT)
        kill(stopped, signal.SIGCONT)
        eventually(lambda: 25 <= count().get(stopped, 0) <= 150, WAIT)
        assert server.end() == 0


def test_connections_that_were_abandoned() -> None:
    """F-48: nobody says goodbye; what waits for a head or for the next request ends by itself, and its memory too."""
    options = {"HYPERCORN_HEADER_TIMEOUT": "0.3", "HYPERCORN_KEEP_ALIVE_TIMEOUT": "0.3"}
    with Server("-w", "2", **options) as server:
        workers = server.serving(2)
        before = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers)
        held = sum(map(resident, workers))
        peers = [server.connect() for _ in range(300)]
        for place, peer in enumerate(peers):
            peer.send((b"", b"GET / HTTP/1.1\r\nHost:", request())[place % 3])
        for peer in peers:
            peer.rest()
        eventually(lambda: sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers) <= before + 4, WAIT)
        assert sum(map(resident, workers)) - held < 300 * 16384  # and most of it is the first use of code
        assert server.complaint == ""
        assert server.end() == 0


@pytest.mark.slow
def test_a_long_time_with_faults() -> None:
    """F-50: kills, stops and reloads at random under load, for as many seconds as HYPERCORN_SOAK says (60)."""
    import random

    chance = random.Random(7)
    end = time.monotonic() + float(os.environ.get("HYPERCORN_SOAK", "60"))
    with Server("-w", "3", "--worker-timeout", "2", HYPERCORN_IDLE_GRACE="1") as server:
        server.serving(3)
        held = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        killed = 0
        with Load(server, clients=4) as load:
            while time.monotonic() < end:
                done, victim = load.done, chance.choice(sorted(server.workers()) or [0])
                match chance.choice(["kill", "stop", "reload"]):
                    case "kill":
                        killed += 1
                        kill(victim)
                    case "stop":
                        killed += 1
                        kill(victim, signal.SIGSTOP)
                    case _:
                        server.notify(signal.SIGHUP)
                eventually(lambda done=done: load.done > done + 200, 120)  # type: ignore[misc]
                time.sleep(2)
            eventually(lambda: len(server.workers()) == 3, 120)
        assert len(load.failures) <= 4 * killed, load.failures  # what was in flight
        eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= held + 3, WAIT)
        assert all(map(is_alive, server.serving(3)))
        assert server.end() == 0


def answered(server: Server, context: ssl.SSLContext) -> None:
    with Peer(server.address(), tls=context) as peer:
        assert peer.get("/", "Connection: close").status == 200


def left(server: Server, context: ssl.SSLContext) -> None:
    """Goes away behind the handshake, half of the time without a word."""
    with Peer(server.address(), tls=context) as peer:
        if peer.port % 2:
            peer.reset()


def unfinished(server: Server, context: ssl.SSLContext) -> None:
    """Sends the ClientHello alone."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1").do_handshake()
    with Peer(server.address()) as peer:
        peer.send(outgoing.read())
        peer.take(1)


@pytest.mark.slow
@pytest.mark.parametrize("connect", [answered, left, unfinished])
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_new_tls_connections_leave_nothing(
    worker_class: str, driver: str, connect: Callable[..., None], certificates: Certificates
) -> None:
    """Neither sessions, nor cycles that wait for a collection, nor modules that a connection imports."""
    files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
    with Server("-w", "1", "-k", worker_class, *files, HYPERCORN_RUNTIME=driver) as server:
        server.address()
        (worker,) = eventually(server.workers, WAIT)

        def grown(connections: int) -> int:
            before = resident(worker)
            for _ in range(connections):
                connect(server, certificates.client)
            return resident(worker) - before

        first, then = grown(500), grown(2500)
        assert first < 12 << 20  # the first use of code
        assert then < 2500 * 400  # none of them keeps a page
        answered(server, certificates.client)
        assert server.end() == 0
