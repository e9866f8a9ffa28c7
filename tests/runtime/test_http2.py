"""HTTP/2 over real sockets on every loop: the doors to it, bodies both ways, what is cancelled, how it ends."""

from __future__ import annotations

import random
import ssl
import threading
import time
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    GET,
    POST,
    SETTINGS_ACK,
    START,
    Answer,
    Reader,
    data,
    headers,
    ping,
    reset,
    settings,
    window_update,
)
from tests.support.live import Gate, Live, body_of, eventually, hello, lifespan, pause, respond
from tests.support.peer import Peer

__all__ = ("certificates",)  # a fixture


class Client:
    """HTTP/2 on a socket."""

    def __init__(self, peer: Peer, start: bytes = START + SETTINGS_ACK) -> None:
        self.peer = peer
        self.reader = Reader()
        peer.send(start)

    def send(self, *frames: bytes) -> None:
        self.peer.send(b"".join(frames))

    def read(self) -> bool:
        """Reads once. False at the end."""
        received = self.peer.sock.recv(262144)
        self.reader.feed(received)
        return bool(received)

    def answer(self, stream: int = 1) -> Answer:
        """The whole response on a stream."""
        while stream not in self.reader.answers or not self.reader.answers[stream].over:
            assert self.read(), "the connection ended"
        return self.reader.answers[stream]

    def until_goaway(self) -> int:
        """The code of the GOAWAY that comes."""
        while not self.reader.goaways:
            assert self.read(), "the connection ended"
        return self.reader.goaways[-1][1]


@pytest.fixture
def connect(serve_app: Any) -> Any:
    def connect(app: Any, **options: Any) -> Client:
        live: Live = serve_app(app, lifespan="off", **options)
        return Client(live.connect())

    return connect


def path(value: bytes, method: bytes = b"GET") -> list[tuple[bytes, bytes]]:
    return [(b":method", method), GET[1], (b":path", value), GET[3]]


def test_prior_knowledge(connect: Any) -> None:
    client = connect(hello)
    client.send(*(headers(stream) for stream in range(1, 65, 2)))
    assert [client.answer(stream).body for stream in range(1, 65, 2)] == [b"hello"] * 32


def test_calls_of_one_batch_do_not_wait_for_each_other(connect: Any) -> None:
    """Calls begin one behind the other; one that waits, or fails, holds none of the rest."""
    gate = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await gate.wait()
        elif scope["path"] == "/fail":
            raise OSError("broken")
        await respond(send, scope["path"].encode())

    client = connect(app)
    paths = [(b"/wait", b"/now", b"/fail", b"/now")[number % 4] for number in range(40)]
    client.send(*(headers(2 * number + 1, path(each)) for number, each in enumerate(paths)))
    for number, each in enumerate(paths):
        if each == b"/now":
            assert client.answer(2 * number + 1).body == b"/now"
        elif each == b"/fail":
            assert client.answer(2 * number + 1).status == 500
    gate.set()
    for number, each in enumerate(paths):
        if each == b"/wait":
            assert client.answer(2 * number + 1).body == b"/wait"


def test_octet_by_octet(connect: Any) -> None:
    client = connect(hello)
    for octet in headers(1):
        client.send(bytes((octet,)))
    assert client.answer().body == b"hello"


UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
)


def test_no_upgrade_by_default_and_none_for_a_proxy(serve_app: Any) -> None:
    for options in ({}, {"h2c_upgrade": True, "trusted_proxies": ["127.0.0.1"]}):
        peer = serve_app(hello, lifespan="off", **options).connect()
        peer.send(UPGRADE)
        assert peer.response().status == 200


def test_upgrade(serve_app: Any) -> None:
    peer = serve_app(hello, lifespan="off", h2c_upgrade=True).connect()
    peer.send(UPGRADE)
    assert peer.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    client = Client(peer)
    client.reader.feed(peer.buffer)
    assert client.answer(1).body == b"hello"
    client.send(headers(3))
    assert client.answer(3).body == b"hello"


@pytest.mark.parametrize(("offers", "agreed"), [(["h2", "http/1.1"], "h2"), (["h2"], "h2"), (["http/1.1"], "http/1.1"),
                                                (["h3"], None), ([], None)])  # fmt: skip
def test_g06_alpn(serve_app: Any, certificates: Certificates, offers: list[str], agreed: str | None) -> None:
    live = serve_app(hello, lifespan="off", certfile=certificates.certfile, keyfile=certificates.keyfile)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if offers:
        context.set_alpn_protocols(offers)
    peer = live.connect(tls=context)
    assert peer.sock.selected_alpn_protocol() == agreed
    if agreed == "h2":
        client = Client(peer)
        client.send(*(headers(stream) for stream in range(1, 65, 2)))
        assert [client.answer(stream).body for stream in range(1, 65, 2)] == [b"hello"] * 32
    else:
        assert peer.get().body == b"hello"


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [1, 1023, 1024, 16384, 16385, 100_003, 262_144])
def test_bodies_arrive_as_they_were_cut(serve_app: Any, certificates: Certificates, size: int, tls: bool) -> None:
    """Pieces of one response that are smaller than a frame, as large, and larger."""
    body = random.Random(size).randbytes(3 * size + 5)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for at in range(0, len(body), size):
            await send({"type": "http.response.body", "body": body[at : at + size], "more_body": True})
        await send({"type": "http.response.body"})

    files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile} if tls else {}
    live = serve_app(app, lifespan="off", **files)
    context = certificates.client if tls else None
    if context is not None:
        context.set_alpn_protocols(["h2"])
    try:
        client = Client(live.connect(tls=context))
    finally:
        if context is not None:
            context.set_alpn_protocols([])
    client.send(window_update(0, 1 << 20), headers(1), window_update(1, 1 << 20))
    assert client.answer().body == body


def test_h2_off_is_not_offered(serve_app: Any, certificates: Certificates) -> None:
    files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
    live = serve_app(hello, lifespan="off", alpn_protocols=["http/1.1"], **files)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    assert live.connect(tls=context).sock.selected_alpn_protocol() == "http/1.1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("old", ["TLS 1.1", "a cipher without forward secrecy"])
def test_g05_transport_that_is_too_weak(serve_app: Any, certificates: Certificates, old: str) -> None:
    live = serve_app(hello, lifespan="off", certfile=certificates.certfile, keyfile=certificates.keyfile)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if old == "TLS 1.1":
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    else:
        context.set_ciphers("AES128-SHA256:AES128-SHA")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        live.connect(tls=context)


def test_an_upload_and_its_echo(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await body_of(receive))

    client = connect(app)
    content = bytes(range(256)) * 4000
    client.send(headers(1, POST, end=False), window_update(0, 1 << 24), settings((4, 1 << 24)))
    sent = 0
    while sent < len(content):
        window = min(65535 + client.reader.windows.get(1, 0), 65535 + client.reader.windows.get(0, 0)) - sent
        if window:
            piece = content[sent : sent + min(window, 16384)]
            sent += len(piece)
            client.send(data(1, piece, end=sent == len(content)))
        else:
            assert client.read()
    assert client.answer().body == content


class Waits:
    """A GET waits for `gate`, a POST reads its body, /endless sends for ever."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.gone = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/endless":
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            except OSError:
                self.gone.set()
                raise
        message = {"more_body": scope["method"] == "POST"}
        while message.get("more_body"):
            message = await receive()
        if message.get("type") == "http.disconnect":
            self.gone.set()
        elif scope["method"] == "GET":
            await self.gate.wait()
        await respond(send, b"done")


def drip(client: Client, frame: bytes, stream: int, seconds: float) -> float:
    """Sends a frame about 50 times a second, until the answer on a stream is over. Returns the seconds that it took."""
    began = time.monotonic()
    patience = client.peer.sock.gettimeout()
    client.peer.sock.settimeout(0.02)
    while not (stream in client.reader.answers and client.reader.answers[stream].over):
        if time.monotonic() - began > seconds:
            break
        client.send(frame)
        pause = time.monotonic() + 0.02
        try:
            assert client.read(), "the connection ended"
        except TimeoutError:
            pass
        time.sleep(max(0.0, pause - time.monotonic()))  # an answer to each frame would make it a flood
    client.peer.sock.settimeout(patience)
    return time.monotonic() - began


def test_a_body_that_trickles_in_ends_its_stream_alone(connect: Any) -> None:
    """Every byte is progress, and `body_timeout` is far: it is the rate that ends it."""
    app = Waits()
    client = connect(app, min_receive_rate=1000, min_rate_grace=0.2)
    client.send(headers(1), headers(3, POST, end=False))
    assert 0.15 < drip(client, data(3, b"x"), 3, 5) < 5
    assert (client.answer(3).status, client.answer(3).body) == (408, b"the request body arrived too slowly\n")
    assert app.gone.wait(5)
    app.gate.set()
    client.send(headers(5, POST, end=False), data(5, b"x", end=True))
    assert [client.answer(stream).body for stream in (1, 5)] == [b"done"] * 2
    assert client.reader.goaways == []


def test_a_grpc_call_may_trickle_in(connect: Any) -> None:
    client = connect(Waits(), min_receive_rate=1000, min_rate_grace=0.1)
    client.send(headers(1, [*POST, (b"content-type", b"application/grpc")], end=False))
    assert drip(client, data(1, b"x"), 1, 0.6) > 0.6
    client.send(data(1, b"x", end=True))
    assert client.answer().body == b"done"


def test_a_window_that_opens_byte_by_byte_ends_its_stream_alone(connect: Any) -> None:
    app = Waits()
    client = connect(app, min_send_rate=1_000_000, min_rate_grace=0.2)
    client.send(settings((4, 1000)), headers(1), headers(3, path(b"/endless")))
    assert 0.2 < drip(client, window_update(3, 1), 3, 5) < 5
    assert client.answer(3).reset == CANCEL
    assert app.gone.wait(5)
    app.gate.set()
    client.send(headers(5, POST, end=False), data(5, b"x", end=True))
    assert [client.answer(stream).body for stream in (1, 5)] == [b"done"] * 2
    assert client.reader.goaways == []


def test_a_connection_that_is_read_byte_by_byte_is_aborted(serve_app: Any) -> None:
    """What waits in the socket is of all its streams, so all of them end."""
    app = Waits()
    live: Live = serve_app(app, lifespan="off", min_send_rate=1_000_000, min_rate_grace=0.2)
    with live.connect(receive_buffer=32768) as peer:
        Client(peer, START + SETTINGS_ACK + settings((4, 1 << 30)) + window_update(0, 1 << 30))
        peer.send(headers(1, path(b"/endless")))
        began = time.monotonic()
        while not app.gone.wait(0.01) and time.monotonic() - began < 5:
            peer.sock.recv(1)
        assert app.gone.is_set()
        assert time.monotonic() - began > 0.2
    assert live.errors() == []


def test_a_large_download_to_a_slow_reader(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(200):
            await send({"type": "http.response.body", "body": bytes((number,)) * 20000, "more_body": True})
        await send({"type": "http.response.body"})

    client = connect(app)
    client.send(settings((4, 1 << 24)), window_update(0, 1 << 24), headers(1), headers(3))
    time.sleep(0.2)
    content = b"".join(bytes((number,)) * 20000 for number in range(200))
    assert client.answer(1).body == content
    assert client.answer(3).body == content


def test_h2_21_a_reset_cancels_the_call(connect: Any) -> None:
    ended: list[float] = []
    running: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await respond(send, b"fine")
            return
        running.append(scope["path"])
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await pause(100)
        finally:
            ended.append(time.monotonic())

    client = connect(app)
    for number in range(20):
        client.send(headers(4 * number + 1, path(b"/events")))
        eventually(lambda number=number: len(running) == number + 1)
        began = time.monotonic()
        client.send(reset(4 * number + 1))
        eventually(lambda number=number: len(ended) == number + 1)
        assert ended[-1] - began < 1.0
        client.send(headers(4 * number + 3))
        assert client.answer(4 * number + 3).body == b"fine"


def test_c01_rapid_reset_leaves_the_others_alone(serve_app: Any) -> None:
    running: list[int] = []
    most: list[int] = [0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await respond(send, b"fine")
            return
        running.append(1)
        most[0] = max(most[0], len(running))
        try:
            await pause(5)
        finally:
            running.pop()

    live: Live = serve_app(app, lifespan="off", keep_alive_max_requests=10**6)
    canary = Client(live.connect())
    attacker = Client(live.connect())
    stream = 1
    try:
        while stream < 200000 and not attacker.reader.goaways:
            frames = []
            for _ in range(100):
                frames += [headers(stream, path(b"/slow")), reset(stream)]
                stream += 2
            attacker.send(*frames)
            canary.send(headers(stream))
            assert canary.answer(stream).body == b"fine"
            if stream > 2200:
                assert attacker.read()
    except ConnectionError:
        pass  # sent into a closed connection
    assert attacker.until_goaway() == ENHANCE_YOUR_CALM
    assert most[0] <= 100
    eventually(lambda: not running)
    assert live.errors() == []


def test_a01_ping_flood(serve_app: Any) -> None:
    live: Live = serve_app(hello, lifespan="off")
    client = Client(live.connect())
    try:
        for _ in range(200):
            client.send(ping() * 100)
            client.peer.sock.settimeout(0.001)
            try:
                client.read()
            except TimeoutError:
                pass
            client.peer.sock.settimeout(10)
    except ConnectionError:
        pass
    client.peer.sock.settimeout(10)
    assert client.until_goaway() == ENHANCE_YOUR_CALM


def test_g07_a_graceful_shutdown(serve_app: Any) -> None:
    gate = Gate()
    entered: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        entered.append(scope)
        await gate.wait()
        await respond(send, b"done")

    live: Live = serve_app(app)
    client = Client(live.connect())
    client.send(*(headers(stream) for stream in range(1, 201, 2)))
    eventually(lambda: len(entered) == 100)
    live.wake()
    assert client.until_goaway() == 0
    gate.set()
    drain = next(one.payload for one in client.reader.frames if one.kind == 6)
    client.send(ping(drain, ack=True))
    assert [client.answer(stream).body for stream in range(1, 201, 2)] == [b"done"] * 100
    while client.read():
        pass
    assert client.reader.goaways[-1] == (199, 0)
    live.stop()


def test_g08_a_stuck_stream_ends_with_the_grace(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause(1000)

    live: Live = serve_app(app, lifespan="off", graceful_timeout=0.3)
    client = Client(live.connect())
    client.send(headers(1))
    time.sleep(0.1)
    began = time.monotonic()
    live.stop()
    assert time.monotonic() - began < 1.5


def test_e17_a_connection_that_is_cut(serve_app: Any) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append((await receive())["type"])

    live: Live = serve_app(app, lifespan="off")
    client = Client(live.connect())
    client.send(*(headers(stream) for stream in range(1, 201, 2)))
    client.send(ping())
    while not any(one.kind == 6 for one in client.reader.frames):
        client.read()
    client.peer.reset()
    eventually(lambda: len(seen) == 100)
    assert seen == ["http.disconnect"] * 100
    assert live.errors() == []
