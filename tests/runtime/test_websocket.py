"""WebSockets over real sockets, on every loop: what only a socket can show."""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import SETTINGS_ACK, START, Reader, headers
from tests.support.live import Gate, Live, eventually, lifespan
from tests.support.peer import PATIENCE
from tests.support.websocket import LiveWebSocket, Script, upgrade
from tests.wire.websocket_frames import Frame, frame

__all__ = ("certificates",)  # a fixture

Serve = Callable[..., Live]
ACCEPT = {"type": "websocket.accept"}
CONNECT = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/"),
    (b"sec-websocket-version", b"13"),
]


@pytest.fixture
def serve_app(serve_app: Serve) -> Serve:
    """Servers whose end does not wait long for clients that leave their close frame unanswered."""
    return partial(serve_app, graceful_timeout=0.1)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends everything back."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def open_websocket(live: Live, *fields: str, **more: Any) -> LiveWebSocket:
    ws = LiveWebSocket(live.connect(**more), *fields)
    assert ws.status == 101
    return ws


@pytest.mark.parametrize("size", [0, 125, 126, 16384, 65536, 300_000])
def test_echo(serve_app: Serve, size: int) -> None:
    live = serve_app(echo)
    ws = open_websocket(live)
    ws.send(2, b"x" * size)
    assert ws.read() == Frame(2, b"x" * size, True, 0)
    ws.send(1, b"y" * size)
    assert ws.read() == Frame(1, b"y" * size, True, 0)
    ws.close(4000, b"done")
    assert ws.closing() == (4000, b"")
    assert ws.peer.ended()
    assert live.errors() == []


def test_many_messages_at_once(serve_app: Serve) -> None:
    ws = open_websocket(serve_app(echo))
    ws.peer.send(b"".join(frame(1, b"%d" % i) for i in range(500)))
    assert [ws.read().payload for _ in range(500)] == [b"%d" % i for i in range(500)]


def test_frames_beside_the_handshake(serve_app: Serve) -> None:
    ws = LiveWebSocket(serve_app(echo).connect(), rest=frame(1, b"early") + frame(9, b"p"))
    assert {ws.read().payload, ws.read().payload} == {b"early", b"p"}


@pytest.mark.parametrize("how", ["close", "reset"])
def test_ws02_a_peer_that_drops_the_socket(serve_app: Serve, how: str) -> None:
    app = Script()
    live = serve_app(app, lifespan="off")
    ws = open_websocket(live)
    getattr(ws.peer, how)()
    assert eventually(lambda: app.end) == (1006, "")
    assert live.errors() == []


def test_ws12_n10_pings_and_the_close_are_seen_while_the_application_does_not_read(serve_app: Serve) -> None:
    gate = Gate()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await gate.wait()
        while not seen or seen[-1]["type"] == "websocket.receive":
            seen.append(await receive())

    live = serve_app(app, lifespan="off", websocket_max_queue=2)
    ws = open_websocket(live)
    ws.send(1, b"a")
    ws.send(1, b"b")
    for _ in range(3):
        ws.send(9, b"there?")
        assert ws.read() == Frame(10, b"there?", True, 0)
    ws.close(4002)
    assert ws.closing() == (4002, b"")
    gate.set()
    eventually(lambda: len(seen) == 3)
    assert seen[2] == {"type": "websocket.disconnect", "code": 4002, "reason": ""}


def test_n10_a_slow_client_parks_send(serve_app: Serve) -> None:
    sent: list[int] = []
    over: list[BaseException] = []

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(200_000)})
                sent.append(1)
        except OSError as error:
            over.append(error)
            raise

    live = serve_app(flood, lifespan="off")
    ws = open_websocket(live, receive_buffer=16384)
    count = -1
    while count != len(sent):
        count = len(sent)
        time.sleep(0.2)
    assert count < 40
    for _ in range(count + 3):
        assert len(ws.read().payload) == 200_000
    ws.peer.reset()
    eventually(lambda: over)
    assert live.errors() == []


def test_ws12_n29_pings_and_a_missing_pong(serve_app: Serve) -> None:
    app = Script()
    live = serve_app(app, lifespan="off", websocket_ping_interval=0.2, websocket_ping_timeout=0.2)
    ws = open_websocket(live)
    assert ws.read() == Frame(9, b"", True, 0)
    ws.send(10)
    assert ws.read() == Frame(9, b"", True, 0)
    assert ws.closing() == (1011, b"ping timeout")
    assert eventually(lambda: app.end) == (1006, "ping timeout")


def test_ws05_shutdown(serve_app: Serve) -> None:
    app = Script()
    live = serve_app(app, lifespan="off", graceful_timeout=10)
    ws = open_websocket(live)
    live.wake()
    assert ws.closing() == (1012, b"")
    ws.close(1012)
    assert ws.peer.ended()
    live.stop()
    assert app.end == (1012, "")


def test_shutdown_does_not_wait_for_a_peer_that_does_not_answer(serve_app: Serve) -> None:
    live = serve_app(echo, graceful_timeout=0.3)
    ws = open_websocket(live)
    start = time.monotonic()
    live.stop()
    assert time.monotonic() - start < 3
    assert ws.closing() == (1012, b"")


def test_a_broadcast_reaches_all(serve_app: Serve) -> None:
    members: list[Any] = []

    async def hub(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        members.append(send)
        while (message := await receive())["type"] == "websocket.receive":
            for member in members:
                await member({"type": "websocket.send", "text": message["text"]})
        members.remove(send)

    live = serve_app(hub, lifespan="off")
    sockets = [open_websocket(live) for _ in range(20)]
    eventually(lambda: len(members) == 20)
    for sender in sockets[:3]:
        sender.send(1, b"hello all")
        assert [each.read().payload for each in sockets] == [b"hello all"] * 20


def test_q_ws_2_a_broken_frame_is_told_and_the_rest_is_served(serve_app: Serve) -> None:
    live = serve_app(echo)
    bad, good = open_websocket(live), open_websocket(live)
    bad.peer.send(frame(1, b"unmasked", mask=None) + b"more" * 1000)
    assert bad.closing()[0] == 1002
    bad.peer.end()
    assert bad.peer.ended()
    good.send(1, b"fine")
    assert good.read().payload == b"fine"
    assert live.errors() == []


# -- over TLS


def test_ws19_over_tls(serve_app: Serve, certificates: Certificates) -> None:
    app = Script()
    live = serve_app(app, lifespan="off", certfile=certificates.certfile, keyfile=certificates.keyfile)
    ws = open_websocket(live, tls=certificates.client)
    assert app.scopes[0]["scheme"] == "wss"
    for size in (0, 125, 16384, 300_000):
        ws.send(2, b"x" * size)
        assert ws.read() == Frame(2, b"x" * size, True, 0)
    ws.send(9, b"there?")
    assert ws.read() == Frame(10, b"there?", True, 0)
    ws.close(4000, b"done")
    assert ws.closing() == (4000, b"")
    assert eventually(lambda: app.end) == (4000, "done")
    assert ws.peer.ended()
    assert live.errors() == []


def test_over_tls_the_servers_close_a_lost_socket_and_shutdown(serve_app: Serve, certificates: Certificates) -> None:
    apps: dict[str, Script] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = dict(scope["headers"])[b"x-case"].decode()
        after = [{"type": "websocket.close", "code": 4001, "reason": "enough"}] if name == "closes" else []
        apps[name] = Script(after=after)
        await apps[name](scope, receive, send)

    live = serve_app(app, lifespan="off", certfile=certificates.certfile, keyfile=certificates.keyfile)
    closes, lost, stays = (
        open_websocket(live, f"x-case: {name}", tls=certificates.client) for name in ("closes", "lost", "stays")
    )
    assert closes.closing() == (4001, b"enough")
    closes.close(4001)
    assert closes.peer.ended()
    lost.peer.reset()
    assert eventually(lambda: apps["lost"].end) == (1006, "")
    live.wake()
    assert stays.closing() == (1012, b"")
    stays.close(1012)
    assert stays.peer.ended()
    live.stop()
    assert apps["stays"].end == (1012, "")
    assert live.errors() == []


def test_n10_over_tls_a_slow_client_parks_send(serve_app: Serve, certificates: Certificates) -> None:
    sent: list[int] = []

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(200):
            await send({"type": "websocket.send", "bytes": bytes(200_000)})
            sent.append(1)

    live = serve_app(flood, lifespan="off", certfile=certificates.certfile, keyfile=certificates.keyfile)
    ws = open_websocket(live, tls=certificates.client, receive_buffer=16384)
    count = -1
    while count != len(sent):
        count = len(sent)
        time.sleep(0.2)
    assert count < 40
    for _ in range(count + 3):
        assert len(ws.read().payload) == 200_000
    ws.peer.reset()
    assert live.errors() == []


def test_a_long_compressed_message_does_not_hold_up_the_others(serve_app: Serve) -> None:
    """While megabytes are compressed for one client, another one is answered."""
    started = Gate()
    large = random.Random(1).randbytes(1 << 16) * 128

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "large":
                started.set()
                await send({"type": "websocket.send", "bytes": large})
            else:
                await send({"type": "websocket.send", "text": message["text"]})

    live = serve_app(app, lifespan="off", websocket_compression="window_bits=15")
    offered = open_websocket(live, "sec-websocket-extensions: permessage-deflate")
    other = open_websocket(live)
    offered.send(1, b"large")
    assert started.state.wait(PATIENCE)
    other.send(1, b"small")
    assert other.read().payload == b"small"
    frames = [offered.read()]
    while not frames[-1].fin:
        frames.append(offered.read())
    assert zlib.decompressobj(-15).decompress(b"".join(each.payload for each in frames) + b"\0\0\xff\xff") == large
    assert len(frames) > 10
    assert live.errors() == []


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_handshake_that_is_pending_at_shutdown_is_refused(serve_app: Serve, version: str) -> None:
    """Long before `graceful_timeout` cancels the call."""
    reached, seen = threading.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        reached.set()
        seen.append(await receive())

    live = serve_app(app, lifespan="off", graceful_timeout=PATIENCE)
    peer = live.connect()
    peer.send(upgrade() if version == "1.1" else START + SETTINGS_ACK + headers(1, CONNECT, False))
    assert reached.wait(PATIENCE)
    live.running.shutdown()
    if version == "1.1":
        assert peer.response().status == 503
    else:
        reader = Reader()
        while 1 not in reader.answers and peer.more():
            reader.feed(peer.take(len(peer.buffer)))
        assert reader.answers[1].status == 503
    assert eventually(lambda: seen) == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    peer.close()
    assert live.errors() == []
