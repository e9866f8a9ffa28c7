"""What reaches a server with workers from outside, as processes: files of sockets, certificates, clients, pipes."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import ROOT, environment
from tests.supervisor.servers import WAIT, Server, kill
from tests.support.live import eventually
from tests.support.peer import Peer, request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")
TWO = ("-w", "2")


def test_the_file_of_a_unix_socket_stale_and_in_use(tmp_path: Path) -> None:
    """F-29: one that a killed server left is replaced; that of a server that runs is left alone, and the second one
    says so and ends with 3."""
    path = tmp_path / "s"
    with Server(*TWO, bind=f"unix:{path}") as killed:
        killed.await_said("Running on")
        workers = killed.workers()
        killed.process.kill()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), WAIT)
    assert path.exists()
    with Server(*TWO, bind=f"unix:{path}") as server:
        server.await_said("Running on")
        with Server(*TWO, bind=f"unix:{path}") as second:
            assert second.code() == 3
            assert sum("address already in use" in line for line in second.errors) == 1
            assert "Traceback" not in second.complaint
        with Peer(str(path)) as peer:
            assert int(peer.get().body) in server.workers()
        assert server.end() == 0
    assert not path.exists()


def presented(server: Server, client: ssl.SSLContext) -> bytes:
    """The certificate of a new connection, on which a request is served too."""
    with server.connect(tls=client) as peer:
        assert peer.get().status == 200
        certificate = peer.sock.getpeercert(binary_form=True)
        assert certificate
        return bytes(certificate)


def test_certificates_replaced_and_broken(authority: Any) -> None:
    """F-46: a reload brings a new pair; one that is broken, or whose halves do not fit, changes nothing."""
    served = authority.issue("localhost", file="served")
    others = [authority.issue("localhost", file=f"other{number}") for number in range(2)]
    client = authority.client()
    arguments = ("--certfile", served["certfile"], "--keyfile", served["keyfile"])
    with Server(*TWO, *arguments, HYPERCORN_CERTIFICATE_RELOAD="false") as server:
        first = presented(server, client)

        def put(certificate: bytes, key: str) -> None:
            Path(served["certfile"]).write_bytes(certificate)
            Path(served["keyfile"]).write_bytes(Path(key).read_bytes())
            server.errors[:] = [line for line in server.errors if "Running on" in line]
            server.notify(signal.SIGHUP)

        put(Path(others[0]["certfile"]).read_bytes(), others[0]["keyfile"])
        server.await_said("All workers are new")
        second = presented(server, client)
        assert second != first
        workers = server.workers()
        for certificate in (b"nonsense", Path(others[1]["certfile"]).read_bytes(), b""):
            put(certificate, others[0]["keyfile"])
            server.await_said("The new configuration cannot be used|The reload failed")
            assert {presented(server, client) for _ in range(6)} == {second}
            assert server.workers() == workers
            assert not server.said("Traceback")
        put(Path(others[1]["certfile"]).read_bytes(), others[1]["keyfile"])
        server.await_said("All workers are new")
        assert presented(server, client) not in (first, second)
        assert server.end() == 0


@pytest.mark.parametrize("trusted", ["", "192.0.2.0/24,unix"], ids=["nobody", "others"])
def test_forwarding_fields_of_strangers(trusted: str) -> None:
    """F-47: nobody is trusted who was not named; whoever sends such fields moves neither address nor scheme."""
    claims = (
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: for=1.2.3.4;proto=https;host=evil.example",
        "X-Real-IP: 1.2.3.4",
    )
    options = {"HYPERCORN_TRUSTED_PROXIES": trusted} if trusted else {}
    with Server(*TWO, **options) as server, server.connect() as peer:
        for claim in claims:
            told = peer.get("/client", claim).body.decode()
            assert told == f"127.0.0.1 {peer.sock.getsockname()[1]} http /client {server.address()[1]}"
        peer.send(b"PROXY TCP4 1.2.3.4 127.0.0.1 1 2\r\n" + request("/client"))
        assert peer.response().status == 400
        assert server.end() == 0


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_scans_and_health_checks(worker_class: str) -> None:
    """F-49: who connects and closes, resets, speaks TLS or anything else, leaves no record and hurts nobody."""
    with Server(*TWO, "-k", worker_class) as server:
        workers = server.serving(2)
        hello = ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        first_words = (b"", hello.read(), b"\0" * 100, b"SSH-2.0-x\r\n", b"EHLO a\r\n", b"GET", b"\x16\x03\x01")
        for _ in range(20):
            for words in first_words:
                for reset in (False, True):
                    peer = server.connect()
                    peer.send(words)
                    if reset:
                        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    peer.close()
        assert server.serving(2) == workers
        assert server.complaint == ""
        assert server.end() == 0
        assert server.complaint == ""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_pipe_that_nobody_reads(workers: str) -> None:
    """F-35: the access log goes to a pipe that is full. Nobody waits for it, neither a request nor the end (of an
    application that says nothing there itself)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    read, write = os.pipe()
    command = [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "-w", workers, "--access-log", "-"]
    process = subprocess.Popen(
        [*command, "tests.supervisor.preloaded:app"],
        stdout=write,
        stderr=write,
        cwd=ROOT,
        env=environment(HYPERCORN_CONTROL="none"),
    )
    os.close(write)
    try:

        def connect() -> Peer | None:
            try:
                return Peer(("127.0.0.1", port))
            except ConnectionError:
                return None

        with eventually(connect, WAIT) as peer:
            for number in range(200):  # ten times what a pipe holds
                assert peer.get(f"/{number}/" + "a" * 4_000).status == 200
        process.terminate()
        assert process.wait(WAIT) == 0
    finally:
        os.close(read)
        process.kill()
        process.wait()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_an_error_log_on_a_full_disk(tmp_path: Path) -> None:
    """F-34: what goes wrong cannot be told; it is mended all the same."""
    path = tmp_path / "s"
    with Server(*TWO, "--error-log", "/dev/full", bind=f"unix:{path}") as server:

        def answer() -> int:
            try:
                with Peer(str(path)) as peer:
                    return int(peer.get().body)
            except OSError:
                return 0

        victim = eventually(answer, WAIT)
        kill(victim)
        eventually(lambda: len(server.workers()) == 2 and victim not in server.workers(), WAIT)
        assert answer() in server.workers()
        assert server.end() == 0
        assert "Traceback" not in server.complaint
