"""WebSockets on streams of an HTTP/2 connection (RFC 8441). Labels: F18 to F21, H2-15, H2-18, H2-20, N29, Q-H2-16."""

from __future__ import annotations

from typing import Any

import pytest
from tests.asgi.test_websocket_compression import pack, unpack
from tests.support.harness import EAGERNESS
from tests.support.http2 import (
    CANCEL,
    DATA,
    END_STREAM,
    H2,
    HEADERS,
    NO_ERROR,
    PROTOCOL_ERROR,
    RST_STREAM,
    SETTINGS_ACK,
    START,
    data,
    headers,
    reset,
    settings,
    window_update,
)
from tests.support.http2 import (
    frame as h2_frame,
)
from tests.support.websocket import Script
from tests.wire.websocket_frames import Frame, close, frame, read_frames

from hypercorn.testing import Event, sleep

VERSION = (b"sec-websocket-version", b"13")
CONNECT = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"http"),
    (b":path", b"/chat?x=1"),
    (b":authority", b"a"),
    VERSION,
]
ACCEPT = {"type": "websocket.accept"}


def without(*names: bytes) -> list[tuple[bytes, bytes]]:
    return [pair for pair in CONNECT if pair[0] not in names]


class Socket:
    """A WebSocket on stream `number` of a connection in memory."""

    def __init__(self, h2: H2, number: int = 1, *fields: tuple[bytes, bytes], rest: bytes = b"") -> None:
        self.h2 = h2
        self.number = number
        self.taken = 0
        h2.send(headers(number, [*CONNECT, *fields], False), rest)

    @property
    def answer(self) -> Any:
        return self.h2.answer(self.number)

    def send(self, *raw: bytes, end: bool = False) -> None:
        self.h2.send(data(self.number, b"".join(raw), end))

    def text(self, text: str) -> None:
        self.send(frame(1, text.encode()))

    def frames(self) -> list[Frame]:
        """The server's frames since the last call."""
        raw = self.answer.body[self.taken :]
        self.taken += len(raw)
        return read_frames(raw)

    def closing(self) -> tuple[int, bytes]:
        (only,) = self.frames()
        assert only.opcode == 8
        return int.from_bytes(only.payload[:2], "big"), only.payload[2:]


@EAGERNESS
def test_messages_both_ways(eager: bool) -> None:
    app = Script()
    h2 = H2(app, eager=eager)
    ws = Socket(h2)
    assert ws.answer.headers[0] == (b":status", b"200")
    assert not {b"sec-websocket-accept", b"upgrade", b"connection", b"content-length"} & dict(ws.answer.headers).keys()
    ws.text("one")
    ws.send(frame(2, b"two"))
    assert [each.payload for each in ws.frames()] == [b"one", b"two"]
    ws.send(close(1000, b"bye"), end=True)
    assert ws.closing() == (1000, b"")
    assert app.end == (1000, "bye")
    assert (ws.answer.ended, ws.answer.reset) == (True, None)
    assert h2.connection.streams == {}
    assert h2.connection.orphans.count == 0
    assert [entry.status for entry in h2.client.access] == [200]
    assert h2.alive()


def test_the_scope_says_what_it_says_over_http1() -> None:
    app = Script()
    Socket(H2(app), 1, (b"sec-websocket-protocol", b"chat, echo"), (b"cookie", b"a=1"), (b"cookie", b"b=2"))
    (scope,) = app.scopes
    assert scope["type"] == "websocket"
    assert (scope["http_version"], scope["scheme"]) == ("2", "ws")
    assert (scope["path"], scope["query_string"]) == ("/chat", b"x=1")
    assert scope["subprotocols"] == ["chat", "echo"]
    assert dict(scope["headers"])[b"host"] == b"a"
    assert (b"cookie", b"a=1; b=2") in scope["headers"]
    assert not any(name[:1] == b":" for name, _ in scope["headers"])
    assert scope["headers"].count((b"upgrade", b"websocket")) == 1  # engine.io and others look for these
    assert scope["headers"].count((b"connection", b"Upgrade")) == 1


def test_the_setting_is_sent_only_where_websockets_are_served() -> None:
    assert H2(Script(), start=START).reader.settings[8] == 1
    h2 = H2(Script(), start=START, websockets=False)
    assert 8 not in h2.reader.settings
    h2.send(headers(1, CONNECT, False))
    assert h2.answer().status == 501


def test_one_option_switches_it_off_and_leaves_http1() -> None:
    h2 = H2(Script(), start=START, websocket_extended_connect=False)
    assert 8 not in h2.reader.settings
    h2.send(headers(1, CONNECT, False))
    assert h2.answer().status == 501
    assert h2.alive()
    fields = b"host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    client = h2.server.connect()
    client.send(b"GET / HTTP/1.1\r\n" + fields + b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 101 ")


def test_compression_and_a_subprotocol_are_agreed_on() -> None:
    app = Script({**ACCEPT, "subprotocol": "echo", "headers": [(b"x", b"y")]})
    ws = Socket(
        H2(app),
        1,
        (b"sec-websocket-protocol", b"echo"),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
    )
    assert ws.answer.get(b"sec-websocket-protocol") == b"echo"
    assert ws.answer.get(b"x") == b"y"
    agreed = ws.answer.get(b"sec-websocket-extensions")
    assert agreed is not None
    assert agreed.startswith(b"permessage-deflate")
    text = "again and " * 1000
    ws.send(frame(1, pack(text.encode()), rsv=4))
    (echo,) = ws.frames()
    assert echo.rsv == 4
    assert unpack(echo.payload) == text.encode()
    assert app.messages == [text]


REFUSED = {
    "H2-15 an unknown protocol": ([*without(b":protocol"), (b":protocol", b"x")], 501),
    "F20 no version": (without(b"sec-websocket-version"), 400),
    "F20 another version": ([*without(b"sec-websocket-version"), (b"sec-websocket-version", b"8")], 426),
    "a subprotocol that is no token": ([*CONNECT, (b"sec-websocket-protocol", b"a b")], 400),
    "F18 plain CONNECT": ([CONNECT[0], CONNECT[4]], 405),
}


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_handshakes(fields: list[tuple[bytes, bytes]], status: int) -> None:
    fields = sorted(fields, key=lambda pair: pair[0][:1] != b":")
    app = Script()
    h2 = H2(app)
    h2.send(headers(1, fields, False))
    assert (h2.answer().status, h2.answer().ended) == (status, True)
    assert h2.answer().get(b"sec-websocket-version") == (b"13" if status == 426 else None)
    assert app.scopes == []
    h2.advance(2.1)
    assert h2.answer().reset == NO_ERROR
    assert h2.connection.streams == {}


def test_a_handshake_that_ends_its_stream_is_none() -> None:
    app = Script()
    h2 = H2(app)
    h2.send(headers(1, CONNECT, True))
    assert h2.answer().status == 400
    assert app.scopes == []


MALFORMED = {
    "F19 :protocol with GET": [(b":method", b"GET"), *CONNECT[1:]],
    "H2-15 no :path": without(b":path"),
    "H2-15 no :scheme": without(b":scheme"),
    "F18 no :authority": without(b":authority"),
    "CONNECT with :path alone": [CONNECT[0], CONNECT[3], CONNECT[4]],
    "upgrade": [*CONNECT, (b"upgrade", b"websocket")],
    "connection": [*CONNECT, (b"connection", b"upgrade")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_handshakes(fields: list[tuple[bytes, bytes]]) -> None:
    app = Script()
    h2 = H2(app)
    h2.send(headers(1, fields, False))
    assert h2.answer().reset == PROTOCOL_ERROR
    assert app.scopes == []
    assert h2.alive()


def test_f20_a_key_means_nothing_here() -> None:
    ws = Socket(H2(Script()), 1, (b"sec-websocket-key", b"nonsense"))
    assert ws.answer.status == 200
    assert ws.answer.get(b"sec-websocket-accept") is None


def test_origins_are_held_as_over_http1() -> None:
    h2 = H2(Script(), websocket_origins=["https://good"])
    assert Socket(h2, 1, (b"origin", b"https://evil")).answer.status == 403
    assert Socket(h2, 3, (b"origin", b"https://good")).answer.status == 200


def test_foreign_names() -> None:
    h2 = H2(Script(), server_names=["b"])
    assert Socket(h2).answer.status == 404


@EAGERNESS
def test_f20_data_ahead_of_the_answer(eager: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await sleep(5)
        await send(ACCEPT)
        seen.append((await receive())["text"])
        seen.append(await receive())

    seen: list[Any] = []
    h2 = H2(app, eager=eager)
    ws = Socket(h2, 1, rest=data(1, frame(1, b"early"), False))
    ws.send(close(1001), end=True)
    assert ws.answer.status == 0
    h2.advance(6)
    assert [each.payload for each in ws.frames()] == [b"\x03\xe9"]
    assert seen == ["early", {"type": "websocket.disconnect", "code": 1001, "reason": ""}]
    assert h2.connection.streams == {}


@pytest.mark.parametrize("size", [1, 2, 7])
def test_frames_cut_across_data(size: int) -> None:
    app = Script()
    ws = Socket(H2(app))
    raw = frame(1, b"hello") + frame(9, b"p") + frame(1, b"world")
    ws.h2.send(*(data(1, raw[at : at + size]) for at in range(0, len(raw), size)))
    assert app.messages == ["hello", "world"]
    assert sorted(each.opcode for each in ws.frames()) == [1, 1, 10]


def test_h2_20_q_h2_16_all_messages_then_close_then_the_end() -> None:
    """The client's window is small: nothing is lost, nothing comes behind END_STREAM, no RST_STREAM at all."""
    messages = [{"type": "websocket.send", "text": f"{number:04}" * 25} for number in range(20)]
    app = Script(ACCEPT, *messages, {"type": "websocket.close", "code": 1000, "reason": "done"}, reads=1)
    h2 = H2(app, start=START[:24] + settings((4, 50)) + SETTINGS_ACK)
    ws = Socket(h2)
    for _ in range(60):
        h2.send(window_update(1, 40))
    got = ws.frames()
    assert [each.payload.decode() for each in got[:-1]] == [message["text"] for message in messages]
    assert got[-1].payload == b"\x03\xe8done"
    assert not ws.answer.over  # the peer's close frame is awaited
    ws.send(close(1000))
    assert (ws.answer.ended, ws.answer.reset) == (True, None)
    assert not any(each.kind == RST_STREAM for each in h2.reader.frames)
    h2.send(data(1, b"", True))
    assert h2.connection.streams == {}
    assert not any(each.kind == RST_STREAM for each in h2.reader.frames)


def test_a_peer_that_never_ends_its_half() -> None:
    h2 = H2(Script(ACCEPT, {"type": "websocket.close"}, reads=1), websocket_close_timeout=3)
    ws = Socket(h2)
    ws.send(close(1000))
    assert ws.answer.ended
    h2.advance(4)
    assert h2.answer().reset == NO_ERROR
    assert h2.connection.streams == {}
    assert h2.alive()


def test_a_peer_that_never_answers_the_close() -> None:
    h2 = H2(Script(ACCEPT, {"type": "websocket.close", "code": 1001}, reads=1), websocket_close_timeout=3)
    ws = Socket(h2)
    assert ws.closing() == (1001, b"")
    assert not ws.answer.over
    h2.advance(4)
    assert ws.answer.reset == CANCEL
    assert h2.connection.streams == {}


ENDS = {
    "reset": (lambda: reset(1), 1006),
    "END_STREAM without a close frame": (lambda: data(1, b"", True), 1006),
    "reset in the middle of a message": (lambda: data(1, frame(1, b"half")[:-2]) + reset(1), 1006),
    "trailers": (lambda: headers(1, [(b"a", b"b")]), 1006),
    "END_STREAM with the close frame": (lambda: data(1, close(1001), True), 1001),
}


@pytest.mark.parametrize("how", ENDS)
@EAGERNESS
def test_f20_ends_by_the_peer(how: str, eager: bool) -> None:
    raw, code = ENDS[how]
    app = Script()
    h2 = H2(app, eager=eager)
    ws = Socket(h2)
    ws.text("a")
    h2.send(raw())
    assert app.end == (code, "")
    assert app.errors == []
    assert h2.connection.streams == {}
    assert h2.connection.orphans.count == 0
    assert len(h2.client.access) == 1
    assert h2.client.errors == []
    assert h2.alive()


def test_a_lost_connection_is_1006_for_all() -> None:
    app = Script()
    h2 = H2(app)
    for number in (1, 3, 5):
        Socket(h2, number)
    h2.client.disconnect()
    ends = [message for message in app.seen if message["type"] == "websocket.disconnect"]
    assert [message["code"] for message in ends] == [1006] * 3
    assert not h2.server.runtime.tasks


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(3), 1002),
        (frame(1, b"\xff"), 1007),
        (frame(1, b"x", mask=None), 1002),
        (frame(2, b"", announce=1 << 30, width=8), 1009),
    ],
    ids=["opcode", "not UTF-8", "unmasked", "F20 too large"],
)
def test_frames_that_break_the_protocol(raw: bytes, code: int) -> None:
    app = Script()
    h2 = H2(app)
    ws = Socket(h2)
    ws.send(raw)
    assert ws.closing()[0] == code
    assert ws.answer.ended
    assert ws.answer.reset is None
    assert app.end is not None
    assert app.end[0] == code
    h2.advance(11)
    assert h2.answer().reset == NO_ERROR
    assert h2.connection.streams == {}
    assert h2.alive()


def test_denials() -> None:
    deny = (
        {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]},
        {"type": "websocket.http.response.body", "body": b"no"},
    )
    h2 = H2(Script(*deny, reads=1))
    ws = Socket(h2)
    assert (ws.answer.status, ws.answer.body, ws.answer.get(b"x")) == (401, b"no", b"y")
    assert ws.answer.reset is None
    h2.advance(2.1)
    assert ws.answer.reset == NO_ERROR  # what the client would still send is of no use
    h2 = H2(Script({"type": "websocket.close"}, reads=1))
    assert Socket(h2).answer.status == 403
    h2.send(data(1, b"", True))
    assert h2.connection.streams == {}


@pytest.mark.parametrize("accepted", [True, False])
@EAGERNESS
def test_applications_that_fail(accepted: bool, eager: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if accepted:
            await send(ACCEPT)
        raise OSError("broken")

    h2 = H2(app, eager=eager)
    ws = Socket(h2)
    if accepted:
        assert ws.closing()[0] == 1011
        ws.send(close(1011), end=True)
    else:
        assert ws.answer.status == 500
        h2.send(reset(1))
    assert h2.connection.streams == {}
    assert len(h2.client.errors) == 1
    assert h2.alive()


def test_a_handshake_without_an_answer_is_504() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(100)

    h2 = H2(app, websocket_handshake_timeout=5, body_timeout=1, h2_ping_interval=None)
    ws = Socket(h2)
    h2.advance(4)
    assert not ws.answer.over
    h2.advance(2)
    assert ws.answer.status == 504


def test_no_credit_beyond_what_the_application_takes() -> None:
    """A peer that keeps to its window is held there while the application does not read; memory is bounded."""
    go_on = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await go_on.wait()
        while (await receive())["type"] == "websocket.receive":
            counted.append(1)

    counted: list[int] = []
    h2 = H2(app, h2_stream_window=65535)
    ws = Socket(h2)
    message = frame(2, bytes(1000))
    sent = 0
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    while sent + len(message) <= 65535 + h2.reader.windows.get(1, 0):
        ws.send(message)
        sent += len(message)
        assert sent < 400_000
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < 2_000_000
    assert counted == []
    before = h2.reader.windows.get(1, 0)
    go_on.set()
    h2.advance(0)
    assert len(counted) == sent // len(message)
    assert h2.reader.windows.get(1, 0) > before
    ws.send(close(1000), end=True)
    assert h2.connection.streams == {}


def test_send_waits_for_the_peers_window() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(100):
            await send({"type": "websocket.send", "bytes": bytes(10_000)})
            counted.append(1)

    counted: list[int] = []
    h2 = H2(app)
    ws = Socket(h2)
    assert 6 <= len(counted) < 20
    other = Socket(h2, 3)
    assert other.answer.status == 200  # another stream is not held by it
    h2.send(window_update(0, 1 << 24), window_update(1, 1 << 24))
    assert len(counted) >= 100
    assert sum(len(each.payload) == 10_000 for each in ws.frames()) == 100


def test_a_peer_that_takes_nothing_loses_its_stream_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while True:
            await send({"type": "websocket.send", "bytes": bytes(10_000)})

    h2 = H2(app, write_timeout=5, h2_ping_interval=None)
    ws = Socket(h2)
    h2.advance(7)
    assert ws.answer.reset == CANCEL
    assert h2.connection.streams == {}
    assert not h2.server.runtime.tasks
    assert h2.alive()


def test_n29_pings_have_their_deadlines_on_a_stream_too() -> None:
    app = Script()
    h2 = H2(app, websocket_ping_interval=10, websocket_ping_timeout=5, h2_ping_interval=None)
    ws = Socket(h2)
    h2.advance(11)
    assert [each.opcode for each in ws.frames()] == [9]
    ws.send(frame(10))
    h2.advance(15)
    assert [each.opcode for each in ws.frames()] == [9]
    h2.advance(6)
    assert ws.closing() == (1011, b"ping timeout")
    assert app.end == (1006, "ping timeout")


def test_f21_shutdown_is_1012_and_the_connection_ends_with_the_last() -> None:
    app = Script()
    h2 = H2(app)
    sockets = [Socket(h2, number) for number in (1, 3, 5)]
    h2.server.shutdown()
    for ws in sockets:
        assert ws.closing() == (1012, b"")
        ws.send(close(1012), end=True)
        assert ws.answer.ended
    h2.advance(2)
    assert h2.client.closed
    assert not h2.server.runtime.tasks


def test_a_handshake_that_is_pending_at_shutdown_is_refused() -> None:
    """So is one that comes behind it; a denial that has begun is sent to its end."""
    gate, seen = Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/denied":
            await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"short", "more_body": True})
            await gate.wait()
            await send({"type": "websocket.http.response.body", "body": b" and stout"})
        else:
            seen.append(await receive())

    h2 = H2(app)
    denied = [(name, b"/denied" if name == b":path" else value) for name, value in CONNECT]
    h2.send(headers(1, CONNECT, False), headers(3, denied, False))
    h2.server.shutdown()
    h2.send(headers(5, CONNECT, False))
    gate.set()
    h2.advance(0)
    assert [h2.answer(number).status for number in (1, 3, 5)] == [503, 418, 503]
    assert h2.answer(3).body == b"short and stout"
    assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    h2.advance(60)
    assert h2.client.closed
    assert not h2.server.runtime.tasks


def test_h2_18_a_websocket_counts_as_one_stream() -> None:
    h2 = H2(Script(), h2_max_concurrent_streams=3)
    for number in (1, 3, 5):
        Socket(h2, number)
    h2.send(headers(7, CONNECT, False))
    assert h2.answer(7).reset == 7
    h2.send(data(1, close(1000), True), headers(9, CONNECT, False))
    assert h2.answer(9).status == 200


def test_calls_of_reset_handshakes_are_cancelled_and_count() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(1000)

    h2 = H2(app, h2_ping_interval=None)
    for number in range(1, 41, 2):
        h2.send(headers(number, CONNECT, False))
        h2.send(reset(number))
    assert h2.connection.orphans.count == 20
    h2.advance(0.2)
    assert h2.connection.orphans.count == 0
    assert not h2.server.runtime.tasks


def test_many_at_once_beside_requests() -> None:
    app = Script()
    h2 = H2(app)
    sockets = [Socket(h2, number) for number in range(1, 101, 2)]
    h2.send(*(data(ws.number, frame(1, b"%d" % ws.number)) for ws in sockets))
    assert [[each.payload for each in ws.frames()] for ws in sockets] == [[b"%d" % ws.number] for ws in sockets]
    heads = [each for each in h2.reader.frames if each.kind == HEADERS]
    assert len(heads) == 50
    assert not any(each.flags & END_STREAM for each in h2.reader.frames if each.kind == DATA)


def test_frames_that_stand_for_nothing_here_are_ignored() -> None:
    app = Script()
    ws = Socket(H2(app))
    ws.h2.send(h2_frame(0xF0, 0, 1, b"x"), data(1, b""), data(1, frame(1, b"ok")))
    assert app.messages == ["ok"]
    assert ws.h2.alive()


def test_a_websocket_has_no_least_rate_nor_what_shares_its_connection() -> None:
    """Output that is taken byte by byte, and a window that opens so: each byte is progress."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while True:
            await send({"type": "websocket.send", "bytes": bytes(10_000)})

    rates: dict[str, Any] = {"min_send_rate": 10_000, "min_rate_grace": 1.0, "write_timeout": None}
    for starved in (False, True):
        h2 = H2(app, h2_ping_interval=None, **rates)
        if not starved:
            h2.send(window_update(0, 10_000_000), settings((4, 10_000_000)))
            h2.client.stop_reading()
        ws = Socket(h2)
        for _ in range(50):
            h2.advance(1)
            h2.send(window_update(1, 1))
            h2.client.read(1)
        assert not h2.client.closed
        assert h2.goaway is None
        assert ws.answer.reset is None
