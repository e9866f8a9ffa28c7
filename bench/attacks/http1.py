"""Attacks over HTTP/1.1."""

from __future__ import annotations

import select
import socket
from collections.abc import Generator
from contextlib import closing, suppress

from bench.attacks import Attack, Row, Target

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FIELDS = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(90)) + b"\r\n"
# Shorter fields take more memory for each byte, up to 15 KiB of a connection: max_header_count bounds their number.
PARTIAL = GET[:-2] + b"".join(b"x-field-%d: some value\r\n" % n for n in range(90))
IDLE = 500  # connections that are left open after what they sent


def pour(first: bytes, piece: bytes, most: int) -> Attack:
    """One connection: `first`, then `piece` again and again until `most` bytes have left; answers are read."""

    def run(target: Target) -> Generator[int, None, None]:
        with closing(socket.create_connection((target.host, target.port), timeout=5)) as sock:
            yield 0
            yield exchange(sock, first + piece * (most // len(piece)))

    return run


def exchange(sock: socket.socket, data: bytes) -> int:
    """Sends `data` and reads at the same time, until it is gone or the server has closed. Returns the bytes sent."""
    sent, view = 0, memoryview(data)
    sock.setblocking(False)
    with suppress(ConnectionError):
        while sent < len(data):
            readable, writable, _ = select.select([sock], [sock], [], 10)
            if not readable and not writable:
                break
            if readable and not sock.recv(1 << 18):
                break
            if writable:
                with suppress(BlockingIOError):
                    sent += sock.send(view[sent : sent + 65536])
    return sent


def left_open(piece: bytes) -> Attack:
    """Many connections that each send `piece` and then nothing more."""

    def run(target: Target) -> Generator[int, None, None]:
        socks = [socket.create_connection((target.host, target.port), timeout=5) for _ in range(IDLE)]
        yield 0
        for sock in socks:
            sock.sendall(piece)
        yield len(socks) * len(piece)
        for sock in socks:
            sock.close()

    return run


ROWS = [
    Row("h1-pipeline", "HTTP/1.1: pipelined requests", "plain", pour(b"", GET, 2_000_000)),
    Row("h1-fields", "HTTP/1.1: requests of 90 short fields", "plain", pour(b"", FIELDS, 2_000_000)),
    Row("h1-chunks", "HTTP/1.1: chunks of one byte", "plain", pour(CHUNKED, b"1\r\na\r\n", 5_000_000)),
    Row("h1-partial", "HTTP/1.1: heads that never end", "plain", left_open(PARTIAL)),
]
