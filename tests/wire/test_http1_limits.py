"""Every limit of the request parser, at it and one beyond it, whole and byte by byte, over both twins."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.wire.play import BODY, HEAD, NEED_DATA, bytewise, play
from tests.wire.test_http1_parser import CHUNKED, GET, refusal
from tests.wire.twins import PURE


def line(size: int) -> bytes:
    """A request whose line has this size."""
    return b"GET /" + b"a" * (size - 16) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def section(size: int) -> bytes:
    """A request whose field lines have this size."""
    return b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (size - 14) + b"\r\n\r\n"


def trailers(size: int) -> bytes:
    return CHUNKED + b"0\r\nX: " + b"a" * (size - 5) + b"\r\n\r\n"


def fields(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X:\r\n" * (count - 1) + b"\r\n"


def chunk(text: bytes) -> bytes:
    return CHUNKED + text


@pytest.mark.parametrize(
    ("fits", "breaks", "status", "limits"),
    [
        (line(100), line(101), 414, {"max_request_line_size": 100}),
        (line(8192), line(8193), 414, {}),
        (line(64), line(65), 414, {"max_request_line_size": 1}),  # the least that is taken
        (section(16384), section(16385), 431, {}),
        (section(40), section(41), 431, {"max_header_size": 40}),
        (fields(100), fields(101), 431, {}),
        (fields(1), fields(2), 431, {"max_header_count": 1}),
        (trailers(16384), trailers(16385), 431, {}),
        (chunk(b"0\r\n" + b"X:\r\n" * 64 + b"\r\n"), chunk(b"0\r\n" + b"X:\r\n" * 65 + b"\r\n"), 431, {}),
        (chunk(b"0;" + b"a" * 255 + b"\r\n\r\n"), chunk(b"0;" + b"a" * 256 + b"\r\n\r\n"), 400, {}),
        (
            chunk((b"1;" + b"a" * 255 + b"\r\nx\r\n") * 64 + b"0\r\n\r\n"),
            chunk((b"1;" + b"a" * 255 + b"\r\nx\r\n") * 64 + b"0;a\r\n\r\n"),
            400,
            {},
        ),
        (chunk(b"7fffffffffffffff\r\n"), chunk(b"8000000000000000\r\n"), 413, {}),
        (chunk(b"0000000000000001\r\n"), chunk(b"00000000000000001\r\n"), 400, {}),
        (b"\r\n" * 8 + GET, b"\r\n" * 9 + GET, 400, {}),
    ],
)
def test_limits(twin: ModuleType, fits: bytes, breaks: bytes, status: int, limits: dict[str, Any]) -> None:
    assert refusal(twin, fits, **limits) is None
    assert refusal(twin, breaks, **limits) == status


@pytest.mark.parametrize(
    ("prefix", "filler", "allowed", "status"),
    [
        (b"GET /", b"a", 8192, 414),
        (b"GET / HTTP/1.1\r\n", b"a", 16384, 431),
        (b"GET / HTTP/1.1\r\n", b"a:\r\n", 16384, 431),
        (CHUNKED, b"0", 17, 400),
        (CHUNKED, b"f", 17, 413),
        (CHUNKED + b"1", b";a", 260, 400),
        (CHUNKED + b"0\r\n", b"a:\r\n", 16384, 431),
        (b"", b"\r\n", 20, 400),
        (b"", b"A", 40, 400),
    ],
)
def test_endless_input_is_refused_early(
    twin: ModuleType, prefix: bytes, filler: bytes, allowed: int, status: int
) -> None:
    parser = twin.RequestParser()
    parser.feed(prefix)
    while parser.next_event() == HEAD:
        pass
    sent = 0
    while parser.error is None:
        assert sent <= allowed
        parser.feed(filler)
        sent += len(filler)
        parser.next_event()
        assert parser.buffered() <= allowed
    assert parser.error.status == status


def test_empty_lines_count_anew_after_each_request(twin: ModuleType) -> None:
    record = play(twin.RequestParser(), [(b"\r\n" * 8 + GET) * 3])
    assert len(record.messages) == 3


# The work for n bytes is O(n): a MiB in single bytes takes the compiled twin about a second of CPU, a quarter the
# pure twin. Where each byte looked at all bytes before it again, either would take much longer than this.
SECONDS = {"compiled": 6.0, "pure": 4.5}
if os.environ.get("HYPERCORN_SANITIZED"):  # every byte of every object is watched
    SECONDS = {name: seconds * 8 for name, seconds in SECONDS.items()}
LARGE = {"max_header_size": 1 << 22, "max_request_line_size": 1 << 22, "max_header_count": 1 << 22}


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(line, id="request line"),
        pytest.param(section, id="one field"),
        pytest.param(lambda size: fields(size >> 3), id="fields"),
        pytest.param(lambda size: b"GET / HTTP/1.1\r\nHost: a\r\nX:" + b" " * size + b"a\r\n\r\n", id="blanks"),
        pytest.param(lambda size: CHUNKED + b"1\r\nx\r\n" * (size >> 3) + b"0\r\n\r\n", id="chunks"),
        pytest.param(
            lambda size: CHUNKED + b"%x\r\n" % (size >> 3) + b"x" * (size >> 3) + b"\r\n0\r\n\r\n", id="one chunk"
        ),
        pytest.param(lambda size: GET * (size >> 6), id="requests"),
    ],
)
@pytest.mark.parametrize("fed", ["whole", "bytewise", "byte by byte, then asked"])
def test_work_is_linear(twin: ModuleType, build: Callable[[int], bytes], fed: str) -> None:
    name = "pure" if twin is PURE else "compiled"
    raw = build(1 << 18 if twin is PURE else 1 << 20)
    parser = twin.RequestParser(**LARGE)
    start = time.process_time()
    if fed == "whole":
        record = play(parser, [raw])
    elif fed == "bytewise":
        record = play(parser, bytewise(raw))
    else:
        for piece in bytewise(raw):
            parser.feed(piece)
        record = play(parser, [b"\r\n"])
    assert record.refusal is None
    assert record.messages[-1].complete
    assert time.process_time() - start < SECONDS[name]


def test_a_million_chunks_of_one_byte(twin: ModuleType) -> None:
    parser = twin.RequestParser()
    parser.feed(CHUNKED)
    assert parser.next_event() == HEAD
    parser.feed(b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n")
    assert parser.next_event() == BODY
    assert parser.body == b"x" * 1_000_000
    assert parser.complete


def test_an_idle_parser_holds_no_buffer(twin: ModuleType) -> None:
    def serve(parser: Any) -> None:
        for piece in bytewise(section(8000)):
            parser.feed(piece)
            parser.next_event()
        parser.feed(CHUNKED + b"fff\r\n" + b"x" * 4095 + b"\r\n0\r\n\r\n")
        while parser.next_event() != NEED_DATA:
            pass
        parser.feed(GET)
        assert parser.next_event() == HEAD

    serve(twin.RequestParser())
    parsers = [twin.RequestParser() for _ in range(4)]
    gc.collect()
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for parser in parsers:
            serve(parser)
            parser.feed(b"\r\n")
            assert parser.next_event() == NEED_DATA
        gc.collect()
        held = (tracemalloc.get_traced_memory()[0] - before) / len(parsers)
    finally:
        tracemalloc.stop()
    assert held < 2048


def test_a_small_rest_does_not_hold_a_large_read(twin: ModuleType) -> None:
    parser = twin.RequestParser()
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        parser.feed(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000 + b"GET /")
        while parser.next_event() != NEED_DATA:
            parser.feed(b"")
        play(
            parser,
            [b" HTTP/1.1\r\nHost: a\r\n\r\n" + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGE"],
        )
        assert parser.buffered() == 2
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
