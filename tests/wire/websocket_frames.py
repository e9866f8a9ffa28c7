"""WebSocket frames as a client makes them, and what a parser says of them: for every suite of the codec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.wire.over_primitives import WEBSOCKET

NEED_DATA, MESSAGE, PING, PONG, CLOSE, ERROR, HELD = range(7)
CONTINUATION, TEXT, BINARY = 0, 1, 2
MASK = b"\x37\xfa\x21\x3d"


TWINS = WEBSOCKET
PURE = TWINS["pure"]


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    announce: int | None = None,
    width: int | None = None,
) -> bytes:
    """A frame. `announce` is the length that it claims, `width` the bytes (0, 2, 8) that it is written in."""
    size = len(payload) if announce is None else announce
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    marked = 0 if mask is None else 128
    head = bytes((fin << 7 | rsv << 4 | opcode, marked | {0: size if width == 0 else 0, 2: 126, 8: 127}[width]))
    head += size.to_bytes(width, "big") if width else b""
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(8, code.to_bytes(2, "big") + reason)


class Frame(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int


def read_frames(data: bytes) -> list[Frame]:
    """All frames of a server; fails where one is masked or cut."""
    found = []
    while data:
        size, at = data[1], 2
        assert size < 128, "a server's frame is masked"
        if size > 125:
            at += 2 if size == 126 else 8
            size = int.from_bytes(data[2:at], "big")
        assert len(data) >= at + size, f"a frame is cut: {data[:20]!r}"
        found.append(Frame(data[0] & 15, data[at : at + size], bool(data[0] & 128), data[0] >> 4 & 7))
        data = data[at + size :]
    return found


def play(parser: Any, pieces: Iterable[bytes]) -> list[tuple[Any, ...]]:
    """Feeds piece after piece and lists all events."""
    events: list[tuple[Any, ...]] = []
    for piece in pieces:
        parser.feed(piece)
        while (event := parser.next_event()) != NEED_DATA:
            if event == MESSAGE:
                events.append((MESSAGE, parser.message))
            elif event in (PING, PONG):
                events.append((event, parser.payload))
            elif event == HELD:
                events.append((HELD,))
                break
            else:
                events.append((event, parser.code, parser.reason))
    return events
