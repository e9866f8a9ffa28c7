"""WebSockets on HTTP/2 streams over real sockets, on every loop. Labels: F20, F21, H2-20, N29, Q-H2-16."""

from __future__ import annotations

from typing import Any

import pytest
from tests.asgi.test_websocket_compression import pack, unpack
from tests.protocol.test_http2_websocket import CONNECT
from tests.runtime.test_http2 import Client
from tests.support.http2 import PREFACE, RST_STREAM, SETTINGS_ACK, START, data, headers, reset, settings, window_update
from tests.support.live import Live, eventually, hello, lifespan
from tests.wire.websocket_frames import Frame, close, frame, read_frames

DEFLATE = (b"sec-websocket-extensions", b"permessage-deflate")


class Echo:
    """Accepts and echoes; notes how each WebSocket ended. Plain requests are answered."""

    def __init__(self) -> None:
        self.ends: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] == "http":
            await hello(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.ends.append(message["code"])
                return
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


def until(client: Client, stream: int, count: int) -> list[Frame]:
    """The first frames on a stream, which has to bring that many."""
    while True:
        answer = client.reader.answers.get(stream)
        if answer is not None:
            try:
                frames = read_frames(answer.body)
            except (AssertionError, IndexError):
                frames = []  # the last one is cut
            if len(frames) >= count:
                return frames
        assert client.read(), "the connection ended"


def test_sockets_beside_requests(serve_app: Any) -> None:
    app = Echo()
    client = Client(serve_app(app, lifespan="off").connect())
    streams = range(1, 61, 2)
    client.send(*(headers(stream, CONNECT, False) for stream in streams))
    client.send(*(data(stream, frame(1, b"to %d" % stream)) for stream in streams), headers(101))
    assert client.answer(101).body == b"hello"
    for stream in streams:
        assert [each.payload for each in until(client, stream, 1)] == [b"to %d" % stream]
    client.send(*(data(stream, close(1000), True) for stream in streams))
    for stream in streams:
        answer = client.answer(stream)
        assert (answer.status, answer.ended, answer.reset) == (200, True, None)
    eventually(lambda: app.ends == [1000] * len(streams))


def test_n29_large_messages_compressed(serve_app: Any) -> None:
    client = Client(serve_app(Echo(), lifespan="off").connect(), START + SETTINGS_ACK)
    client.send(settings((4, 1 << 24)), window_update(0, 1 << 24), headers(1, [*CONNECT, DEFLATE], False))
    text = bytes(range(97, 123)) * 40_000  # a mebibyte
    client.send(data(1, frame(1, pack(text), rsv=4)))
    (echo,) = until(client, 1, 1)
    assert echo.rsv == 4
    assert unpack(echo.payload) == text
    client.peer.close()


def test_octet_by_octet(serve_app: Any) -> None:
    client = Client(serve_app(Echo(), lifespan="off").connect())
    for octet in headers(1, CONNECT, False) + data(1, frame(1, b"hi")):
        client.send(bytes((octet,)))
    assert [each.payload for each in until(client, 1, 1)] == [b"hi"]
    client.peer.close()


def test_h2_20_q_h2_16_a_small_window_loses_nothing(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(20):
            await send({"type": "websocket.send", "text": f"{number:03}" * 40})
        await send({"type": "websocket.close", "code": 1000})

    client = Client(serve_app(app, lifespan="off").connect(), PREFACE + settings((4, 10)) + SETTINGS_ACK)
    client.send(headers(1, CONNECT, False))
    for _ in range(60):
        client.send(window_update(1, 50))
    frames = until(client, 1, 21)
    assert [each.payload for each in frames[:20]] == [b"%03d" % number * 40 for number in range(20)]
    assert frames[20].payload == b"\x03\xe8"
    client.send(data(1, close(1000), True))
    assert client.answer(1).ended
    assert not any(each.kind == RST_STREAM for each in client.reader.frames)


@pytest.mark.parametrize("how", ["reset", "end", "cut"])
def test_f20_a_peer_that_goes_without_a_word(serve_app: Any, how: str) -> None:
    app = Echo()
    live: Live = serve_app(app, lifespan="off")
    client = Client(live.connect())
    client.send(headers(1, CONNECT, False), data(1, frame(1, b"a") + frame(1, b"half")[:-2]))
    until(client, 1, 1)
    if how == "cut":
        client.peer.reset()
    else:
        client.send(reset(1) if how == "reset" else data(1, b"", True))
    eventually(lambda: app.ends == [1006])
    assert live.errors() == []


def test_f21_shutdown_with_many(serve_app: Any) -> None:
    app = Echo()
    live: Live = serve_app(app)
    clients = [Client(live.connect()) for _ in range(4)]
    streams = range(1, 81, 2)
    for client in clients:
        client.send(*(headers(stream, CONNECT, False) for stream in streams))
        client.send(*(data(stream, frame(1, b"x")) for stream in streams))
    for client in clients:
        for stream in streams:
            until(client, stream, 1)
    live.wake()
    for client in clients:
        for stream in streams:
            assert until(client, stream, 2)[1].payload[:2] == (1012).to_bytes(2, "big")
        client.send(*(data(stream, close(1012), True) for stream in streams))
    for client in clients:
        for stream in streams:
            assert client.answer(stream).ended
        while client.read():
            pass
    live.stop()
    assert app.ends == [1012] * 4 * len(streams)
    assert live.errors() == []
