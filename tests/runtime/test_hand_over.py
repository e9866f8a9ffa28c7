"""The hand-over from one protocol to another: the same operation on every loop's transports and on the reactor."""

from __future__ import annotations

from typing import Any

from tests.support.http2 import POST, START, Reader, data, headers
from tests.support.live import body_of, pause, respond

UPGRADE = (
    b"GET /upgraded HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n"
)
SLOW = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/slow takes its time; the length of the body; the sizes of WebSocket messages."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": str(len(message["bytes"]))})
        return
    if scope["path"] == "/slow":
        await pause(0.4)
    await respond(send, b"%d" % len(await body_of(receive)))


def masked(payload: bytes) -> bytes:
    """A binary message of a client."""
    return b"\x82\xff" + len(payload).to_bytes(8, "big") + bytes(4) + payload


def test_h2c_behind_a_pipeline_that_paused_reading(serve_app: Any) -> None:
    peer = serve_app(app, lifespan="off", h2c_upgrade=True).connect()
    whole = b"x" * 16000
    peer.send(SLOW + UPGRADE + START + headers(3, POST, end=False) + 4 * data(3, whole) + data(3, b"y" * 1500))
    assert peer.response().body == b"0"
    assert peer.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    reader = Reader()
    reader.feed(peer.buffer)
    peer.send(data(3, b"z", end=True))
    while 3 not in reader.answers or not reader.answers[3].over:
        received = peer.sock.recv(65536)
        assert received
        reader.feed(received)
    assert (reader.answers[1].body, reader.answers[3].body) == (b"0", b"65501")


def test_a_websocket_behind_a_pipeline_that_paused_reading(serve_app: Any) -> None:
    peer = serve_app(app, lifespan="off").connect()
    peer.send(SLOW + HANDSHAKE + masked(b"x" * 100000))
    assert peer.response().body == b"0"
    assert peer.response().status == 101
    peer.send(masked(b"y" * 100001))
    assert peer.take(8) == b"\x81\x06100000"
    assert peer.take(8) == b"\x81\x06100001"


def test_prior_knowledge_and_a_websocket_behind_a_proxy_header(serve_app: Any) -> None:
    live = serve_app(app, lifespan="off", proxy_protocol=True, trusted_proxies=["127.0.0.1"], h2c_upgrade=True)
    header = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
    peer = live.connect()
    peer.send(header + HANDSHAKE + masked(b"x" * 70000))
    assert peer.response().status == 101
    assert peer.take(7) == b"\x81\x0570000"
    peer = live.connect()
    peer.send(header + START + headers(1))
    reader = Reader()
    while 1 not in reader.answers or not reader.answers[1].over:
        received = peer.sock.recv(65536)
        assert received
        reader.feed(received)
    assert reader.answers[1].body == b"0"
    assert live.errors() == []
