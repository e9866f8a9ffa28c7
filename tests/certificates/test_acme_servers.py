"""`acme` against pebble, by the command: renewal, workers, a shared folder, restarts, and what directories do."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.certificates.authorities import (
    KEY,
    KID,
    NAME,
    Pebble,
    flags,
    free_port,
    is_temporary,
    options_for,
    served,
    trusting_anybody,
)
from tests.process.command import Command
from tests.support.live import eventually
from tests.support.peer import Peer

pytest.importorskip("acme", reason="the extra acme")


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


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_take_a_renewed_certificate(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, while clients ask: no request fails, and the account stays the same."""
    with Pebble(tmp_path / "pebble", life=6) as pebble:
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
                return len(serials) >= 2

            eventually(seen)
            # Workers see a new certificate on the disk, before the client that put it there has reported it.
            eventually(lambda: server.said_times("New certificate for a.test") >= 2)
            assert server.end() == 0
            assert server.complaint == ""
        assert pebble.count("There are now 1 accounts in memory") == 1
        assert pebble.count("There are now 2 accounts in memory") == 0


def test_servers_that_share_a_folder(pebble: Pebble, options: dict[str, Any]) -> None:
    """One gets the certificate, both serve it, and whichever the directory asks has the answer."""
    orders = pebble.count("Added order")
    other = {**options, "insecure_bind": ["127.0.0.1:0"]}
    with command(*flags(options)) as first:
        first.address()  # where the directory asks: if the other one came before it, the order would fail
        with command("-w", "0", *flags(other)) as second:
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
    with Pebble(tmp_path / "pebble", PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="2") as pebble:
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


def test_a_reload_brings_it(tmp_path: Path, pebble: Pebble, options: dict[str, Any]) -> None:
    """To a server that had no TLS before, and takes it away."""
    file = tmp_path / "hypercorn.toml"
    address = f"127.0.0.1:{free_port()}"

    def write(values: dict[str, Any]) -> None:
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in {"bind": address, **values}.items())
        file.write_text(text)

    write({})
    with Server("-c", str(file), "examples.hello:app", HYPERCORN_CONTROL="none") as server:
        assert server.address() == ("127.0.0.1", int(address.rpartition(":")[2]))
        write(options)
        server.notify(signal.SIGHUP)
        server.eventually_said("New certificate for a.test:")
        assert not is_temporary(served(server.address()))
        write({})
        server.notify(signal.SIGHUP)
        eventually(lambda: server.said_times("All workers are new") == 2)

        def answers() -> bool:
            with server.connect() as peer:
                return peer.get().status == 200

        eventually(answers)  # a worker of before, which asks for TLS, may accept until it has left
        assert server.end() == 0
        assert server.complaint == ""


def test_refused_nonces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pebble(tmp_path / "pebble", PEBBLE_WFE_NONCEREJECT="40") as pebble:
        options = options_for(pebble, tmp_path, monkeypatch)
        with command(*flags(options)) as server:
            server.eventually_said("New certificate for")
            assert server.end() == 0
            assert server.complaint == ""


def test_external_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Pebble(tmp_path / "pebble", binding=True) as pebble:
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
        "HYPERCORN_INSECURE_BIND": pebble.http_bind,
        "HYPERCORN_ACME_DIRECTORY": pebble.url,
        "HYPERCORN_ACME_STATE": options["acme_state"],
        "HYPERCORN_CONTROL": "none",
    }
    with Server(NAME, program=("-m", "examples.automatic_https"), **variables) as server:
        server.eventually_said("New certificate for")
        with Peer(server.address()) as peer:
            peer.sock = pebble.trusting().wrap_socket(peer.sock, server_hostname=NAME)
            assert peer.get().body == b"https, HTTP/1.1\n"
        with Peer(pebble.http_address) as peer:
            assert peer.get("/a").header("location") == "https://localhost/a"
        assert server.end() == 0
        assert server.complaint == ""
