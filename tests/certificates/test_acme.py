"""`acme` against pebble, on every loop: a first certificate, HTTP/3, a directory that is down, a server that ends."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.certificates.authorities import NAME, Pebble, free_port, is_temporary, served, trusting_anybody
from tests.support.live import Live, eventually, hello
from tests.support.peer import Peer

pytest.importorskip("acme", reason="the extra acme")

Serve = Callable[..., Live]


def plan_of(folder: str | Path) -> dict[str, Any]:
    found = list(Path(folder).glob("certificates/*/*/plan.json"))
    return {} if not found else dict(json.loads(found[0].read_text()))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.net.tls.CHECK_SECONDS", 0.0)


def test_first_certificate(serve_app: Serve, pebble: Pebble, options: dict[str, Any]) -> None:
    live = serve_app(hello, **options)
    address = ("127.0.0.1", live.port)
    assert is_temporary(served(address)), "TLS is answered from the start"
    eventually(lambda: not is_temporary(served(address)))
    with Peer(address) as peer:
        peer.sock = pebble.trusting().wrap_socket(peer.sock, server_hostname=NAME)
        assert peer.get().body == b"hello"
    with Peer(pebble.http_address) as peer:
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
