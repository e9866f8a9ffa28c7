"""The times and the flow of a WebSocket, by a clock moved by hand: pings, deadlines, limits, backpressure both ways.
Labels: N10, N29, WS-12, Q-WS-2, Q-WS-5."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import EAGERNESS, config
from tests.support.websocket import Script, upgrade, websocket
from tests.wire.websocket_frames import close, frame

from hypercorn.errors import ClientDisconnected
from hypercorn.testing import Event, MemoryServer, start_task

ACCEPT = {"type": "websocket.accept"}


# -- pings


def test_n29_no_pings_unless_asked_for() -> None:
    ws = websocket(Script()).opened()
    ws.client.advance(100_000)
    assert ws.frames() == []
    assert not ws.client.closed


def test_n29_q_ws_5_a_ping_after_the_interval_not_before() -> None:
    ws = websocket(Script(), websocket_ping_interval=10).opened()
    ws.client.advance(9.8)
    assert ws.frames() == []
    ws.client.advance(0.4)
    assert [each.opcode for each in ws.frames()] == [9]
    ws.send(frame(10))
    ws.client.advance(30)
    assert [each.opcode for each in ws.frames()] == [9]
    assert not ws.client.closed


def test_n29_ws12_a_missing_pong_is_1011_and_1006() -> None:
    app = Script()
    ws = websocket(app, websocket_ping_interval=10, websocket_ping_timeout=5).opened()
    ws.client.advance(14.5)
    assert [each.opcode for each in ws.frames()] == [9]
    ws.client.advance(1)
    assert ws.closing() == (1011, b"ping timeout")
    assert app.end == (1006, "ping timeout")
    ws.client.advance(10.5)
    assert ws.client.closed


def test_n29_whatever_is_heard_stands_for_a_pong() -> None:
    ws = websocket(Script(echo=False), websocket_ping_interval=10, websocket_ping_timeout=5).opened()
    ws.client.advance(11)
    assert [each.opcode for each in ws.frames()] == [9]
    ws.text("busy")
    ws.client.advance(5)
    assert not ws.client.closed
    for _ in range(20):
        ws.text("busy")
        ws.client.advance(5)
    assert ws.frames() == []


def test_n29_no_timeout_just_pings() -> None:
    ws = websocket(Script(), websocket_ping_interval=10, websocket_ping_timeout=None).opened()
    ws.client.advance(101)
    assert [each.opcode for each in ws.frames()] == [9] * 10
    assert not ws.client.closed


def test_a_peer_that_cannot_be_heard_is_not_given_up() -> None:
    """The application reads nothing, so the pong waits in the socket: that is not the peer's fault."""
    app = Script(reads=0)
    gate = Event()

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await gate.wait()

    ws = websocket(stuck, websocket_ping_interval=10, websocket_ping_timeout=5, websocket_max_queue=1).opened()
    ws.send(frame(1, b"a"), frame(1, b"b"))
    assert ws.client.paused
    ws.client.advance(60)
    assert not ws.client.closed
    assert app.seen == []


# -- limits of time


def test_idle_timeout_counts_messages_both_ways() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await gate.wait()
        await send({"type": "websocket.send", "text": "x"})
        seen.append(await receive())
        seen.append(await receive())

    seen: list[Any] = []
    ws = websocket(app, websocket_idle_timeout=10).opened()
    ws.client.advance(8)
    gate.set()
    ws.client.advance(8)
    ws.text("y")
    ws.send(frame(9))
    ws.client.advance(8)
    assert not any(each.opcode == 8 for each in ws.frames())
    ws.send(frame(9))
    ws.client.advance(2.3)
    assert [each.opcode for each in ws.frames()] == [10, 8]
    assert seen[1] == {"type": "websocket.disconnect", "code": 1001, "reason": "idle"}


def test_lifetime() -> None:
    app = Script()
    ws = websocket(app, websocket_lifetime=60).opened()
    for _ in range(59):
        ws.client.advance(1)
        ws.text("x")
    ws.client.advance(1.2)
    last = ws.frames()[-1]
    assert (last.opcode, last.payload) == (8, (1001).to_bytes(2, "big") + b"lifetime")
    assert app.end == (1001, "lifetime")
    ws.send(close(1001))
    assert ws.client.closed


def test_a_peer_that_takes_nothing_is_cut() -> None:
    app = Script()
    ws = websocket(app, write_timeout=20, write_buffer_size=1000).opened()
    ws.client.stop_reading()
    ws.text("x" * 5000)
    ws.client.advance(19)
    assert not ws.client.closed
    ws.client.advance(2)
    assert ws.client.aborted
    assert app.end == (1006, "")


def test_a_peer_that_takes_little_by_little_is_not() -> None:
    ws = websocket(Script(), write_timeout=20, write_buffer_size=1000).opened()
    ws.client.stop_reading()
    ws.text("x" * 5000)
    for _ in range(5):
        ws.client.advance(19)
        ws.client.read(100)
    assert not ws.client.closed


# -- errors of the peer


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(1, b"a", mask=None), 1002),
        (frame(3), 1002),
        (frame(1, b"\xff"), 1007),
        (frame(2, b"", announce=2000), 1009),
        (frame(0, b"a"), 1002),
        (close(1005), 1002),
        (frame(8, b"\x03\xe8\xff"), 1007),
    ],
)
@EAGERNESS
def test_q_ws_2_what_breaks_the_protocol_gets_a_close_frame(raw: bytes, code: int, eager: bool) -> None:
    app = Script()
    ws = websocket(app, eager=eager, websocket_max_message_size=1000).opened()
    ws.text("before")
    ws.send(raw, frame(1, b"after"))
    echo, last = ws.frames()
    assert echo.payload == b"before"
    assert int.from_bytes(last.payload[:2], "big") == code
    assert app.end is not None
    assert app.end[0] == code
    assert app.messages == ["before"]
    assert ws.client.half_closed
    assert not ws.client.closed
    ws.send(close(code))
    ws.client.end()
    assert ws.client.closed
    assert not ws.client.aborted
    assert ws.client.errors == []


@EAGERNESS
def test_what_came_before_an_error_is_still_answered(eager: bool) -> None:
    app = Script()
    ws = websocket(app, eager=eager).opened()
    ws.send(frame(1, b"1"), frame(1, b"2"), frame(3))
    one, two, last = ws.frames()
    assert (one.payload, two.payload) == (b"1", b"2")
    assert last.payload[:2] == (1002).to_bytes(2, "big")
    assert app.end == (1002, "unknown opcode")


def test_an_error_waits_only_so_long_for_the_application() -> None:
    app = Stuck()
    ws = websocket(app, websocket_close_timeout=5).opened()
    ws.send(frame(1, b"1"), frame(3), frame(1, b"2"))
    ws.client.advance(4.9)
    assert ws.frames() == []
    ws.client.advance(0.3)
    assert ws.closing()[0] == 1002
    app.go.set()
    ws.client.advance(0)
    assert app.seen == ["1", 1002]


def test_an_application_that_closes_after_an_error() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await gate.wait()
        await send({"type": "websocket.close", "code": 4000})

    ws = websocket(app).opened()
    ws.send(frame(1, b"1"), frame(3))
    gate.set()
    ws.client.advance(0)
    assert ws.closing() == (4000, b"")
    assert ws.client.half_closed


def test_a_peer_that_goes_on_after_its_error_is_cut() -> None:
    ws = websocket(Script()).opened()
    ws.send(frame(3))
    for _ in range(20):
        ws.send(b"x" * 65536)
    assert ws.client.closed
    ws = websocket(Script(), websocket_close_timeout=3).opened()
    ws.send(frame(3))
    ws.client.advance(3.2)
    assert ws.client.closed


def test_frame_and_message_limits() -> None:
    ws = websocket(Script(), websocket_max_frame_size=10, websocket_max_message_size=15).opened()
    ws.send(frame(2, b"x" * 10, fin=False), frame(0, b"y" * 5))
    assert ws.messages() == [b"x" * 10 + b"y" * 5]
    ws.send(frame(2, b"x" * 11))
    assert ws.closing() == (1009, b"frame is too large")


# -- an application that does not read


class Stuck:
    """Accepts, then reads nothing until `go` is set; then reads all."""

    def __init__(self) -> None:
        self.go = Event()
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await self.go.wait()
        while True:
            message = await receive()
            self.seen.append(message["text"] if message["type"] == "websocket.receive" else message["code"])
            if message["type"] == "websocket.disconnect":
                return


def test_n10_ws12_pings_and_close_while_the_application_does_not_read() -> None:
    app = Stuck()
    ws = websocket(app, websocket_max_queue=3).opened()
    for text in ("1", "2", "3"):
        ws.text(text)
    ws.send(frame(9, b"still there?"))
    assert [(each.opcode, each.payload) for each in ws.frames()] == [(10, b"still there?")]
    assert not ws.client.paused
    ws.send(close(1000))
    assert ws.closing() == (1000, b"")
    app.go.set()
    ws.client.advance(0)
    assert app.seen == ["1", "2", "3", 1000]


def test_n10_the_socket_is_not_read_when_the_queue_is_full() -> None:
    app = Stuck()
    ws = websocket(app, websocket_max_queue=3).opened()
    for text in ("1", "2", "3", "4", "5"):
        ws.text(text)
    assert ws.client.paused
    assert ws.client.transport.incoming
    app.go.set()
    ws.client.advance(0)
    assert app.seen == ["1", "2", "3", "4", "5"]
    assert not ws.client.paused


def test_n10_memory_is_bounded_while_the_application_does_not_read() -> None:
    app = Stuck()
    ws = websocket(app, websocket_max_queue=1000).opened()
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        sent = 0
        piece = frame(2, b"x" * 20_000)
        while not ws.client.paused:
            ws.send(piece)
            sent += 1
        assert sent < 20
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_frames_that_wait_are_dropped_by_the_applications_close() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await gate.wait()
        await send({"type": "websocket.close", "code": 4000})
        seen.append(await receive())

    gate = Event()
    seen: list[Any] = []
    ws = websocket(app, websocket_max_queue=1).opened()
    ws.send(frame(1, b"a"), frame(1, b"b"), close(1000))
    assert ws.client.paused
    gate.set()
    ws.client.advance(0)
    assert ws.closing() == (4000, b"")
    assert ws.client.closed
    assert seen == [{"type": "websocket.disconnect", "code": 4000, "reason": ""}]


# -- a peer that does not read


def test_n10_send_waits_until_the_peer_reads_or_goes() -> None:
    outcome: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
                outcome.append("sent")
        except ClientDisconnected as error:
            outcome.append(error)

    client = MemoryServer(app, config()).connect()
    client.stop_reading()
    client.send(upgrade())
    assert outcome == []
    client.read()
    assert outcome == ["sent"]
    client.read()
    assert outcome == ["sent"] * 2
    client.disconnect()
    assert outcome[:2] == ["sent"] * 2
    assert isinstance(outcome[-1], ClientDisconnected)
    assert len(outcome) == 3


def test_a_ping_flood_of_a_peer_that_does_not_read_costs_nothing() -> None:
    ws = websocket(Script(), write_buffer_size=1000).opened()
    ws.client.stop_reading()
    ws.text("x" * 5000)
    waiting = ws.client.transport.unsent()
    for i in range(10_000):
        ws.send(frame(9, b"%d" % i))
    assert ws.client.transport.unsent() == waiting
    ws.client.read()
    assert ws.client.read() == b"\x8a\x049999"


def test_messages_of_one_turn_leave_together() -> None:
    ws = websocket(Script(after=[{"type": "websocket.send", "text": "a"}] * 50)).opened()
    assert ws.messages() == ["a"] * 50
    assert len(ws.client.writes) == 1


def test_a_task_beside_sends_at_once() -> None:
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)

        async def beside() -> None:
            await go.wait()
            await send({"type": "websocket.send", "text": "beside"})

        start_task(beside())
        await receive()

    ws = websocket(app).opened()
    go.set()
    ws.client.advance(0)
    assert ws.messages() == ["beside"]
