"""Certificates that change while the server runs, several of them, clients' own, and what an application is told."""

from __future__ import annotations

import datetime
import json
import os
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.support.live import BACKENDS, Live, respond
from tests.support.peer import Peer

from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.net import tls
from hypercorn.net.tls import LiveContext, distinguished_name, read_certificate


async def show(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the scope's `tls` extension."""
    if scope["type"] == "http":
        await respond(send, json.dumps([scope["scheme"], scope["extensions"].get("tls")]).encode())


def serial(peer: Peer) -> int:
    """Of the certificate that a connection was shown."""
    sock: Any = peer.sock
    return x509.load_der_x509_certificate(sock.getpeercert(True)).serial_number


def serial_of(files: dict[str, str]) -> int:
    return x509.load_pem_x509_certificate(Path(files["certfile"]).read_bytes()).serial_number


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "CHECK_SECONDS", 0.0)


def put(source: dict[str, str], target: dict[str, str], *names: str) -> None:
    """Replaces files, so that it is seen."""
    for name in names or ("certfile", "keyfile"):
        Path(target[name]).write_bytes(Path(source[name]).read_bytes())
        later = time.time_ns() + 1_000_000_000
        os.utime(target[name], ns=(later, later))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_certificate_is_replaced_under_open_connections(backend: str, authority: Any) -> None:
    """F-46: from the next handshake on; a pair that does not fit changes nothing, and one record says so."""
    first = authority.issue("localhost", file="first")
    second = authority.issue("localhost", file="second")
    served = authority.issue("localhost", file="served")
    put(first, served)
    client = authority.client()
    with Live(show, backend, lifespan="off", **served) as live, live.connect(tls=client) as old:
        assert serial(old) == serial_of(first)
        put(second, served)
        with live.connect(tls=client) as peer:
            assert serial(peer) == serial_of(second)
            assert peer.get().status == old.get().status == 200
        put(first, served, "certfile")  # whose key is another
        for _ in range(3):
            with live.connect(tls=client) as peer:
                assert serial(peer) == serial_of(second)
        assert len([text for text in live.log.texts() if "could not be reloaded" in text]) == 1
        put(first, served, "keyfile")
        with live.connect(tls=client) as peer:
            assert serial(peer) == serial_of(first)


def test_a_reload_that_is_asked_for(authority: Any) -> None:
    served = authority.issue("localhost", file="served")
    second = authority.issue("localhost", file="second")
    client = authority.client()
    with Live(show, "asyncio", lifespan="off", certificate_reload=False, **served) as live:
        put(second, served)
        with live.connect(tls=client) as peer:
            assert serial(peer) != serial_of(second)
        assert live.running._worker.reload_certificates()
        with live.connect(tls=client) as peer:
            assert serial(peer) == serial_of(second)
        Path(served["certfile"]).unlink()
        assert not live.running._worker.reload_certificates()
        with live.connect(tls=client) as peer:
            assert serial(peer) == serial_of(second)


def test_a_subclass_makes_the_context(authority: Any) -> None:
    class Own(Config):
        made = 0

        def create_ssl_context(self) -> ssl.SSLContext | None:
            type(self).made += 1
            return super().create_ssl_context()

    served = authority.issue("localhost")
    with Live(show, "asyncio", config=Own.from_mapping(served), lifespan="off") as live:
        live.running._worker.reload_certificates()
        assert Own.made == 2


def test_names_choose_certificates(authority: Any) -> None:
    default = authority.issue("localhost")
    other = authority.issue("example.org")
    wild = authority.issue("*.example.com", file="wild")
    named = [
        f"{name} {one['certfile']} {one['keyfile']}" for name, one in (("Example.org", other), ("*.example.com", wild))
    ]
    client = authority.client()
    with Live(show, "asyncio", lifespan="off", certificates=named, **default) as live:
        for name, files in (("localhost", default), ("example.org", other), ("a.example.com", wild)):
            with Peer(("127.0.0.1", live.port)) as peer:
                peer.sock = client.wrap_socket(peer.sock, server_hostname=name)
                assert serial(peer) == serial_of(files)
                told = json.loads(peer.get().body)[1]
                assert x509.load_pem_x509_certificate(told["server_cert"].encode()).serial_number == serial_of(files)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_what_the_application_is_told(backend: str, version: str, authority: Any) -> None:
    served = authority.issue("localhost")
    client = authority.client()
    client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
    mine = authority.issue("me@example.org", file="client", common_name='Doe, "J"', organization_name="Org")
    with Live(show, backend, lifespan="off", ca_certs=authority.file, verify_mode=ssl.CERT_OPTIONAL, **served) as live:
        with live.connect(tls=client) as peer:
            scheme, told = json.loads(peer.get().body)
        assert scheme == "https"
        assert told["client_cert_chain"] == []
        assert told["client_cert_name"] is None
        client.load_cert_chain(mine["certfile"], mine["keyfile"])
        with live.connect(tls=client) as peer:
            _, told = json.loads(peer.get().body)
            sock: Any = peer.sock
            suite = sock.cipher()[0]
    assert told["server_cert"].strip() in Path(served["certfile"]).read_text()
    assert told["client_cert_chain"][0].strip() in Path(mine["certfile"]).read_text()
    assert 'CN=Doe\\, \\"J\\"' in told["client_cert_name"]
    assert told["client_cert_error"] is None
    assert told["tls_version"] == {"TLSv1_2": 0x0303, "TLSv1_3": 0x0304}[version]
    numbers = {one["name"]: one["id"] & 0xFFFF for one in client.get_ciphers()}
    assert told["cipher_suite"] == numbers[suite]


def test_a_wsgi_application_is_told(authority: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        names = ("HTTPS", "SSL_PROTOCOL", "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_CERT")
        return [json.dumps([environ.get(name) for name in names]).encode()]

    served = authority.issue("localhost")
    mine = authority.issue("me@example.org", file="client", common_name="Me")
    client = authority.client()
    client.load_cert_chain(mine["certfile"], mine["keyfile"])
    options = {"ca_certs": authority.file, "verify_mode": ssl.CERT_REQUIRED, **served}
    with Live(wsgi, "asyncio", mode="wsgi", **options) as live, live.connect(tls=client) as peer:
        https, protocol, verified, name, certificate = json.loads(peer.get().body)
    assert (https, verified) == ("on", "SUCCESS")
    assert protocol.startswith("TLSv1.")
    assert "CN=Me" in name
    assert certificate.startswith("-----BEGIN CERTIFICATE-----")


def test_without_tls_there_is_no_extension() -> None:
    with Live(show, "asyncio", lifespan="off") as live, live.connect() as peer:
        assert json.loads(peer.get().body) == ["http", None]


@pytest.mark.parametrize("backend", BACKENDS)
def test_plain_http_is_told_that_it_is_wrong_here(backend: str, authority: Any) -> None:
    with Live(show, backend, lifespan="off", access=True, **authority.issue("localhost")) as live:
        with Peer(("127.0.0.1", live.port)) as peer:
            answer = peer.get()
            assert answer.status == 400
            assert b"use https" in answer.body
            peer.end()
            assert peer.ended()
        assert len(live.access.records) == 1
        assert live.errors() == []


def test_plain_http_beside_tls(authority: Any) -> None:
    options = {"insecure_bind": ["127.0.0.1:0"], **authority.issue("localhost")}
    with Live(show, "asyncio", lifespan="off", **options) as live:
        secure, insecure = live.addresses
        assert (secure[:8], insecure[:7]) == ("https://", "http://")
        with Peer(("127.0.0.1", int(insecure.rsplit(":", 1)[1]))) as peer:
            assert json.loads(peer.get().body) == ["http", None]


def test_the_oldest_version(authority: Any) -> None:
    client = authority.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with Live(show, "asyncio", lifespan="off", tls_min_version="1.3", **authority.issue("localhost")) as live:
        with pytest.raises(ssl.SSLError):
            live.connect(tls=client)
        with live.connect(tls=authority.client()) as peer:
            assert peer.get().status == 200


def test_a_revoked_client(authority: Any, tmp_path: Path) -> None:
    mine = authority.issue("revoked@example.org", file="revoked")
    good = authority.issue("good@example.org", file="good")
    revoked = x509.RevokedCertificateBuilder().serial_number(serial_of(mine))
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    issuer = x509.load_pem_x509_certificate(authority.ca.cert_pem.bytes())
    key: Any = serialization.load_pem_private_key(authority.ca.private_key_pem.bytes(), None)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now - hour)
        .next_update(now + hour)
        .add_revoked_certificate(revoked.revocation_date(now - hour).build())
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "crl.pem"
    file.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    options = {"ca_certs": authority.file, "verify_mode": ssl.CERT_REQUIRED, "crl_file": str(file)}
    with Live(show, "asyncio", lifespan="off", **options, **authority.issue("localhost")) as live:
        for files, served in ((good, True), (mine, False)):
            client = authority.client()
            client.load_cert_chain(files["certfile"], files["keyfile"])
            client.maximum_version = ssl.TLSVersion.TLSv1_2  # so that the client hears of it in the handshake
            if served:
                with live.connect(tls=client) as peer:
                    assert peer.get().status == 200
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    live.connect(tls=client)


@pytest.mark.skipif(hasattr(ssl.SSLContext, "set_ciphersuites"), reason="this Python can set them")
def test_suites_that_cannot_be_set_are_an_error(authority: Any) -> None:
    config = Config.from_mapping(authority.issue("localhost"), tls13_ciphers="TLS_AES_128_GCM_SHA256")
    with pytest.raises(ConfigError, match="set_ciphersuites"):
        config.create_ssl_context()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("certificates", ["example.org nowhere.pem nowhere.key"], "certificates 'nowhere.pem' cannot be used"),
        ("crl_file", "nowhere.pem", "crl_file 'nowhere.pem' cannot be used"),
        ("certificates", ["example.org"], "HOST CERTFILE KEYFILE"),
        ("tls_min_version", "1.1", "one of 1.2, 1.3"),
    ],
)
def test_errors_name_the_option(option: str, value: Any, words: str, authority: Any) -> None:
    with pytest.raises(ConfigError, match=words):
        Config.from_mapping(authority.issue("localhost"), **{option: value}).create_ssl_context()


def test_a_key_with_a_password_asks_nobody(authority: Any) -> None:
    files = authority.issue("localhost")
    key = serialization.load_pem_private_key(Path(files["keyfile"]).read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    Path(files["keyfile"]).write_bytes(key.private_bytes(*form))
    with pytest.raises(ConfigError, match="needs a password"):
        Config.from_mapping(files).create_ssl_context()
    assert Config.from_mapping(files, keyfile_password="secret").create_ssl_context() is not None


def test_hardening_is_kept_in_every_context(authority: Any) -> None:
    other = authority.issue("example.org")
    config = Config.from_mapping(
        authority.issue("localhost"), certificates=[f"a {other['certfile']} {other['keyfile']}"]
    )
    default = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    contexts = [LiveContext(config, None).current, tls._create(config, other["certfile"], other["keyfile"], None)]
    for context in contexts:
        assert context.options & default.options == default.options
        assert context.verify_flags & default.verify_flags == default.verify_flags
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_form_of_a_certificate() -> None:
    assert read_certificate("a.org 'my cert.pem' key.pem") == ("a.org", "my cert.pem", "key.pem")
    assert read_certificate("a.org both.pem") == ("a.org", "both.pem", "both.pem")


def test_distinguished_names() -> None:
    subject = ((("countryName", "DE"),), (("organizationName", "A+B"), ("userId", " x ")), (("commonName", "#1"),))
    assert distinguished_name(subject) == "CN=\\#1,O=A\\+B+UID=\\ x\\ ,C=DE"
