"""Compressed messages through a whole server in memory: what is agreed on, what is compressed, and bombs.

Label: N29.
"""

from __future__ import annotations

import os
import random
import zlib
from typing import Any

import pytest
from tests.support.harness import EAGERNESS, config
from tests.support.websocket import MemoryWebSocket, Script, upgrade, websocket
from tests.wire.websocket_frames import frame, read_frames

from hypercorn.errors import ClientDisconnected
from hypercorn.testing import Event, MemoryServer, sleep, start_task

OFFER = "sec-websocket-extensions: permessage-deflate; client_max_window_bits"


def pack(data: bytes) -> bytes:
    maker = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (maker.compress(data) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]


def unpack(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


def answered(**options: Any) -> MemoryWebSocket:
    return websocket(Script(), OFFER, **options).opened()


def test_agreed_on_by_default() -> None:
    ws = answered()
    agreed = b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    assert ws.header(b"sec-websocket-extensions") == agreed
    ws.send(frame(1, pack(b"hello " * 100), rsv=4))
    (only,) = ws.frames()
    assert (only.opcode, only.rsv) == (1, 4)
    assert unpack(only.payload) == b"hello " * 100


@pytest.mark.parametrize("size", [255, 256])
def test_the_threshold(size: int) -> None:
    ws = answered()
    ws.send(frame(2, b"x" * size))
    (only,) = ws.frames()
    assert only.rsv == (4 if size == 256 else 0)


@pytest.mark.parametrize("setting", [False, None, "off"])
def test_off(setting: Any) -> None:
    ws = answered(websocket_compression=setting)
    assert ws.header(b"sec-websocket-extensions") is None
    ws.send(frame(1, b"x", rsv=4))
    assert ws.closing()[0] == 1002


def test_not_offered_not_agreed_on() -> None:
    assert websocket(Script()).opened().header(b"sec-websocket-extensions") is None


def test_an_offer_with_a_bad_parameter_is_declined_not_refused() -> None:
    field = "sec-websocket-extensions: permessage-deflate; client_max_window_bits=99"
    assert websocket(Script(), field).opened().header(b"sec-websocket-extensions") is None


def test_settings_as_text() -> None:
    ws = answered(websocket_compression="level=1, window_bits=9, no_context_takeover=on, threshold=0")
    assert ws.header(b"sec-websocket-extensions") == (
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        b"server_max_window_bits=9; client_max_window_bits=9"
    )
    ws.text("a")
    assert ws.frames()[0].rsv == 4


@pytest.mark.parametrize("setting", [{"level": 0}, {"window_bits": 8}, {"other": 1}, "level=x", "maybe", 3])
def test_settings_that_are_none(setting: Any) -> None:
    with pytest.raises(ValueError, match="websocket_compression"):
        answered(websocket_compression=setting)


def test_ws16_bombs() -> None:
    for fragments in (1, 4):
        ws = answered(websocket_max_message_size=100_000)
        data = pack(bytes(1_000_000))
        step = len(data) // fragments + 1
        parts = [data[i : i + step] for i in range(0, len(data), step)]
        for i, part in enumerate(parts):
            ws.send(frame(2 if i == 0 else 0, part, fin=i == len(parts) - 1, rsv=4 if i == 0 else 0))
        assert ws.closing() == (1009, b"message is too large")


def test_many_messages_just_below_the_limit_do_not_pile_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await blocked.wait()

    blocked = Event()
    ws = websocket(app, OFFER, websocket_max_message_size=300_000).opened()
    raw = frame(2, pack(bytes(300_000)), rsv=4)
    for _ in range(10):
        ws.send(raw)
    assert ws.client.paused


def test_bad_data_is_1007() -> None:
    ws = answered()
    ws.send(frame(1, b"\xff\xff", rsv=4))
    assert ws.closing()[0] == 1007
    ws = answered()
    ws.send(frame(1, pack(b"\xff"), rsv=4))
    assert ws.closing() == (1007, b"invalid UTF-8")


# -- long messages go piece by piece

LONG = bytes(random.Random(1).choices(b"abcdefghijklmnopqrstuvwxyz     ", k=1_000_000))


class Sender:
    """Sends what it is told to, then stays. `done` has the messages whose send has ended."""

    def __init__(self, *messages: Any, beside: Any = ()) -> None:
        self.messages = messages
        self.beside = beside
        self.done: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        async def deliver(messages: Any) -> None:
            for message in messages:
                try:
                    await send({"type": "websocket.send", "bytes": message})
                except OSError as error:
                    self.done.append(type(error))
                    return
                self.done.append(message)

        for message in self.beside:
            start_task(deliver([message]))
        await deliver(self.messages)
        while (await receive())["type"] != "websocket.disconnect":
            continue


def joined(frames: Any, *, plain: Any = None) -> list[bytes]:
    """The messages of a client's frames, decompressed; control frames go into `plain`."""
    inflator = zlib.decompressobj(-15)
    found: list[bytes] = []
    pieces: list[bytes] = []
    compressed = False
    for each in frames:
        if each.opcode >= 8:
            plain.append(each)
            continue
        assert (each.opcode == 0) == bool(pieces)
        assert each.rsv == 0 or not pieces
        pieces.append(each.payload)
        compressed = each.rsv == 4 if len(pieces) == 1 else compressed
        if each.fin:
            data = b"".join(pieces)
            found.append(inflator.decompress(data + b"\0\0\xff\xff") if compressed else data)
            pieces = []
    assert not pieces
    return found


@EAGERNESS
@pytest.mark.parametrize("forget", [False, True], ids=["takeover", "no takeover"])
def test_n29_a_long_message_leaves_in_one_frame(eager: bool, forget: bool) -> None:
    app = Sender(LONG, b"short", bytes(70_000), b"x" * 300)
    ws = websocket(app, OFFER, eager=eager, websocket_compression={"no_context_takeover": forget}).opened()
    frames = ws.frames()
    if forget:
        messages: list[bytes] = []
        for each in frames:
            messages += [] if each.opcode == 0 else [b""]
            messages[-1] += each.payload
        assert [unpack(messages[0]), messages[1], unpack(messages[2]), unpack(messages[3])] == list(app.messages)
    else:
        assert joined(frames) == list(app.messages)
    assert [each.fin for each in frames] == [True] * 4
    assert app.done == list(app.messages)


def test_n29_messages_of_other_tasks_wait_behind_a_long_one() -> None:
    app = Sender(LONG, b"last", beside=[b"a" * 10, LONG[:100_000], b"b" * 1000])
    found = joined(websocket(app, OFFER).opened().frames())
    assert found[0] == LONG
    assert sorted(found[1:]) == sorted([b"a" * 10, LONG[:100_000], b"b" * 1000, b"last"])
    assert sorted(app.done) == sorted([*app.messages, *app.beside])


def test_n29_others_are_served_while_a_long_message_is_compressed() -> None:
    """The pieces are turns of the loop: what else is due comes between."""
    app = Sender(LONG)
    server = MemoryServer(app, config())
    first, second = server.connect(), server.connect()
    first.transport.deliver(upgrade("/ws", OFFER))
    second.transport.deliver(upgrade())
    for _ in range(4):  # as a loop does: one round of what is ready
        for callback in [server.runtime.ready.popleft() for _ in range(len(server.runtime.ready))]:
            callback()
    assert app.done == [LONG]  # the second's, which did not ask for compression
    assert len(first.transport.writes) == 1  # the head of the handshake
    server.runtime.run()
    assert app.done == [LONG, LONG]


def test_n29_a_long_message_stops_where_the_peer_does_not_read() -> None:
    app = Sender(os.urandom(1_000_000))
    ws = websocket(app, OFFER, write_buffer_size=100_000)
    ws.opened()
    assert app.done == [app.messages[0]]
    app = Sender(os.urandom(4_000_000))
    client = MemoryServer(app, config(write_buffer_size=100_000)).connect()
    client.stop_reading()
    client.send(upgrade("/ws", OFFER))
    assert client.transport.unsent() < 1_500_000
    assert app.done == []
    raw = b""
    while part := client.read():
        raw += part
    assert joined(read_frames(raw.partition(b"\r\n\r\n")[2])) == list(app.messages)
    assert app.done == list(app.messages)


def test_n29_a_peer_that_goes_during_a_long_message() -> None:
    app = Sender(os.urandom(1_000_000))
    client = MemoryServer(app, config(write_buffer_size=100_000)).connect()
    client.stop_reading()
    client.send(upgrade("/ws", OFFER))
    client.disconnect()
    assert app.done == [ClientDisconnected]
    assert client.errors == []


def test_n29_what_was_sent_before_a_close_leaves_before_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        start_task(send({"type": "websocket.send", "bytes": LONG}))  # not awaited
        start_task(send({"type": "websocket.send", "text": "é" * 1000}))
        await sleep(0)
        await send({"type": "websocket.close"})

    ends: list[Any] = []
    assert joined(websocket(app, OFFER).opened().frames(), plain=ends) == [LONG, "é".encode() * 1000]
    assert [each.payload for each in ends] == [(1000).to_bytes(2, "big")]


@pytest.mark.parametrize("limit", [len(LONG), len(LONG) - 1])
def test_a_long_message_is_decompressed_as_it_comes(limit: int) -> None:
    app = Script(echo=False)
    ws = websocket(app, OFFER, websocket_max_message_size=limit).opened()
    maker = zlib.compressobj(1, zlib.DEFLATED, -12)
    data = (maker.compress(LONG) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]
    raw = frame(2, data, rsv=4)
    for i in range(0, len(raw), 50_000):
        ws.send(raw[i : i + 50_000])
    if limit == len(LONG):
        assert app.messages == [LONG]
        assert ws.frames() == []
    else:
        assert ws.closing() == (1009, b"message is too large")


def test_a_long_message_that_cannot_be_decompressed() -> None:
    ws = answered()
    ws.send(frame(2, pack(os.urandom(100_000)) + b"\xff" * 100_000, rsv=4, fin=False))
    assert ws.closing() == (1007, b"invalid compressed data")


def test_ws16_a_bomb_of_16_mib_in_16_kib_through_a_whole_server() -> None:
    limit = 1 << 20
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = (maker.compress(bytes(16 << 20)) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(data) < 17_000
    ws = websocket(
        Script(), OFFER, websocket_max_message_size=limit, websocket_compression={"window_bits": 15}
    ).opened()
    raw = frame(2, data, rsv=4)
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        ws.send(raw)
        assert tracemalloc.get_traced_memory()[1] < 2 * limit
    finally:
        tracemalloc.stop()
    assert ws.closing() == (1009, b"message is too large")
