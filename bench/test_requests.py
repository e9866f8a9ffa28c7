"""The way of a request without sockets: whole requests, and scope and response head by themselves.

A figure of `test_hundred_requests` is the time of a hundred requests, so 650 microseconds are 6.5 for one.
The build is the one that `HYPERCORN_PURE_PYTHON` chooses; the last lines of the run name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import hypercorn
from bench.harness import BROWSER_REQUEST, EXCHANGES, HELLO_REQUEST, Harness
from hypercorn.asgi.scope import http_scope
from hypercorn.wire.http1 import HEAD, RequestParser
from hypercorn.wire.writing import FieldEncoder

BATCH = 100
SMALL = [(b"content-type", b"text/plain"), (b"content-length", b"14")]
PAGE = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", b"10240"),
    (b"cache-control", b"private, max-age=0, must-revalidate"),
    (b"content-security-policy", b"default-src 'self'; img-src *; object-src 'none'; frame-ancestors 'none'"),
    (b"etag", b'"33a64df551425fcc55e4d42a148795d9f25f89d4"'),
    (b"last-modified", b"Sun, 22 Nov 2026 18:27:00 GMT"),
    (b"referrer-policy", b"same-origin"),
    (b"set-cookie", b"session=0123456789abcdef0123456789abcdef; Path=/; Secure; HttpOnly; SameSite=Lax"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"vary", b"Accept-Encoding, Cookie"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


def often(benchmark: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Measures what takes less than a microsecond."""
    return benchmark.pedantic(function, args, rounds=200, iterations=500, warmup_rounds=2)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """asyncio's own loop."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def harness(loop: asyncio.AbstractEventLoop) -> Harness:
    return Harness(loop)


@pytest.mark.parametrize("name", EXCHANGES)
def test_hundred_requests(
    benchmark: BenchmarkFixture, loop: asyncio.AbstractEventLoop, harness: Harness, name: str
) -> None:
    exchange = EXCHANGES[name]
    times = max(1, BATCH // exchange.requests)
    loop.run_until_complete(harness.check(exchange))

    def batch() -> None:
        loop.run_until_complete(harness.play(exchange, times))

    benchmark.group = f"request to response, {hypercorn.build()}"
    benchmark.extra_info["requests"] = times * exchange.requests
    benchmark(batch)
    loop.run_until_complete(harness.check(exchange))


@pytest.mark.parametrize("request_bytes", [HELLO_REQUEST, BROWSER_REQUEST], ids=["hello", "headers"])
def test_scope(benchmark: BenchmarkFixture, harness: Harness, request_bytes: bytes) -> None:
    parser = RequestParser()
    parser.feed(request_bytes)
    assert parser.next_event() == HEAD
    benchmark.group = f"scope, {hypercorn.build()}"
    scope = often(benchmark, http_scope, harness.context, harness.transport, parser)
    assert scope["headers"] == parser.headers
    assert scope["client"] == ("127.0.0.1", 50000)


@pytest.mark.parametrize("headers", [SMALL, PAGE], ids=["2 fields", "12 fields"])
def test_response_head(benchmark: BenchmarkFixture, headers: list[tuple[bytes, bytes]]) -> None:
    benchmark.group = f"response head, {hypercorn.build()}"
    encoded = often(benchmark, FieldEncoder().encode, headers)
    assert encoded == b"".join(b"%b: %b\r\n" % field for field in headers)
