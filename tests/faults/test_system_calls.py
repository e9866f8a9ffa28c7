"""System calls that fail, under every loop and transport, the compiled reactor too: a library put before the C library
of a server's process gives the errors (`shim.c`). The connection that they befall ends, or goes on where the error says
"again"; all others go on; the process stays, and has at most one record to tell (N1)."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.conftest import PLACES
from tests.faults.world import Clients, certificate
from tests.support.live import eventually
from tests.support.peer import Peer
from tests.support.peer import request as h1_request

CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux") or CC is None, reason="needs Linux and a C compiler"),
    pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="another library is put before all"),
]
ROOT = Path(__file__).resolve().parents[2]
RECV, SEND, ACCEPT, CLOSE, SHUTDOWN, RECV_DATAGRAM, SEND_DATAGRAM, SEND_FILE = range(1, 9)
CALLS = {"recv": RECV, "send": SEND, "close": CLOSE, "shutdown": SHUTDOWN}
GONE = (
    errno.ECONNRESET,
    errno.EPIPE,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EIO,
    errno.ENOTCONN,
)
AGAIN = (errno.EAGAIN, errno.EINTR)
NOT_SO = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # the kernel cannot send this file by itself
FILE = os.urandom(3_000_000)
CARRIERS = ("h1", "h1-tls", "h2", "h2-tls", "ws-h1", "ws-h2-tls")


class Shimmed(Clients):
    """A server whose system calls fail on demand. Given a path, it is one of WSGI that answers by that file."""

    def __init__(self, backend: str, driver: str, shim: str, folder: Path, *served: str) -> None:
        self.driver = driver
        files, authority = certificate(folder)
        control = folder / "control"
        control.write_bytes(bytes(4096))
        with open(control, "r+b") as file:
            self.words = mmap.mmap(file.fileno(), 4096)
        self.log = folder / "log"
        environment = {**os.environ, "LD_PRELOAD": shim, "FAULTS_FILE": str(control), "PYTHONPATH": str(ROOT)}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.server", backend, driver, *files.values(), *served],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        told = self.process.stdout.readline().decode().split()
        assert told, self.log.read_text()
        ports = {url.partition(":")[0]: int(url.rpartition(":")[2]) for url in told}
        super().__init__(authority, {"plain": ports["http"], "tls": ports["https"]})

    def arm(self, call: int, number: int, port: int = 0, count: int = 1) -> None:
        """Lets calls fail, `count` of them."""
        self.words[:20] = struct.pack("=5I", call, number, port, 0, 0)
        self.words[12:16] = struct.pack("=I", count)

    @property
    def failed(self) -> int:
        """How many have failed."""
        return int(struct.unpack_from("=I", self.words, 16)[0])

    @property
    def by_sendfile(self) -> int:
        """Bytes that the kernel has sent from files."""
        return int(struct.unpack_from("=I", self.words, 20)[0])

    def disarm(self) -> int:
        """No more of them. Returns how many have failed."""
        self.words[12:16] = bytes(4)
        return self.failed

    def records(self) -> list[str]:
        """The lines that begin a record."""
        return [line for line in self.log.read_text().splitlines() if line.startswith("[")]

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def serves(self, *carriers: str) -> None:
        """It lives, its old clients are served, and a new one is."""
        self.check(*carriers)
        for carrier in carriers:
            fresh = self.new(carrier)
            fresh.go()
            fresh.leave()
        assert self.process.poll() is None

    def close(self) -> None:
        super().close()
        self.process.communicate(timeout=10)
        assert self.process.returncode == 0, self.log.read_text()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library, compiled."""
    path = str(tmp_path_factory.mktemp("shim") / "shim.so")
    source = str(Path(__file__).with_name("shim.c"))
    assert CC is not None
    subprocess.run([CC, "-O1", "-shared", "-fPIC", "-o", path, source, "-ldl"], check=True)
    return path


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def server(request: pytest.FixtureRequest, shim: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shimmed]:
    shimmed = Shimmed(*request.param, shim, tmp_path_factory.mktemp("server"))
    shimmed.check()
    yield shimmed
    shimmed.disarm()
    shimmed.close()


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def files(request: pytest.FixtureRequest, shim: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shimmed]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "file").write_bytes(FILE)
    shimmed = Shimmed(*request.param, shim, folder, str(folder / "file"))
    yield shimmed
    shimmed.close()


def play(server: Shimmed, carrier: str, call: int, number: int) -> tuple[int, int]:
    """One client whose calls fail: how many did, and the status that it got."""
    victim = server.new(carrier)
    if call in (SEND, RECV):
        victim.go()  # the handshake is over
    server.arm(call, number, victim.port, 1 if number in AGAIN else 1000)
    status = victim.provoke("/ok")
    if call in (CLOSE, SHUTDOWN):
        victim.leave()
    failed = server.disarm()
    victim.leave()
    return failed, status


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_call_fails(server: Shimmed, carrier: str, call: str) -> None:
    before = server.descriptors()
    for number in (*GONE, *AGAIN):
        records = len(server.records())
        failed, status = play(server, carrier, CALLS[call], number)
        name = errno.errorcode[number]
        if call in ("recv", "send"):
            assert failed, name
            if number in AGAIN:
                assert status in (200, 101), name
            else:
                assert not status, name
        server.check(carrier)
        assert len(server.records()) - records <= 1, (name, server.records()[records:])
    server.serves(carrier)
    server.check()
    eventually(lambda: server.descriptors() <= before)


@pytest.mark.parametrize("number", [*GONE[:2], errno.EMFILE, errno.ENFILE, errno.EPROTO, errno.ECONNABORTED, *AGAIN])
def test_accept_fails(server: Shimmed, number: int) -> None:
    """The connection waits in the kernel, and is taken later."""
    server.arm(ACCEPT, number, count=2)
    for carrier in ("h1", "h2-tls"):
        fresh = server.new(carrier)
        fresh.go()
        fresh.leave()
    assert server.disarm()
    server.serves("h1")
    server.check()


@pytest.mark.parametrize("call", [RECV_DATAGRAM, SEND_DATAGRAM], ids=["recv", "send"])
def test_datagrams_fail(server: Shimmed, call: int) -> None:
    """What is lost is sent again, by whoever sent it: QUIC's affair."""
    records = len(server.records())
    for number in (*GONE[:8], *AGAIN):
        server.arm(call, number, count=2)
        victim: Any = server.new("h3")
        assert victim.provoke("/ok") == 200, errno.errorcode[number]
        assert server.disarm()
        victim.leave()
    server.serves("h3")
    server.check()
    assert server.records()[records:] == []


def fetch(server: Shimmed, peer: Peer) -> int:
    """Gets the file. Returns how much of it the kernel sent by itself."""
    before = server.by_sendfile
    assert peer.get().body == FILE
    return server.by_sendfile - before


def test_files_leave_by_sendfile(files: Shimmed) -> None:
    """`wsgi.file_wrapper`, to a plain socket of the reactor's; a loop's own transport gets the same bytes, read."""
    with Peer(("127.0.0.1", files.ports["plain"])) as peer:
        for _ in range(2):
            assert fetch(files, peer) == (len(FILE) if files.driver == "reactor" else 0)


def test_sendfile_fails(files: Shimmed) -> None:
    """The response is cut, goes on, or is read; no other is touched, and no descriptor stays open."""
    address = ("127.0.0.1", files.ports["plain"])
    with Peer(address) as bystander:
        fetch(files, bystander)
        before = files.descriptors()
        for number in (*GONE, *AGAIN, *NOT_SO):
            with Peer(address) as victim:
                files.arm(SEND_FILE, number, victim.port, 1 if number in AGAIN else 1000)
                victim.send(h1_request())
                length = int(dict(victim.head()[1])["content-length"])
                got = victim.rest() if number in GONE and files.driver == "reactor" else victim.take(length)
                assert bool(files.disarm()) == (files.driver == "reactor"), errno.errorcode[number]
                assert got == (b"" if number in GONE and files.driver == "reactor" else FILE), errno.errorcode[number]
            fetch(files, bystander)
        eventually(lambda: files.descriptors() <= before)
    assert files.records() == []
