"""`acme` against pebble: certificates on every loop, renewal under requests, workers, servers that share a folder."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.certificates.authorities import KEY, KID, Pebble, free_port
from tests.process.command import Command
from tests.support.live import Live, eventually, hello
from tests.support.peer import Peer

pytest.importorskip("acme", reason="the extra acme")

NAME = "a.test"
Serve = Callable[..., Live]


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with Pebble(tmp_path_factory.mktemp("pebble"), free_port()) as pebble:
        yield pebble


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("hypercorn.net.tls.CHECK_SECONDS", 0.0)


@pytest.fixture
def options(pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a server that gets a certificate from pebble."""
    return options_for(pebble, tmp_path, monkeypatch)


def options_for(pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pebble.bundle))
    return {
        "acme": [NAME],
        "acme_directory": pebble.url,
        "acme_state": str(tmp_path / "state"),
        "insecure_bind": [f"127.0.0.1:{pebble.http_port}"],
    }


def flags(options: dict[str, Any], **others: str) -> list[str]:
    """The same options for the command."""
    found = []
    for name, value in {**options, **others}.items():
        for one in value if isinstance(value, list) else [value]:
            found += [f"--{name.replace('_', '-')}", one]
    return found


def served(address: tuple[str, int]) -> x509.Certificate:
    """The certificate that a client is shown."""
    with Peer(address) as peer:
        peer.sock = trusting_anybody().wrap_socket(peer.sock, server_hostname=NAME)
        found = peer.sock.getpeercert(True)  # type: ignore[attr-defined]
    return x509.load_der_x509_certificate(found)


def is_temporary(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject


def plan_of(folder: str | Path) -> dict[str, Any]:
    found = list(Path(folder).glob("certificates/*/*/plan.json"))
    return {} if not found else dict(json.loads(found[0].read_text()))


# -- on every loop


def test_first_certificate(serve_app: Serve, pebble: Pebble, options: dict[str, Any]) -> None:
    live = serve_app(hello, **options)
    address = ("127.0.0.1", live.port)
    assert is_temporary(served(address)), "TLS is answered from the start"
    eventually(lambda: not is_temporary(served(address)))
    with Peer(address) as peer:
        peer.sock = pebble.trusting().wrap_socket(peer.sock, server_hostname=NAME)
        assert peer.get().body == b"hello"
    with Peer(("127.0.0.1", pebble.http_port)) as peer:
        assert peer.get("/.well-known/acme-challenge/other").body == b"hello", (
            "what is not the server's is the application's"
        )
    eventually(lambda: sum(text.startswith(f"New certificate for {NAME}: valid ") for text in live.log.texts()) == 1)
    assert live.errors() == []
    folder = Path(options["acme_state"])
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert list((folder / "challenges").iterdir()) == []


def test_http3_takes_it(backend: str, pebble: Pebble, options: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("aioquic")
    from tests.support.http3 import LiveClient

    port = free_port()
    with Live(hello, backend, bind=[f"127.0.0.1:{port}"], http3=True, **options) as live:
        eventually(lambda: not is_temporary(served(("127.0.0.1", port))))
        root = tmp_path / "root.pem"
        root.write_text(pebble.root())
        with LiveClient(port, server_name=NAME, cafile=str(root), verify_mode=ssl.CERT_REQUIRED) as client:
            assert client.ask().body == b"hello"
        assert live.errors() == []


def test_a_directory_that_is_down(serve_app: Serve, tmp_path: Path) -> None:
    """The server goes on, by its temporary certificate, and says once why and what to do."""
    url = f"https://localhost:{free_port()}/dir"
    live = serve_app(
        hello, acme=[NAME], acme_directory=url, acme_state=str(tmp_path / "state"), insecure_bind=["127.0.0.1:0"]
    )
    (error,) = eventually(live.errors)
    assert error.startswith(f"No new certificate for {NAME}: {url} cannot be reached: ")
    assert "Connection refused; check acme_directory, and the network; next attempt at " in error
    with live.connect(tls=trusting_anybody()) as peer:
        assert peer.get().body == b"hello"
    plan = plan_of(tmp_path / "state")
    assert plan["failures"] == 1
    assert 50 < plan["due"] - time.time() < 70
    live.stop()
    assert len(live.errors()) == 1


def trusting_anybody() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_server_that_ends_meanwhile(backend: str, tmp_path: Path) -> None:
    """It does not wait for a directory that does not answer, nor leave a process behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}/dir"
        options = {"acme": [NAME], "acme_directory": url, "acme_state": str(tmp_path / "state")}
        with Live(hello, backend, insecure_bind=["127.0.0.1:0"], **options) as live:
            connection, _ = silent.accept()
            renewal = live.running._worker.renewal.renewal
            process = renewal.process
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert process.returncode is not None
        connection.close()
        assert live.errors() == []


# -- workers


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_take_a_renewed_certificate(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, while clients ask: no request fails, and the account stays the same."""
    with Pebble(tmp_path / "pebble", free_port(), life=7) as pebble:
        options = options_for(pebble, tmp_path, monkeypatch)
        arguments = flags(options, acme_email="me@a.test")
        with command("-w", "2", "--start-method", method, *arguments) as server:
            address = server.address()
            serials = set()

            def seen() -> int:
                with Peer(address) as peer:
                    peer.sock = trusting_anybody().wrap_socket(peer.sock, server_hostname=NAME)
                    der = peer.sock.getpeercert(True)  # type: ignore[attr-defined]
                    assert peer.get().status == 200
                certificate = x509.load_der_x509_certificate(der)
                if not is_temporary(certificate):
                    serials.add(certificate.serial_number)
                time.sleep(0.05)
                return len(serials) >= 3

            eventually(seen)
            assert server.end() == 0
            assert server.complaint == ""
            assert server.said_times("New certificate for a.test") >= 3
        assert pebble.count("There are now 1 accounts in memory") == 1
        assert pebble.count("There are now 2 accounts in memory") == 0


class Server(Command):
    """The command, and what it says."""

    def said_times(self, text: str) -> int:
        """How many lines have a text."""
        return sum(text in line for line in self.errors)

    def eventually_said(self, text: str) -> None:
        """Waits for a line."""
        eventually(lambda: self.said_times(text))


def command(*arguments: str, **variables: str) -> Server:
    return Server("-b", "127.0.0.1:0", *arguments, "examples.hello:app", HYPERCORN_CONTROL="none", **variables)


def test_servers_that_share_a_folder(pebble: Pebble, options: dict[str, Any]) -> None:
    """Both start at once; one gets the certificate, both serve it, and whichever the directory asks has the answer."""
    orders = pebble.count("Added order")
    other = {**options, "insecure_bind": ["127.0.0.1:0"]}
    with command(*flags(options)) as first, command("-w", "0", *flags(other)) as second:
        for server in (first, second):
            eventually(lambda server=server: not is_temporary(served(server.address())))
        assert served(first.address()) == served(second.address())
        assert pebble.count("Added order") == orders + 1
        for server in (first, second):
            assert server.end() == 0
            assert server.complaint == ""


def test_a_restart_keeps_certificate_and_account(pebble: Pebble, options: dict[str, Any]) -> None:
    with command(*flags(options)) as server:
        server.eventually_said("New certificate for")
        before = served(server.address())
        assert server.end(signal.SIGTERM) == 0
    orders = pebble.count("Added order")
    with command(*flags(options)) as server:
        assert served(server.address()) == before
        time.sleep(0.5)
        assert server.end(signal.SIGTERM) == 0
        assert server.said_times("New certificate") == 0
    assert pebble.count("Added order") == orders


def test_a_restart_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends while the directory validates leaves nothing that hinders the next one."""
    with Pebble(tmp_path / "pebble", free_port(), PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="2") as pebble:
        options = options_for(pebble, tmp_path, monkeypatch)
        with command(*flags(options)) as server:
            eventually(lambda: pebble.count("Pulled a task"))
            assert server.end(signal.SIGTERM) == 0
            assert server.complaint == ""
        assert list((tmp_path / "state" / "challenges").iterdir()), "it was in between"
        with command(*flags(options)) as server:
            server.eventually_said("New certificate for")
            assert not is_temporary(served(server.address()))
            assert server.end(signal.SIGTERM) == 0
        assert pebble.count("There are now 2 accounts in memory") == 0


def test_a_restart_after_a_failure_waits(pebble: Pebble, options: dict[str, Any]) -> None:
    """A server that is started again and again does not use up the directory's limits."""
    wrong = {**options, "insecure_bind": ["127.0.0.1:0"]}  # pebble asks elsewhere
    with command(*flags(wrong)) as server:
        server.eventually_said(f"[ERROR] No new certificate for {NAME}: {NAME} was not validated: ")
        assert (
            server.said_times(
                "see to it that http://NAME/.well-known/acme-challenge/ reaches an address of insecure_bind"
            )
            == 1
        )
        assert server.end() == 0
    orders = pebble.count("Added order")
    (plan,) = Path(options["acme_state"]).glob("certificates/*/*/plan.json")
    with command(*flags(options)) as server:
        server.eventually_said(f"delete {plan} to try before; next attempt at")
        assert server.end() == 0
    assert pebble.count("Added order") == orders
    plan.unlink()
    with command(*flags(options)) as server:
        server.eventually_said("New certificate for")
        assert server.end() == 0


def test_a_reload_asks_for_other_names(tmp_path: Path, pebble: Pebble, options: dict[str, Any]) -> None:
    file = tmp_path / "hypercorn.toml"

    def write(*names: str) -> None:
        file.write_text(
            "".join(f"{name} = {json.dumps(value)}\n" for name, value in {**options, "acme": names}.items())
        )

    write(NAME)
    with command("-c", str(file)) as server:
        server.eventually_said("New certificate for a.test:")
        write(NAME, "www.a.test")
        server.notify(signal.SIGHUP)
        server.eventually_said("New certificate for a.test, www.a.test:")
        extension = x509.SubjectAlternativeName
        found = eventually(lambda: served(server.address())).extensions.get_extension_for_class(extension).value
        assert set(found.get_values_for_type(x509.DNSName)) == {NAME, "www.a.test"}
        assert server.end() == 0
        assert server.complaint == ""


# -- what directories do


def test_refused_nonces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pebble(tmp_path / "pebble", free_port(), PEBBLE_WFE_NONCEREJECT="40") as pebble:
        options = options_for(pebble, tmp_path, monkeypatch)
        with command(*flags(options)) as server:
            server.eventually_said("New certificate for")
            assert server.end() == 0
            assert server.complaint == ""


def test_external_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pebble(tmp_path / "pebble", free_port(), binding=True) as pebble:
        options = options_for(pebble, tmp_path, monkeypatch)
        with command(*flags(options)) as server:
            server.eventually_said("set acme_eab_kid and acme_eab_hmac_key to what the authority has given you; next")
            assert server.end() == 0
        next(Path(options["acme_state"]).glob("certificates/*/*/plan.json")).unlink()
        with command(
            *flags(options), "--log-level", "debug", HYPERCORN_ACME_EAB_KID=KID, HYPERCORN_ACME_EAB_HMAC_KEY=KEY
        ) as server:
            server.eventually_said("New certificate for")
            assert server.end() == 0
            assert server.said_times(KEY) == 0


def test_the_example(pebble: Pebble, options: dict[str, Any]) -> None:
    """And a redirect of everything but challenges from its plain port."""
    variables = {
        "HYPERCORN_BIND": "127.0.0.1:0",
        "HYPERCORN_INSECURE_BIND": f"127.0.0.1:{pebble.http_port}",
        "HYPERCORN_ACME_DIRECTORY": pebble.url,
        "HYPERCORN_ACME_STATE": options["acme_state"],
        "HYPERCORN_CONTROL": "none",
    }
    with Server(NAME, program=("-m", "examples.automatic_https"), **variables) as server:
        server.eventually_said("New certificate for")
        with Peer(server.address()) as peer:
            peer.sock = pebble.trusting().wrap_socket(peer.sock, server_hostname=NAME)
            assert peer.get().body == b"https, HTTP/1.1\n"
        with Peer(("127.0.0.1", pebble.http_port)) as peer:
            assert peer.get("/a").header("location") == "https://localhost/a"
        assert server.end() == 0
        assert server.complaint == ""
