"""What TLS clients bring along: certificates of their own, and sessions of before."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.live import hello
from tests.support.peer import Peer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A server's certificate, and the authority that it trusts for its clients."""
    folder: Path = tmp_path_factory.mktemp("clients")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return {name: str(folder / f"{name}.pem") for name in ("key", "cert", "ca")}


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client(request: pytest.FixtureRequest, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[request.param]
    authority.configure_trust(context)
    return context


def served(peer: Peer) -> bytes:
    return peer.get("/").body


def test_a_client_certificate_is_asked_for(
    serve_app: Any, files: dict[str, str], client: ssl.SSLContext, authority: trustme.CA
) -> None:
    live = serve_app(
        hello, certfile=files["cert"], keyfile=files["key"], ca_certs=files["ca"], verify_mode=ssl.CERT_REQUIRED
    )
    with pytest.raises((ssl.SSLError, ConnectionError)), live.connect(tls=client) as peer:
        served(peer)  # with TLS 1.3 the client learns of it with its first read
    authority.issue_cert("client@example.test").configure_cert(client)
    with live.connect(tls=client) as peer:
        assert served(peer) == b"hello"


def test_a_session_is_resumed(serve_app: Any, files: dict[str, str], client: ssl.SSLContext) -> None:
    live = serve_app(hello, certfile=files["cert"], keyfile=files["key"])
    with live.connect(tls=client) as peer:
        assert served(peer) == b"hello"
        session = peer.sock.session
        assert not peer.sock.session_reused
    again = Peer.__new__(Peer)
    plain = Peer(("127.0.0.1", live.port))
    again.buffer = b""
    again.sock = client.wrap_socket(plain.sock, server_hostname="localhost", session=session)
    with again:
        assert again.sock.session_reused
        assert served(again) == b"hello"
    assert live.errors() == []
