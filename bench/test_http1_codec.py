"""The HTTP/1.1 codec, both twins, against httptools (driven as ASGI servers drive it) and h11.

python -m pytest bench/test_http1_codec.py --benchmark-group-by=group --benchmark-columns=median,ops
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import h11
import httptools
import pytest
from tests.wire.twins import PURE

import hypercorn.wire.http1 as compiled

SMALL = b"GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n"
BROWSER = (
    b"GET /articles/2024/hello-world?utm_source=feed&page=2 HTTP/1.1\r\n"
    b"Host: www.example.com\r\n"
    b"Connection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"\r\n'
    b"sec-ch-ua-mobile: ?0\r\n"
    b'sec-ch-ua-platform: "Linux"\r\n'
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Referer: https://www.example.com/articles/\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; consent=1; theme=dark\r\n\r\n"
)
LARGE = (
    b"GET /large HTTP/1.1\r\nHost: a\r\n"
    + b"".join(b"X-Field-%02d: " % i + b"v" * 180 + b"\r\n" for i in range(80))
    + b"\r\n"
)
CHUNKED_HEAD = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED_HEAD + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 16 + b"0\r\n\r\n"
TINY_CHUNKS = CHUNKED_HEAD + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
PIPELINED = SMALL * 16
INPUTS = {
    "small": [SMALL],
    "browser": [BROWSER],
    "16 KiB head": [LARGE],
    "1 KiB chunks": [CHUNKS],
    "1-byte chunks": [TINY_CHUNKS],
    "pipelined": [PIPELINED],
    "1-byte pieces": [BROWSER[i : i + 1] for i in range(len(BROWSER))],
}


def twin(module: ModuleType) -> Callable[[list[bytes]], int]:
    parser = module.RequestParser()

    def run(pieces: list[bytes]) -> int:
        done = 0
        for piece in pieces:
            parser.feed(piece)
            while event := parser.next_event():
                done += parser.complete
                assert event != 3
        return done

    return run


class Collector:
    """Keeps what an ASGI server needs of a request."""

    parser: httptools.HttpRequestParser

    def __init__(self) -> None:
        self.done = 0
        self.body: list[bytes] = []

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.version = self.parser.get_http_version()
        self.method = self.parser.get_method().decode("ascii")
        self.keep_alive = self.parser.should_keep_alive()
        url = httptools.parse_url(self.url)
        self.path = url.path.decode("ascii")
        self.query = url.query or b""

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.done += 1


def with_httptools() -> Callable[[list[bytes]], int]:
    collector = Collector()
    collector.parser = httptools.HttpRequestParser(collector)

    def run(pieces: list[bytes]) -> int:
        before = collector.done
        for piece in pieces:
            collector.parser.feed_data(piece)
        return collector.done - before

    return run


def with_h11() -> Callable[[list[bytes]], int]:
    def run(pieces: list[bytes]) -> int:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 16)
        done = 0
        for piece in pieces:
            connection.receive_data(piece)
            while True:
                event = connection.next_event()
                if isinstance(event, h11.EndOfMessage):
                    done += 1
                    connection.send(h11.Response(status_code=204, headers=[]))
                    connection.send(h11.EndOfMessage())
                elif event is h11.PAUSED:
                    connection.start_next_cycle()
                elif event is h11.NEED_DATA:
                    break
        return done

    return run


CODECS = {"hypercorn": compiled, "hypercorn (pure)": PURE}
PARSERS: dict[str, Callable[[], Callable[[list[bytes]], int]]] = {
    **{name: partial(twin, module) for name, module in CODECS.items()},
    "httptools": with_httptools,
    "h11": with_h11,
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("parser", PARSERS)
def test_parse(benchmark: Any, parser: str, name: str) -> None:
    benchmark.group = name
    run = PARSERS[parser]()
    assert benchmark(run, INPUTS[name]) == (16 if name == "pipelined" else 1)


HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", b"5"),
    (b"cache-control", b"max-age=3600"),
    (b"etag", b'"0123456789abcdef"'),
]
SERVER_FIELDS = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: hypercorn\r\n"


def respond(module: ModuleType) -> Callable[[], bytes]:
    encoder = module.FieldEncoder()

    def run() -> bytes:
        response: bytes = module.encode_response(
            module.STATUS_LINES[200], encoder.encode(HEADERS), SERVER_FIELDS, b"", b"\r\n", b"hello"
        )
        return response

    return run


@pytest.mark.parametrize("module", CODECS.values(), ids=CODECS)
def test_write(benchmark: Any, module: ModuleType) -> None:
    benchmark.group = "response"
    assert benchmark(respond(module)).endswith(b"\r\n\r\nhello")
