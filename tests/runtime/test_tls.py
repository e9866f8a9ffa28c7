"""TLS over real sockets: ALPN, every kind of bad ending, and who is told of a failed handshake."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from bench.attacks.openssl import OpenSSLClient
from tests.runtime.test_sockets import connections_of, tell_ends
from tests.support.live import Live, body_of, eventually, hello, respond
from tests.support.peer import Peer, request

from hypercorn.config import Config
from hypercorn.runtime.tls import TLSConnection

MOST_EMPTY_BYTES, SLICE_BYTES = 49152, 16384  # of hypercorn.runtime.tls, which hides them where it is compiled


class Certificates(NamedTuple):
    """A server's files and a client that trusts them."""

    certfile: str
    keyfile: str
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    with open(folder / "cert.pem", "wb") as file:
        for blob in issued.cert_chain_pems:
            file.write(blob.bytes())
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Certificates(str(folder / "cert.pem"), str(folder / "key.pem"), client)


@pytest.fixture
def serve_tls(serve_app: Any, certificates: Certificates) -> Any:
    """`serve_app` with a certificate."""

    def start(app: Any, **options: Any) -> Live:
        live: Live = serve_app(app, certfile=certificates.certfile, keyfile=certificates.keyfile, **options)
        return live

    return start


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[ssl.SSLContext]:
    """A client of each TLS version."""
    context = certificates.client
    before = context.minimum_version, context.maximum_version
    version = ssl.TLSVersion[request.param]
    context.minimum_version = context.maximum_version = version
    yield context
    context.minimum_version, context.maximum_version = before


def test_serves(serve_tls: Any, client: ssl.SSLContext) -> None:
    live = serve_tls(tell_ends, lifespan="off")
    assert live.url == f"https://127.0.0.1:{live.port}"
    with live.connect(tls=client) as peer:
        for _ in range(3):
            assert json.loads(peer.get().body) == [
                ["127.0.0.1", peer.port],
                ["127.0.0.1", live.port],
                "https",
            ]


def test_alpn(serve_tls: Any, certificates: Certificates) -> None:
    live = serve_tls(hello)
    for offered, chosen in ((["http/1.1"], "http/1.1"), (["foo", "http/1.1"], "http/1.1"), ([], None)):
        context = certificates.client
        context.set_alpn_protocols(offered)
        try:
            with live.connect(tls=context) as peer:
                assert peer.sock.selected_alpn_protocol() == chosen
                assert peer.get().body == b"hello"
        finally:
            context.set_alpn_protocols([])


def test_large_bodies(serve_tls: Any, client: ssl.SSLContext) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await body_of(receive)
        await respond(send, body)

    payload = bytes(range(256)) * 4096 * 4
    live = serve_tls(app, lifespan="off")
    with live.connect(tls=client) as peer:
        peer.send(request("/", method="POST", body=payload))
        response = peer.response()
        assert hashlib.sha256(response.body).digest() == hashlib.sha256(payload).digest()


def test_a_part_of_a_body_is_not_copied_before_it_is_joined(serve_tls: Any, certificates: Certificates) -> None:
    kept = []
    interim = b"<<HTTP/1.1 102 Processing\r\n\r\n>>"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        (session,) = open_sessions()
        plain = session.plain
        plain.write_part(interim, 2, len(interim) - 2)
        kept.append(plain.out[-1])
        plain.flush()  # by itself: there is nothing to join
        await respond(send)

    with serve_tls(app, lifespan="off").connect(tls=certificates.client) as peer:
        peer.send(request("/"))
        assert peer.until(b"\r\n\r\n") == interim[2:-2]
        assert peer.response().status == 200
    (part,) = kept
    assert isinstance(part, memoryview)
    assert part.obj is interim


def test_pipelined(serve_tls: Any, client: ssl.SSLContext) -> None:
    live = serve_tls(hello)
    with live.connect(tls=client) as peer:
        peer.send(request("/1") + request("/2") + request("/3", "Connection: close"))
        for _ in range(3):
            assert peer.response().body == b"hello"
        assert peer.sock.recv(1) == b""  # a close_notify: without one this would raise


def test_the_end_is_announced(serve_tls: Any, client: ssl.SSLContext) -> None:
    """A polite close sends close_notify, so the client can tell it from a cut (RFC 8446 section 6.1)."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    live = serve_tls(app, lifespan="off")
    with live.connect(tls=client) as peer:
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert peer.response().body == b"partend"
    eventually(lambda: connections_of(live) == 0)


# -- bad endings: the server is quiet, and the socket is gone within 2 s (N13)


def gone(live: Live) -> None:
    """Waits until the server has no connection, which it must within 2 s, and holds it to be quiet and alive."""
    eventually(lambda: connections_of(live) == 0, within=2)
    assert live.errors() == []


def test_closes_without_close_notify(serve_tls: Any, client: ssl.SSLContext) -> None:
    live = serve_tls(hello)
    with live.connect(tls=client) as peer:
        peer.get()
        socket.close(peer.sock.detach())
    gone(live)


def test_closes_with_data_unread(serve_tls: Any, client: ssl.SSLContext) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"x" * 3_000_000)

    live = serve_tls(app, lifespan="off")
    with live.connect(tls=client) as peer:
        peer.send(request())
        peer.until(b"\r\n\r\n")
    gone(live)


def test_resets(serve_tls: Any, client: ssl.SSLContext) -> None:
    live = serve_tls(hello)
    peer = live.connect(tls=client)
    peer.get()
    peer.reset()
    gone(live)


def test_never_answers_close_notify(serve_tls: Any, client: ssl.SSLContext) -> None:
    live = serve_tls(hello)
    with live.connect(tls=client) as peer:
        peer.send(request("/", "Connection: close"))
        assert peer.response().body == b"hello"
        gone(live)


def shake_hands(
    session: ssl.SSLObject, raw: socket.socket, incoming: ssl.MemoryBIO, send: Callable[[], object]
) -> None:
    """The handshake of a client over memory buffers. `send` sends what it has written."""
    while True:
        try:
            return session.do_handshake()
        except ssl.SSLWantReadError:
            send()
            incoming.write(raw.recv(65536))


def test_sends_data_after_close_notify(serve_tls: Any, certificates: Certificates) -> None:
    live = serve_tls(hello)
    raw = socket.create_connection(("127.0.0.1", live.port))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = certificates.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with raw:
        shake_hands(session, raw, incoming, lambda: raw.sendall(outgoing.read()))
        session.write(request())
        raw.sendall(outgoing.read())
        try:
            session.unwrap()
        except ssl.SSLWantReadError:
            pass
        raw.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + b"z" * 32)
        gone(live)


def test_half_closes_after_close_notify(serve_tls: Any, client: ssl.SSLContext) -> None:
    """The client says that it sends no more; the response still comes."""
    release = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            release.set()
        await respond(send, b"still here")

    live = serve_tls(app, lifespan="off")
    raw = socket.create_connection(("127.0.0.1", live.port))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with raw:
        raw.settimeout(10)
        shake_hands(session, raw, incoming, lambda: raw.sendall(outgoing.read()))
        session.write(request())
        raw.sendall(outgoing.read())
        assert release.wait(10)
        try:
            session.unwrap()
        except ssl.SSLWantReadError:
            pass
        raw.sendall(outgoing.read())
        data = b""
        while chunk := raw.recv(65536):
            data += chunk
        incoming.write(data)
        try:
            plain = session.read(65536)
        except ssl.SSLError as error:
            pytest.fail(f"no response: {error}")
        assert plain.endswith(b"still here")
    gone(live)


# -- TLS connections of the application, on the same thread


def fail_to_write(certificates: Certificates) -> None:
    """A TLS connection of this thread's own, whose peer is gone. Its error stays in OpenSSL's queue of the thread where
    Python leaves it there: with OpenSSL 3.4 and later (python/cpython#148594)."""
    ours, theirs = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.certfile, certificates.keyfile)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    accepted: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: accepted.append(server.wrap_socket(theirs, server_side=True)))
    thread.start()
    with client.wrap_socket(ours) as sock:
        thread.join()
        accepted[0].close()
        with suppress(OSError):  # BrokenPipeError, before Python 3.12 SSLEOFError
            while True:
                sock.sendall(b"x" * 1000)


@pytest.mark.parametrize("part", ["handshake", "request"])
def test_errors_of_other_connections_are_theirs(serve_tls: Any, certificates: Certificates, part: str) -> None:
    """A part of a record, or of a handshake, that comes after a failed write of the application's own client."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/fail":
            fail_to_write(certificates)
        await respond(send, b"fine")

    live = serve_tls(app, lifespan="off")
    raw = socket.create_connection(("127.0.0.1", live.port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = certificates.client.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def send(split: bool) -> None:
        data = outgoing.read()
        if split:
            with live.connect(tls=certificates.client) as other:
                raw.sendall(data[:-5])
                assert other.get("/").body == b"fine"  # so the part was read
                assert other.get("/fail").body == b"fine"
                raw.sendall(data[-5:-1])
                assert other.get("/").body == b"fine"
                data = data[-1:]
        raw.sendall(data)

    with raw:
        raw.settimeout(10)
        shake_hands(session, raw, incoming, lambda: send(part == "handshake"))
        session.write(request())
        send(part == "request")
        plain = b""
        while not plain.endswith(b"fine"):
            received = raw.recv(65536)
            assert received, "the connection was closed"
            incoming.write(received)
            with suppress(ssl.SSLWantReadError):
                while piece := session.read(65536):
                    plain += piece


# -- the handshake


def failures(live: Live) -> list[str]:
    """What was said of handshakes: to the loop's handler, which trio has none of, or to the log."""
    told = [str(context["exception"]) for context in live.loop_errors]
    return told + [text for text in live.log.texts(logging.WARNING) if "handshake" in text]


def test_plain_http_to_the_tls_port(serve_tls: Any) -> None:
    live = serve_tls(hello)
    with live.connect() as peer:
        peer.send(request())
        assert peer.response().status == 400
    eventually(lambda: connections_of(live) == 0)
    assert failures(live) == []


def test_garbage_to_the_tls_port(serve_tls: Any) -> None:
    live = serve_tls(hello)
    with live.connect() as peer:
        peer.send(b"\x00" * 20)
        assert peer.ended() or peer.rest()
    eventually(lambda: connections_of(live) == 0)
    assert len(eventually(lambda: failures(live))) == 1


def test_no_common_version(serve_tls: Any, certificates: Certificates) -> None:
    class Modern(Config):
        def create_ssl_context(self) -> ssl.SSLContext | None:
            context = super().create_ssl_context()
            assert context is not None
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            return context

    live = serve_tls(hello, config=Modern())
    context = certificates.client
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with pytest.raises(ssl.SSLError, match=r"(?i)version"):
            live.connect(tls=context)
    finally:
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    eventually(lambda: connections_of(live) == 0, within=2)
    assert len(eventually(lambda: failures(live))) == 1


def test_garbage_in_the_handshake(serve_tls: Any) -> None:
    live = serve_tls(hello)
    with live.connect() as peer:
        peer.send(b"\x16\x03\x01\x00\x05" + b"\xff" * 5)
        eventually(lambda: connections_of(live) == 0, within=2)
    assert len(eventually(lambda: failures(live))) == 1


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_goes_away_in_the_handshake(serve_tls: Any, ending: str) -> None:
    """Scanners and health checks: not worth a word above DEBUG."""
    live = serve_tls(hello)
    peer = live.connect()
    peer.send(b"\x16\x03\x01")
    getattr(peer, ending)()
    gone(live)
    peer = live.connect()
    getattr(peer, ending)()
    gone(live)


def test_handshake_timeout(serve_tls: Any) -> None:
    live = serve_tls(hello, ssl_handshake_timeout=0.2)
    with live.connect() as peer:
        peer.send(b"\x16\x03\x01")
        began = time.monotonic()
        assert peer.ended()
        assert 0.1 < time.monotonic() - began < 1
    assert len(eventually(lambda: failures(live))) == 1


def test_a_failed_handshake_leaves_others_alone(serve_tls: Any, certificates: Certificates) -> None:
    live = serve_tls(hello)
    with live.connect(tls=certificates.client) as peer:
        peer.get()
        with live.connect() as bad:
            bad.send(b"nonsense" * 10)
            eventually(lambda: failures(live))
        assert peer.get().body == b"hello"


def test_insecure_bind_beside_tls(serve_tls: Any, certificates: Certificates) -> None:
    live = serve_tls(hello, insecure_bind=["127.0.0.1:0"])
    secure, plain = live.addresses
    assert secure.startswith("https://")
    assert plain.startswith("http://")
    with Peer(("127.0.0.1", int(plain.rsplit(":", 1)[1]))) as peer:
        assert peer.get().body == b"hello"
    with live.connect(tls=certificates.client) as peer:
        assert peer.get().body == b"hello"


def test_ends_with_tls_connections_open(serve_tls: Any, certificates: Certificates) -> None:
    live = serve_tls(hello)
    with live.connect(tls=certificates.client) as peer, live.connect() as silent:
        peer.get()
        began = time.monotonic()
        live.stop()
        assert time.monotonic() - began < 1
        assert peer.ended()
        assert silent.ended()


# -- KeyUpdate (RFC 8446 section 4.6.3)


@pytest.fixture
def key_updater(serve_tls: Any) -> Iterator[tuple[Live, OpenSSLClient]]:
    live = serve_tls(hello)
    with OpenSSLClient("127.0.0.1", live.port) as client:
        yield live, client


def test_new_keys_now_and_then(key_updater: tuple[Live, OpenSSLClient]) -> None:
    live, client = key_updater
    for _ in range(20):
        for _ in range(100):
            assert client.update_keys()
        assert client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read().startswith(b"HTTP/1.1 200")
    assert live.errors() == []


def test_answers_to_key_updates_do_not_wait_for_data(key_updater: tuple[Live, OpenSSLClient]) -> None:
    _, client = key_updater

    def arrived() -> int:
        with suppress(BlockingIOError):
            return len(client.sock.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return 0

    assert client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read().startswith(b"HTTP/1.1 200")
    before = arrived()
    for _ in range(100):
        assert client.update_keys()
    eventually(lambda: arrived() >= before + 100 * 22)


def test_a_flood_of_key_updates_ends_the_connection(key_updater: tuple[Live, OpenSSLClient]) -> None:
    live, client = key_updater
    for _ in range(100_000):
        if not client.update_keys():
            break
    assert client.sent < 2_000_000  # what the kernels hold included
    with OpenSSLClient("127.0.0.1", live.port) as other:
        assert other.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert other.read().startswith(b"HTTP/1.1 200")
    assert live.errors() == []


def open_sessions() -> list[TLSConnection]:
    """The sessions of this process that have completed their handshakes."""
    sessions = [one for one in gc.get_objects() if type(one) is TLSConnection]
    return [one for one in sessions if one.handshaken and one.ssl_object is not None]


def test_a_flood_that_is_here_at_once_is_not_worked_through(serve_tls: Any) -> None:
    """It waits in the kernel while the application holds the loop, and is read in large pieces afterwards."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        time.sleep(1.5)  # noqa: ASYNC251
        await respond(send)

    live = serve_tls(app, lifespan="off")
    with OpenSSLClient("127.0.0.1", live.port) as client:
        assert client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        (session,) = eventually(open_sessions)
        for _ in range(5000):
            if not client.update_keys():
                break
        eventually(lambda: session.ssl_object is None)
    assert MOST_EMPTY_BYTES < session.empty_bytes <= MOST_EMPTY_BYTES + SLICE_BYTES, (
        "OpenSSL got more than was asked for"
    )
    assert live.errors() == []


@pytest.mark.parametrize("size", [1, 100, 16384])
def test_small_records_of_data_are_no_flood(serve_tls: Any, size: int) -> None:
    async def count(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"%d" % len(await body_of(receive)))

    live = serve_tls(count, lifespan="off")
    with OpenSSLClient("127.0.0.1", live.port) as client:
        assert client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (size * 6000))
        for _ in range(6000):
            assert client.write(bytes(size))
        assert client.read().endswith(b"\r\n%d" % (size * 6000))


def test_a_connection_that_is_over_keeps_no_session(serve_tls: Any, certificates: Certificates) -> None:
    """The session of OpenSSL is freed at once, not when the collector comes by."""
    live = serve_tls(hello)
    gc.collect()
    gc.disable()
    try:
        before = sum(type(one) is ssl.SSLObject for one in gc.get_objects())
        for _ in range(20):
            with live.connect(tls=certificates.client) as peer:
                assert peer.get().status == 200
        eventually(lambda: sum(type(one) is ssl.SSLObject for one in gc.get_objects()) <= before)
    finally:
        gc.enable()


def test_each_connection_has_one_ticket_for_the_next(serve_tls: Any, certificates: Certificates) -> None:
    """RFC 8446 section 4.6.1. A client that resumes its session goes on with the ticket of its latest connection."""
    live = serve_tls(hello)
    session: Any = None
    for resumed in (False, True, True):
        with (
            socket.create_connection(("127.0.0.1", live.port), 5) as sock,
            certificates.client.wrap_socket(sock, server_hostname="localhost", session=session) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while tls.recv(65536):
                pass
            assert tls.session_reused is resumed
            session = tls.session
