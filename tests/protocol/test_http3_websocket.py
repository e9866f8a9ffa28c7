"""WebSockets over HTTP/3 in memory (RFC 9220): handshakes, messages, ends. The frames of the client are wsproto's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.http3 import Client, Server
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from hypercorn.wire.http3 import H3_REQUEST_CANCELLED


def handshake(path: bytes = b"/", *more: tuple[bytes, bytes], version: bytes = b"13") -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", path),
        (b"sec-websocket-version", version),
        *more,
    ]


class Socket:
    """A WebSocket of a client."""

    def __init__(self, client: Client, *more: tuple[bytes, bytes], path: bytes = b"/") -> None:
        self.client = client
        self.stream = client.send(handshake(path, *more), end=False)
        self.frames = Connection(ConnectionType.CLIENT)
        self.used = 0
        client.server.settle()

    @property
    def status(self) -> int:
        return self.client.answer(self.stream).status

    def send(self, event: Any) -> None:
        self.client.http.send_data(self.stream, self.frames.send(event), False)
        self.client.server.settle()

    def events(self) -> list[Any]:
        """What came since the last call."""
        body = bytes(self.client.answer(self.stream).body)
        data, self.used = body[self.used :], len(body)
        if data:
            self.frames.receive_data(data)
        return list(self.frames.events())


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accepts, sends back every message, and records what it saw."""
    seen.append(scope)
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/no":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/teapot":
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"short and stout"})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    while True:
        message = await receive()
        seen.append(message)
        if message["type"] == "websocket.disconnect":
            return
        if message["text"] == "leave":
            await send({"type": "websocket.close", "code": 3000, "reason": "bye"})
            return
        await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})


seen: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize("window", [10_000, 1 << 22])
def test_messages_both_ways(window: int) -> None:
    """Those larger than the client's window, too."""
    server = Server(echo)
    socket = Socket(server.client(max_data=1 << 22, max_stream_data=window), (b"sec-websocket-protocol", b"a, b"))
    answer = socket.client.answer(socket.stream)
    assert (answer.status, answer.headers[b"sec-websocket-protocol"]) == (200, b"a")
    assert b"upgrade" not in answer.headers
    assert (seen[0]["type"], seen[0]["http_version"], seen[0]["scheme"]) == ("websocket", "3", "wss")
    socket.send(TextMessage(data="hello"))
    assert [event.data for event in socket.events()] == ["hello"]
    large = bytes(range(256)) * 2000
    socket.send(BytesMessage(data=large))
    assert b"".join(bytes(event.data) for event in socket.events()) == large
    socket.send(Ping(payload=b"you"))
    (pong,) = socket.events()
    assert isinstance(pong, Pong)
    socket.send(CloseConnection(code=1001, reason="done"))
    (close,) = socket.events()
    assert isinstance(close, CloseConnection)
    assert close.code == 1001
    assert seen[-1] == {"type": "websocket.disconnect", "code": 1001, "reason": "done"}
    socket.client.quic.send_stream_data(socket.stream, b"", True)
    server.settle(3)
    assert socket.client.answer(socket.stream).over
    assert not server.connection.streams
    assert server.records[0][1] == 200
    assert not server.log.errors


def test_the_scope_says_what_it_says_over_http1() -> None:
    server = Server(echo)
    Socket(server.client(), (b"sec-websocket-protocol", b"chat, echo"), (b"cookie", b"a=1"), (b"cookie", b"b=2"))
    scope = seen[0]
    assert scope["subprotocols"] == ["chat", "echo"]
    assert dict(scope["headers"])[b"host"] == b"localhost"
    assert (b"cookie", b"a=1; b=2") in scope["headers"]
    assert not any(name[:1] == b":" for name, _ in scope["headers"])
    assert scope["headers"].count((b"upgrade", b"websocket")) == 1  # engine.io and others look for these
    assert scope["headers"].count((b"connection", b"Upgrade")) == 1


def test_the_application_closes() -> None:
    server = Server(echo)
    socket = Socket(server.client())
    socket.send(TextMessage(data="leave"))
    (close,) = socket.events()
    assert (close.code, close.reason) == (3000, "bye")


@pytest.mark.parametrize(("path", "status", "body"), [(b"/no", 403, b""), (b"/teapot", 418, b"short and stout")])
def test_refusals(path: bytes, status: int, body: bytes) -> None:
    socket = Socket(Server(echo).client(), path=path)
    answer = socket.client.answer(socket.stream)
    assert (answer.status, answer.body, answer.over) == (status, body, True)


def test_handshakes_that_are_not_in_order() -> None:
    server = Server(echo, websocket_origins=["https://good.example"])
    client = server.client()
    cases = [
        (handshake(version=b"12"), 426),
        (handshake(b"/", (b"origin", b"https://bad.example")), 403),
        ([pair for pair in handshake() if pair[0] != b"sec-websocket-version"], 400),
        ([(name, b"telnet" if name == b":protocol" else value) for name, value in handshake()], 501),
    ]
    for fields, status in cases:
        stream = client.send(fields, end=False)
        server.settle()
        assert client.answer(stream).status == status
    stream = client.send(handshake())
    server.settle()
    assert client.answer(stream).status == 400
    assert not seen


@pytest.mark.parametrize("option", ["websockets", "websocket_extended_connect"])
def test_websockets_switched_off(option: str) -> None:
    server = Server(echo, **{option: False})
    client = server.client()
    assert 8 not in client.http.received_settings
    stream = client.send(handshake(), end=False)
    server.settle()
    assert client.answer(stream).status == 501


@pytest.mark.parametrize("how", ["reset", "end", "close"])
def test_a_client_that_leaves_without_a_word(how: str) -> None:
    server = Server(echo)
    socket = Socket(server.client())
    if how == "reset":
        socket.client.quic.reset_stream(socket.stream, H3_REQUEST_CANCELLED)
        socket.client.quic.stop_stream(socket.stream, H3_REQUEST_CANCELLED)
    elif how == "end":
        socket.client.quic.send_stream_data(socket.stream, b"", True)
    else:
        socket.client.quic.close()
    server.settle(1)
    assert seen[-1]["type"] == "websocket.disconnect"
    assert seen[-1]["code"] == 1006
    assert not server.log.errors


def test_a_broken_frame_ends_the_websocket_and_not_the_connection() -> None:
    server = Server(echo)
    socket = Socket(server.client())
    socket.client.http.send_data(socket.stream, b"\x81\x05hello", False)  # not masked
    server.settle(1)
    (close,) = socket.events()
    assert close.code == 1002
    assert Socket(socket.client).status == 200


def test_an_application_that_does_not_read_stops_the_client() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await gate.wait()

    from hypercorn.testing import Event

    gate = Event()
    server = Server(app)
    socket = Socket(server.client())
    for _ in range(100):
        socket.client.http.send_data(socket.stream, socket.frames.send(BytesMessage(data=b"x" * 20000)), False)
    server.settle(2)
    assert socket.client.quic._streams[socket.stream].sender.highest_offset < 1200000
    gate.set()
    server.settle(1)


def test_shutdown_closes_websockets() -> None:
    server = Server(echo)
    socket = Socket(server.client())
    server.context.terminating = True
    server.connection.shutdown()
    server.settle(0.5)
    (close,) = socket.events()
    assert close.code == 1012


def test_a_handshake_that_is_pending_at_shutdown_is_refused() -> None:
    messages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        messages.append(await receive())

    server = Server(app)
    client = server.client()
    socket = Socket(client)
    server.context.terminating = True
    server.connection.shutdown()
    server.settle(0.5)
    late = Socket(client)
    assert (socket.status, late.status) == (503, 503)
    assert messages == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert not server.log.errors
