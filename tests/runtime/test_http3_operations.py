"""What options say of every request holds over HTTP/3 too, on every loop: certificates by name, what an application is
told of TLS, limits, proxies, counters, the alt-svc field."""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.runtime.test_http3 import client_certificate, driver, serial, serve
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http3 import LiveClient, request
from tests.support.live import Gate, eventually, hello, respond
from tests.support.peer import Peer

from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.errors import ConfigError
from hypercorn.net.quic import create_quic_configuration
from hypercorn.protocol.limits import Limits

__all__ = ("certificates", "driver", "serve")  # fixtures


def issue(folder: Path, name: str, authority: trustme.CA | None = None) -> tuple[str, str, int]:
    """Files of a fresh certificate, and its serial number."""
    issued = (authority or trustme.CA()).issue_cert(name)
    base = str(folder / name.replace("*", "any"))
    issued.private_key_pem.write_to_path(base + ".key")
    issued.cert_chain_pems[0].write_to_path(base + ".pem")
    found = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    return base + ".pem", base + ".key", found.serial_number


def with_certificate(client: LiveClient, certfile: str, keyfile: str) -> LiveClient:
    """A client that shows a certificate when it is asked for one."""
    configuration, tls = client.quic.configuration, client.quic.tls
    configuration.load_cert_chain(certfile, keyfile)
    tls.certificate, tls.certificate_private_key = configuration.certificate, configuration.private_key
    tls.certificate_chain = configuration.certificate_chain
    return client


def test_a_client_chooses_a_certificate_by_name(serve: Any, tmp_path: Path) -> None:
    one, any_of = issue(tmp_path, "a.example.org"), issue(tmp_path, "*.example.net")
    names = [f"A.example.org {one[0]} {one[1]}", f"*.example.net {any_of[0]} {any_of[1]}"]
    live = serve(hello, certificates=names)
    seen = {}
    for name in ("a.example.org", "A.EXAMPLE.ORG", "b.example.net", "example.net", "c.b.example.net", "localhost"):
        with LiveClient(live.port, server_name=name) as client:
            assert client.ask().body == b"hello"
            seen[name] = serial(client)
    assert seen["a.example.org"] == seen["A.EXAMPLE.ORG"] == one[2]
    assert seen["b.example.net"] == any_of[2]
    assert seen["example.net"] == seen["c.b.example.net"] == seen["localhost"]
    assert seen["localhost"] not in (one[2], any_of[2])
    assert not live.errors()


def test_named_certificates_are_reloaded(serve: Any, tmp_path: Path) -> None:
    certfile, keyfile, before = issue(tmp_path, "a.example.org")
    live = serve(hello, certificates=[f"a.example.org {certfile} {keyfile}"])
    with LiveClient(live.port, server_name="a.example.org") as client:
        assert serial(client) == before
    after = issue(tmp_path, "a.example.org")[2]
    assert live.on_loop(live.running._worker.reload_certificates)
    with LiveClient(live.port, server_name="a.example.org") as client:
        assert serial(client) == after


def test_the_tls_extension_says_what_it_says_over_tcp(serve: Any, certificates: Certificates, tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, json.dumps(scope["extensions"].get("tls")).encode())

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    files = client_certificate(authority, tmp_path, "client")
    live = serve(app, verify_mode=ssl.CERT_OPTIONAL, ca_certs=str(tmp_path / "ca.pem"))
    told = []
    for shown in (None, files):
        client = LiveClient(live.port, cipher_suites=[0x1301])
        if shown is not None:
            with_certificate(client, *shown)
        with client:
            told.append(json.loads(client.ask().body))
    context = ssl.create_default_context(cafile=None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*files)
    over_tcp = json.loads(live.connect(tls=context).get().body)
    assert told[1]["client_cert_name"]
    assert told[1] == {**over_tcp, "cipher_suite": 0x1301}
    assert told[0] == {**told[1], "client_cert_chain": [], "client_cert_name": None}
    assert not live.errors()


def revoked(folder: Path, authority: trustme.CA, certfile: str) -> str:
    """A file with the authority's list of what does not hold any more: one certificate."""
    key: Any = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    one = x509.load_pem_x509_certificate(Path(certfile).read_bytes())
    start, end = one.not_valid_before_utc, one.not_valid_after_utc
    entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(start).build()
    crl = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(start).next_update(end)
    path = folder / "list.pem"
    built = crl.add_revoked_certificate(entry).sign(key, hashes.SHA256())
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return str(path)


def test_q_p_18_who_may_not_come_in_over_tcp_may_not_here(serve: Any, tmp_path: Path) -> None:
    """Revoked, of an authority that nobody named, or meant for servers only."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    good = client_certificate(authority, tmp_path, "good")
    bad = client_certificate(authority, tmp_path, "bad")
    stranger = client_certificate(trustme.CA(), tmp_path, "stranger")
    crl = revoked(tmp_path, authority, bad[0])
    live = serve(hello, verify_mode=ssl.CERT_REQUIRED, ca_certs=str(tmp_path / "ca.pem"), crl_file=crl)
    for files, alert in ((good, 0), (bad, 44), (stranger, 48), (None, 116)):
        client = LiveClient(live.port)
        if files is not None:
            with_certificate(client, *files)
        client.start()
        answer = client.ask()
        if alert:
            assert client.closed is not None
            assert client.closed.error_code == 0x100 + alert
        else:
            assert answer.body == b"hello"
        client.close()
    assert not live.errors()


@pytest.mark.parametrize("backend", ["asyncio"])
def test_q_p_18_without_authorities_nobody_is_known(serve: Any, tmp_path: Path) -> None:
    live = serve(hello, verify_mode=ssl.CERT_REQUIRED)
    client = with_certificate(LiveClient(live.port), *client_certificate(trustme.CA(), tmp_path, "client")).start()
    client.ask()
    assert client.closed is not None
    assert client.closed.error_code == 0x100 + 48
    client.close()


@pytest.mark.parametrize("backend", ["asyncio"])
def test_q_p_18_suites(serve: Any, certificates: Certificates) -> None:
    if not hasattr(ssl.SSLContext, "set_ciphersuites"):
        config = Config()
        config.certfile, config.keyfile = certificates.certfile, certificates.keyfile
        config.tls13_ciphers = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256"
        assert [
            suite.value for suite in create_quic_configuration(config, Limits(limits_of(config))).cipher_suites
        ] == [0x1303]
        return
    live = serve(hello, tls13_ciphers="TLS_CHACHA20_POLY1305_SHA256")
    with LiveClient(live.port) as client:
        assert client.quic.tls.key_schedule.cipher_suite == 0x1303


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("tls13_ciphers", "TLS_AES_128_CCM_SHA256", "leaves HTTP/3 none of TLS_AES_128_GCM_SHA256"),
        ("certificates", ["a.example.org nowhere.pem nowhere.key"], "certificates cannot be used for HTTP/3"),
        ("ca_certs", "nowhere.pem", "ca_certs 'nowhere.pem' cannot be used"),
        ("crl_file", "nowhere.pem", "crl_file 'nowhere.pem' cannot be used"),
    ],
)
def test_options_that_cannot_be_used(certificates: Certificates, option: str, value: Any, message: str) -> None:
    config = Config()
    config.certfile, config.keyfile = certificates.certfile, certificates.keyfile
    config.verify_mode = ssl.CERT_REQUIRED
    setattr(config, option, value)
    with pytest.raises(ConfigError, match=message):
        create_quic_configuration(config, Limits(limits_of(config)))


def test_limit_connections_counts_those_of_every_protocol(serve: Any, certificates: Certificates) -> None:
    live = serve(hello, limit_connections=2)
    operations = live.running._worker.operations
    with LiveClient(live.port) as first:
        assert first.ask().body == b"hello"
        with live.connect(tls=certificates.client) as peer:
            assert peer.get().body == b"hello"
            eventually(lambda: operations.open == 2)
            third = LiveClient(live.port).start()
            assert third.closed is not None
            assert third.closed.error_code == 2  # CONNECTION_REFUSED
            third.close()
            with pytest.raises((OSError, AssertionError)):
                live.connect(tls=certificates.client)
        eventually(lambda: operations.open == 1)
        with LiveClient(live.port) as again:
            assert again.ask().body == b"hello"
    eventually(lambda: operations.open == 0)
    assert not live.errors()


def test_connections_of_one_client_count_over_udp_and_tcp(serve: Any, certificates: Certificates) -> None:
    live = serve(hello, client_connections=2)
    with LiveClient(live.port) as first:
        assert first.ask().body == b"hello"
        with live.connect(tls=certificates.client) as peer:
            assert peer.get().body == b"hello"
            third = LiveClient(live.port)
            third.wire.flush()
            third.wire.settle(lambda: third.closed)
            assert third.closed is not None
            assert third.closed.error_code == 0x107  # H3_EXCESSIVE_LOAD
            third.close()
    clients = live.running._worker.operations.clients
    eventually(lambda: not clients.open and not clients.keys)
    with LiveClient(live.port) as again:
        assert again.ask().body == b"hello"
    assert not live.errors()


def test_a_handshake_that_is_overtaken_is_one_too_many(serve: Any) -> None:
    """Who has not proven an address holds no place, and may find that there is none left."""
    live = serve(hello, limit_connections=1)
    operations = live.running._worker.operations
    first, second = LiveClient(live.port), LiveClient(live.port)
    second.wire.flush()
    eventually(lambda: live.on_loop(lambda: len(live.running._worker.quic.endpoint.peers)) == 1)
    assert operations.open == 0
    first.start()
    assert first.ask().body == b"hello"
    second.wire.settle(lambda: second.closed)
    assert second.closed is not None
    assert second.closed.error_code == 0x107  # H3_EXCESSIVE_LOAD
    assert first.ask().body == b"hello"
    for client in (first, second):
        client.close()
    eventually(lambda: operations.open == 0)
    assert not live.errors()


def test_limit_concurrency(serve: Any) -> None:
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await gate.wait()
        await respond(send, b"done")

    live = serve(app, limit_concurrency=1)
    with LiveClient(live.port) as client:
        stream = client.send(request(b"/slow"))
        client.wire.flush()
        eventually(lambda: live.on_loop(lambda: live.running._worker.runtime.active_calls()))
        refused = client.ask()
        assert (refused.status, refused.headers[b"retry-after"]) == (503, b"1")
        gate.set()
        client.wire.settle(lambda: client.answer(stream).over)
        assert client.ask().body == b"done"
    assert not live.errors()


async def tell(scope: Any, receive: Any, send: Any) -> None:
    host = dict(scope["headers"]).get(b"host", b"").decode()
    await respond(send, json.dumps([scope["client"], scope["scheme"], host]).encode())


FORWARDED = {
    "x-forwarded": ((b"x-forwarded-for", b"192.0.2.7"), (b"x-forwarded-proto", b"http"), (b"x-forwarded-host", b"a.b")),
    "forwarded": ((b"forwarded", b'for="192.0.2.7";proto=http;host=a.b'),),
}


@pytest.mark.parametrize("family", FORWARDED)
def test_what_a_trusted_proxy_says_counts(serve: Any, certificates: Certificates, family: str) -> None:
    fields = FORWARDED[family]
    trusted = {"trusted_proxies": ["127.0.0.1"], "proxy_headers": family, "forwarded_host": True}
    live = serve(tell, **trusted, access=True, access_log_format="%(h)s")
    lines = "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in fields)
    over_tcp = live.connect(tls=certificates.client)
    over_tcp.send(f"GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    with LiveClient(live.port) as client:
        told = json.loads(client.ask(request(b"/", b"GET", *fields)).body)
        assert told == json.loads(over_tcp.response().body)
        assert (told[0][0], told[1], told[2]) == ("192.0.2.7", "http", "a.b")
    eventually(lambda: len(live.access.texts()) == 2)
    assert len(set(live.access.texts())) == 1


def test_what_others_say_does_not(serve: Any) -> None:
    live = serve(tell, trusted_proxies=["192.0.2.1"])
    with LiveClient(live.port) as client:
        told = json.loads(client.ask(request(b"/", b"GET", *FORWARDED["x-forwarded"])).body)
        assert (told[0][0], told[1], told[2]) == ("127.0.0.1", "https", "localhost")


class Forgery:
    """A client on 127.0.0.1, and a second socket on 127.0.0.2 that sends in its name and whose mail nobody reads."""

    def __init__(self, client: LiveClient) -> None:
        self.client = client
        self.own = client.wire.sock
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other.bind(("127.0.0.2", 0))

    def send(self, path: bytes) -> int:
        """A request from the second socket, with fields that only a proxy may send. Returns its stream."""
        stream = self.client.send(request(path, b"GET", *FORWARDED["x-forwarded"]))
        self.client.wire.sock = self.other
        self.client.wire.flush()
        self.client.wire.sock = self.own
        return stream

    def move(self) -> None:
        """From here on, the client lives at the second address, and answers there."""
        readable = select.poll()
        readable.register(self.other, select.POLLIN)
        self.client.wire.sock, self.client.wire.readable = self.other, readable
        assert self.client.ask(request(b"/there")).status == 200

    def answer(self, stream: int, seen: Callable[[], bool]) -> list[Any]:
        """The application's answer on a stream, once it has seen the request."""
        eventually(seen)
        self.client.quic.send_ping(0)  # the client is at its own address still
        self.client.wire.settle(lambda: self.client.answer(stream).over)
        told: list[Any] = json.loads(self.client.answer(stream).body)
        return told

    def close(self) -> None:
        self.own.close()
        self.other.close()


@pytest.mark.parametrize("proxy", ["127.0.0.1", "127.0.0.2"], ids=["of the client", "of the forgery"])
def test_an_address_that_has_not_answered_is_nobodys(serve: Any, proxy: str) -> None:
    """RFC 9000 section 9.3: neither the scope, nor the access log, nor the trust in a proxy follows a datagram."""
    paths: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["raw_path"])
        await tell(scope, receive, send)

    live = serve(app, trusted_proxies=[proxy], forwarded_host=True, access=True, access_log_format="%(h)s %(U)s")
    trusted, other = ["192.0.2.7", "http", "a.b"], ["https", "localhost"]
    client = LiveClient(live.port)
    with closing(Forgery(client)) as forgery, client:
        for path in (b"/first", b"/second"):  # the path stays one that has not answered
            told = forgery.answer(forgery.send(path), lambda path=path: paths[-1:] == [path])
            expected = trusted if proxy == "127.0.0.1" else ["127.0.0.1", *other]
            assert [told[0][0], *told[1:]] == expected
        forgery.move()
        told = json.loads(client.ask(request(b"/moved", b"GET", *FORWARDED["x-forwarded"])).body)
        assert [told[0][0], *told[1:]] == (trusted if proxy == "127.0.0.2" else ["127.0.0.2", *other])
    first, last = ("192.0.2.7", "127.0.0.2") if proxy == "127.0.0.1" else ("127.0.0.1", "192.0.2.7")
    records = eventually(lambda: len(live.access.texts()) == 4 and live.access.texts())
    lines = [re.sub(r":\d+ ", " ", record) for record in records]  # without ports
    assert lines[:2] + lines[3:] == [f"{first} /first", f"{first} /second", f"{last} /moved"]
    assert not live.errors()


def test_requests_and_refusals_are_counted(serve: Any) -> None:
    live = serve(hello, metrics_bind=["127.0.0.1:0"])
    with LiveClient(live.port) as client:
        assert client.ask().body == b"hello"
        assert client.ask([(b":method", b"CONNECT"), (b":authority", b"localhost")]).status == 405
    worker = live.running._worker
    eventually(lambda: worker.context.records.counters.others["http3_closed"] == 1)
    live.on_loop(worker.operations.publish)
    with Peer(worker.operations.management.sockets[0].getsockname()) as peer:
        text = peer.get("/metrics").body.decode()
    for line in (
        'connections_opened_total{protocol="http3"} 1',
        'connections{protocol="http3"} 0',
        'requests_total{protocol="http3"} 1',
        'requests_total{protocol="http2"} 0',
        'responses_total{class="2xx"} 1',
    ):
        assert f"hypercorn_{line}\n" in text
    assert sum(count for name, count in refusals(text)) == 1


def refusals(text: str) -> list[tuple[str, int]]:
    """The lines of what no application saw."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("hypercorn_refused_total")]
    return [(name, int(count)) for name, count in lines]


def alt_svc(peer: Peer) -> str | None:
    with peer:
        return peer.get().header("alt-svc")


def test_q_h3_10_plain_answers_do_not_point_at_http3(serve: Any, certificates: Certificates) -> None:
    """But for those that the configuration speaks of: then it knows why."""
    own = ['h3=":443"; ma=60']
    for headers, expected in (([], None), (own, own[0])):
        live = serve(hello, insecure_bind=["127.0.0.1:0"], alt_svc_headers=headers)
        plain = next(int(url.rsplit(":", 1)[1]) for url in live.addresses if url.startswith("http:"))
        assert alt_svc(live.connect(tls=certificates.client)) == (expected or f'h3=":{live.port}"; ma=3600')
        with Peer(("127.0.0.1", plain)) as peer:
            assert peer.get().header("alt-svc") == expected
            peer.send(b"nonsense\r\n\r\n")
            assert peer.response().header("alt-svc") == expected


def test_q_h3_10_a_server_without_http3_says_what_it_is_told_to(serve: Any) -> None:
    live = serve(hello, http3=False, certfile=None, keyfile=None, alt_svc_headers=['h3=":443"', 'h2=":444"'])
    with live.connect() as peer:
        assert [value for name, value in peer.get().headers if name == "alt-svc"] == ['h3=":443"', 'h2=":444"']


@pytest.mark.parametrize("others_go_on", [False, True])
def test_q_h3_10_it_is_withdrawn_at_the_end(serve: Any, certificates: Certificates, others_go_on: bool) -> None:
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await respond(send, b"done")

    live = serve(app, graceful_timeout=20.0)
    worker = live.running._worker
    with live.connect(tls=certificates.client) as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: live.on_loop(lambda: worker.runtime.active_calls()))
        if others_go_on:
            worker.last_owner = False
        live.wake()
        eventually(lambda: worker.context.terminating)
        gate.set()
        assert peer.response().header("alt-svc") == (None if others_go_on else "clear")
    live.stop()
