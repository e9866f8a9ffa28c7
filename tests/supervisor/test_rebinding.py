"""SIGHUP with other addresses and other TLS settings: real processes, and clients that notice nothing."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.supervisor.servers import WAIT, Load, Server, is_alive, kill
from tests.support.authority import new_authority
from tests.support.live import eventually
from tests.support.peer import Peer

__all__ = ("certificates", "new_authority")  # fixtures
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")
GRACE = {"HYPERCORN_IDLE_GRACE": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Settings(Server):
    """A server whose options are in a file that can be changed."""

    def __init__(self, file: Path, **options: Any) -> None:
        self.file = file
        self.write(**options)
        super().__init__("-c", str(file), bind="", **GRACE)

    def write(self, **options: Any) -> None:
        """Other options."""
        texts = {name: json.dumps(value) for name, value in options.items()}  # which is TOML too
        lines = [f"{name} = {text}" for name, text in texts.items()]
        self.file.write_text("\n".join(lines) + "\n")

    def change(self, **options: Any) -> None:
        """Other options, and waits until every worker serves with them."""
        self.write(**options)
        done = self.count("All workers are new")
        self.notify(signal.SIGHUP)
        eventually(lambda: self.count("All workers are new") > done, WAIT)

    def count(self, text: str) -> int:
        """How many lines on stderr have it."""
        return sum(text in line for line in list(self.errors))


def text(address: tuple[str, int]) -> str:
    """As `bind` has it."""
    return f"{address[0]}:{address[1]}"


def ask(address: Any, tls: ssl.SSLContext | None = None) -> int:
    """The worker that answers there. Raises ConnectionError."""
    with Peer(address, tls=tls) as peer:
        return int(peer.get().body)


def refuses(address: Any) -> Callable[[], bool]:
    """A condition: nobody listens there."""

    def refused() -> bool:
        try:
            Peer(address).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        return False

    return refused


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_one_more_address(tmp_path: Path, start_method: str) -> None:
    first, second = free_port(), free_port()
    with Settings(tmp_path / "a.toml", bind=[f"127.0.0.1:{first}"], workers=2, start_method=start_method) as server:
        before = server.serving(2)
        with Load(server) as load:
            eventually(lambda: load.done > 20, WAIT)
            binds = [f"127.0.0.1:{second}", f"127.0.0.1:{first}"]
            server.change(bind=binds, workers=2, start_method=start_method)
            done = load.done
            eventually(lambda: load.done > done + 20, WAIT)
        assert load.failures == []
        assert server.said(f"Running on http://127.0.0.1:{second} ")
        eventually(lambda: not any(map(is_alive, before)), WAIT)
        assert {ask(("127.0.0.1", first)), ask(("127.0.0.1", second))} <= server.workers()
        kill(min(server.workers()))  # whoever comes later serves on both too
        eventually(lambda: len(server.workers()) == 2, WAIT)
        assert {ask(("127.0.0.1", first)), ask(("127.0.0.1", second))} <= server.workers()
        assert server.end() == 0


@pytest.mark.parametrize("reuse_port", [False, True])
def test_another_address(tmp_path: Path, reuse_port: bool) -> None:
    """Every client that the old address let in is served, also one that waits there when the last worker leaves."""
    first, second = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    options = {"workers": 2, "reuse_port": reuse_port}
    with Settings(tmp_path / "a.toml", bind=[text(first)], **options) as server:
        before = server.serving(2)
        failures: list[str] = []
        answered: set[int] = set()

        def knock() -> None:
            while True:
                try:
                    peer = Peer(first)
                except ConnectionRefusedError:
                    return
                with peer:
                    try:
                        answered.add(int(peer.get().body))
                    except (AssertionError, OSError) as error:
                        failures.append(repr(error))

        clients = [threading.Thread(target=knock) for _ in range(3)]
        for client in clients:
            client.start()
        server.change(bind=[text(second)], **options)
        for client in clients:
            client.join(WAIT)
        assert failures == []
        assert answered <= before
        assert ask(second) not in before
        eventually(lambda: not any(map(is_alive, before)), WAIT)
        assert server.end() == 0
        assert server.complaint == ""


def test_from_a_port_to_a_unix_socket_and_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("u")
    port, path = ("127.0.0.1", free_port()), str(folder / "s")
    with Settings(folder / "a.toml", bind=[text(port)], workers=1) as server:
        server.serving(1)
        server.change(bind=[f"unix:{path}"], workers=1)
        inode = (folder / "s").stat().st_ino
        ask(path)
        eventually(refuses(port), WAIT)
        server.change(bind=[f"unix:{path}"], workers=2)
        assert (folder / "s").stat().st_ino == inode  # the same socket
        server.change(bind=[text(port)], workers=1)
        assert not (folder / "s").exists()
        ask(port)
        assert server.end() == 0
        assert server.complaint == ""


def test_an_address_that_cannot_be_had(tmp_path: Path) -> None:
    """The workers and the addresses of before stay, and one record says why."""
    port = free_port()
    with socket.socket() as other, Settings(tmp_path / "a.toml", bind=[f"127.0.0.1:{port}"], workers=1) as server:
        other.bind(("127.0.0.1", 0))
        other.listen()
        (worker,) = server.serving(1)
        free = free_port()
        server.write(bind=[f"127.0.0.1:{free}", f"127.0.0.1:{other.getsockname()[1]}"], workers=2)
        server.notify(signal.SIGHUP)
        server.await_said("cannot be used; the one of before stays: .*address already in use")
        assert server.serving(1) == {worker}
        assert refuses(("127.0.0.1", free))()
        assert server.complaint.count("\n") == 1
        server.change(bind=[f"127.0.0.1:{free}", f"127.0.0.1:{port}"], workers=1)
        assert ask(("127.0.0.1", free)) == ask(("127.0.0.1", port)) != worker
        assert server.end() == 0


def test_a_new_address_goes_with_the_code_that_failed(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    with Settings(tmp_path / "a.toml", bind=[f"127.0.0.1:{first}"], workers=2) as server:
        before = server.serving(2)
        (tmp_path / "broken.pem").write_text("no certificate")
        broken = str(tmp_path / "broken.pem")
        server.write(bind=[f"127.0.0.1:{second}"], workers=2, certfile=broken, keyfile=broken)
        server.notify(signal.SIGHUP)
        server.await_said("The reload failed; the workers of before go on")
        eventually(refuses(("127.0.0.1", second)), WAIT)
        assert server.serving(2) == before
        assert server.end() == 0


def test_tls_on_and_another_certificate(tmp_path: Path, certificates: Certificates, authority: Any) -> None:
    port = ("127.0.0.1", free_port())
    plain = {"bind": [text(port)], "workers": 1}
    with Settings(tmp_path / "a.toml", **plain) as server:
        server.serving(1)
        server.change(**plain, certfile=certificates.certfile, keyfile=certificates.keyfile)
        ask(port, certificates.client)
        assert server.said(f"Running on https://127.0.0.1:{port[1]} ")
        server.change(**plain, **authority.issue("localhost"), tls_min_version="1.3")
        ask(port, authority.client())
        older = authority.client()
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            ask(port, older)
        server.change(**plain)
        ask(port)
        assert server.end() == 0
        assert server.complaint == ""


def visit(address: tuple[str, int], client: ssl.SSLContext, session: Any = None) -> tuple[int, bool, Any]:
    """One request: the worker that answers, whether the session went on, and the session."""
    with socket.create_connection(address, WAIT) as sock, client.wrap_socket(sock, session=session) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := tls.recv(65536):
            data += piece
        found = re.search(rb"\r\n\r\n(\d+)", data)
        assert found
        return int(found[1]), bool(tls.session_reused), tls.session


def careless(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that trusts everybody."""
    client = ssl.create_default_context(cafile=None)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("worker_class", ["asyncio", "trio"])
def test_a_session_goes_on_at_another_worker(
    tmp_path: Path, certificates: Certificates, version: ssl.TLSVersion, worker_class: str
) -> None:
    """Forked workers share the keys of session tickets, and so do those that a reload brings."""
    client = careless(version)
    files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
    options = {"bind": ["127.0.0.1:0"], "workers": 2, "worker_class": worker_class, "start_method": "fork", **files}
    with Settings(tmp_path / "a.toml", **options) as server:
        address = server.address()
        eventually(lambda: len(server.workers()) == 2, WAIT)

        first, reused, session = visit(address, client)
        assert not reused

        def elsewhere() -> bool:
            pid, reused, _ = visit(address, client, session)
            assert reused
            return pid != first

        eventually(elsewhere, WAIT)
        before = server.workers()
        server.change(**options)
        eventually(lambda: not any(map(is_alive, before)), WAIT)
        pid, reused, _ = visit(address, client, session)
        assert pid not in before
        assert reused
        assert server.end() == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_a_fresh_interpreter(tmp_path: Path, certificates: Certificates, version: ssl.TLSVersion) -> None:
    """Spawned workers have keys of their own: the session goes on at the same one, another begins a new one."""
    client = careless(version)
    files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
    options = {"bind": ["127.0.0.1:0"], "workers": 2, "start_method": "spawn", **files}
    with Settings(tmp_path / "a.toml", **options) as server:
        address = server.address()
        first, reused, session = visit(address, client)
        assert not reused
        seen = set()

        def both() -> bool:
            pid, reused, _ = visit(address, client, session)
            assert reused == (pid == first)
            seen.add(pid)
            return len(seen) == 2

        eventually(both, WAIT)
        assert server.end() == 0
        assert server.complaint == ""
