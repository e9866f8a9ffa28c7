"""Compressed messages through a whole server in memory: what is agreed on, what is compressed, and bombs.

Label: N29.
"""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from tests.websocket import MemoryWebSocket, Script, websocket
from tests.wire.websocket_frames import frame

from hypercorn.testing import Event

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
