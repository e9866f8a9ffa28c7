"""HTTP/3 clients that people use, against every loop: qh3, which niquests has inside, and Chromium on an example."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from qh3.h3.connection import H3Connection
from qh3.h3.events import DataReceived, HeadersReceived
from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection
from qh3.quic.events import ConnectionTerminated, HandshakeCompleted
from tests.runtime.test_tls import Certificates, certificates
from tests.support.browser import Browser
from tests.support.live import DRIVERS, Live, echo, eventually, respond
from tests.support.peer import PATIENCE, readable

__all__ = ("certificates",)  # a fixture
poll = pytest.importorskip("examples.poll", reason="the examples are not beside the tests")


@pytest.fixture(params=DRIVERS[:1])
def driver(request: pytest.FixtureRequest) -> str:
    """UDP is the loop's, whoever moves the bytes of TCP."""
    return str(request.param)


@pytest.fixture
def serve(serve_app: Any, certificates: Certificates) -> Callable[..., Live]:
    def start(app: Any, **options: Any) -> Live:
        files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
        live: Live = serve_app(app, http3=True, graceful_timeout=0.2, **files, **options)
        return live

    return start


class QH3:
    """A connection of qh3's, driven by hand."""

    def __init__(self, port: int, **windows: int) -> None:
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost", **windows)
        configuration.verify_mode = 0
        configuration.verify_hostname = False
        self.quic = QuicConnection(configuration=configuration)
        self.address = ("127.0.0.1", port)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.http: Any = None
        self.status = 0
        self.body = bytearray()
        self.over = False
        self.quic.connect(self.address, time.monotonic())

    def turn(self) -> None:
        for data, _ in self.quic.datagrams_to_send(time.monotonic()):
            self.sock.sendto(data, self.address)
        if readable(self.sock, 0.01):
            self.quic.receive_datagram(self.sock.recv(65536), self.address, time.monotonic())
        timer = self.quic.get_timer()
        if timer is not None and timer <= time.monotonic():
            self.quic.handle_timer(time.monotonic())
        while (event := self.quic.next_event()) is not None:
            assert not isinstance(event, ConnectionTerminated), event
            if isinstance(event, HandshakeCompleted):
                self.http = H3Connection(self.quic)
            if self.http is not None:
                for one in self.http.handle_event(event):
                    if isinstance(one, HeadersReceived):
                        self.status = int(dict(one.headers)[b":status"])
                    if isinstance(one, DataReceived):
                        self.body += one.data
                        self.over = one.stream_ended

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not come about in time"
            self.turn()

    def post(self, data: bytes) -> bytes:
        """An upload, and the body of its answer."""
        stream = self.quic.get_next_available_stream_id()
        names = (b":method", b":scheme", b":authority", b":path")
        self.http.send_headers(stream, list(zip(names, (b"POST", b"https", b"localhost", b"/"), strict=True)))
        self.http.send_data(stream, data, True)
        self.body.clear()
        self.over = False
        self.until(lambda: self.over)
        return bytes(self.body)


@pytest.mark.parametrize("windows", [{}, {"max_data": 100_000, "max_stream_data": 50_000}], ids=["wide", "narrow"])
def test_qh3(serve: Callable[..., Live], windows: dict[str, int]) -> None:
    live = serve(echo, lifespan="off")
    client = QH3(live.port, **windows)
    client.until(lambda: client.http)
    for size in (1, 5000, 500000):
        assert client.post(b"x" * size) == b"x" * size
        assert client.status == 200
    client.quic.close()
    client.sock.close()
    assert not live.errors()


def fingerprint(certfile: str) -> str:
    """What Chromium's flag for a certificate that it shall trust wants of it."""
    certificate = x509.load_pem_x509_certificate(Path(certfile).read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


LARGE = 16_000_000  # more than Chromium's window for a stream


async def site(scope: Any, receive: Any, send: Any) -> None:
    """The poll, and something to download."""
    if scope["type"] != "http" or scope["path"] != "/large":
        await poll.app(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100):
        await send({"type": "http.response.body", "body": bytes(LARGE // 100), "more_body": True})
    await send({"type": "http.response.body"})


def quic_flags(live: Live, certificates: Certificates) -> tuple[str, ...]:
    """What has Chromium speak HTTP/3 with a server."""
    return (
        f"--origin-to-force-quic-on=localhost:{live.port}",
        f"--ignore-certificate-errors-spki-list={fingerprint(certificates.certfile)}",
        "--host-resolver-rules=MAP localhost 127.0.0.1",
    )


@pytest.fixture
def browser(serve: Callable[..., Live], certificates: Certificates) -> Iterator[tuple[Browser, Live]]:
    live = serve(site)
    with Browser.start(*quic_flags(live, certificates), quic=True) as browser:
        yield browser, live


def test_chromium_on_the_poll(browser: tuple[Browser, Live], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page, an endless stream of events beside it, and requests with and without a body."""
    program, live = browser
    monkeypatch.setattr(poll, "poll", poll.Poll())
    page = program.open(f"https://localhost:{live.port}/")
    assert page.run("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h3"
    page.wait("document.querySelectorAll('button').length === 3")
    page.run("document.querySelectorAll('button')[1].click()")
    eventually(lambda: poll.poll.votes["uvloop"] == 1)
    other = program.open(f"https://localhost:{live.port}/")
    assert other.run("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h3"
    eventually(lambda: len(poll.poll.windows) == 2)
    other.close()
    eventually(lambda: len(poll.poll.windows) == 1)  # the stream that was stopped has told its application
    missing = page.run("fetch('/nothing', {method: 'POST', body: 'x'.repeat(100000)}).then(answer => answer.status)")
    assert missing == 404
    assert page.run("fetch('/large').then(answer => answer.blob()).then(blob => blob.size)") == LARGE
    assert not live.errors()


async def upload(scope: Any, receive: Any, send: Any) -> None:
    """Never reads a body."""
    if scope["method"] == "GET":
        await respond(send, b"<!doctype html>", headers=[(b"content-type", b"text/html")])
    else:
        await respond(send, b"no", 413)


FETCH = """fetch("/", {method: "POST", body: new Uint8Array(%d)}).then(async answer => {
  await answer.text()
  const entries = performance.getEntriesByType("resource")
  return answer.status + " " + entries[entries.length - 1].nextHopProtocol
}, String)"""


def test_chromium_sees_answers_to_uploads_that_are_not_read(
    serve: Callable[..., Live], certificates: Certificates
) -> None:
    live = serve(upload, lifespan="off")
    with Browser.start(*quic_flags(live, certificates), quic=True) as program:
        page = program.open(f"https://localhost:{live.port}/")
        sizes = (100_000, 300_000, 1_000_000, 5_000_000)
        assert [page.run(FETCH % size) for size in sizes] == ["413 h3"] * len(sizes)
