"""Floods, bombs and stalls on HTTP/2 connections in memory, with a clock moved by hand: GOAWAY(ENHANCE_YOUR_CALM) or
the error named there, bounded state, other connections unharmed. Rows of the case list are named in the tests."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.harness import Answers, Reads, body, start
from tests.support.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GET,
    H2,
    HEADERS,
    NO_ERROR,
    PADDED,
    POST,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS_ACK,
    SETTINGS_TIMEOUT,
    START,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    reset,
    settings,
    window_update,
)

from hypercorn.protocol.mux.states import LINGERING
from hypercorn.testing import Event, sleep


class Sleeps:
    """An application that sleeps for long, and counts how many calls run at once."""

    def __init__(self) -> None:
        self.running = self.most = self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await sleep(1)
        finally:
            self.running -= 1
        await send(start())
        await send(body(b"late"))


FLOODS: dict[str, tuple[bytes, Callable[[int], bytes], int]] = {
    "A01 PING": (b"", lambda n: ping(), 20000),
    "A03 SETTINGS": (b"", lambda n: settings(), 50000),
    "A06 alternating windows": (b"", lambda n: settings((4, n % 2 * 65535)), 10000),
    "A07 alternating tables": (b"", lambda n: settings((1, n % 2 * 0xFFFFFFFF)), 10000),
    "A09 acknowledgements of settings": (b"", lambda n: SETTINGS_ACK, 20000),
    "A10 acknowledgements of pings": (b"", lambda n: ping(ack=True), 20000),
    "A11 PRIORITY on one stream": (b"", lambda n: frame(PRIORITY, 0, 1, bytes(5)), 100000),
    "A12 PRIORITY on many streams": (b"", lambda n: frame(PRIORITY, 0, 2 * n + 1, bytes(5)), 100000),
    "A13 PRIORITY_UPDATE": (
        b"",
        lambda n: frame(PRIORITY_UPDATE, 0, 0, (2 * n + 101).to_bytes(4, "big") + b"u=1" * 50),
        100000,
    ),
    "A14 WINDOW_UPDATE": (b"", lambda n: window_update(0, 1), 100000),
    "A15 WINDOW_UPDATE on a closed stream": (headers(1), lambda n: window_update(1, 1), 100000),
    "A16 RST_STREAM on a closed stream": (headers(1), lambda n: reset(1), 100000),
    "A17 unknown frames": (b"", lambda n: frame(0xF0), 100000),
    "A17 large unknown frames": (b"", lambda n: frame(0xF0, 0, 0, bytes(16384)), 20000),
    "B01 empty DATA": (headers(1, POST, end=False), lambda n: data(1), 100000),
    "B02 padded empty DATA": (
        headers(1, POST, end=False),
        lambda n: frame(DATA, PADDED, 1, b"\xff" + bytes(255)),
        100000,
    ),
    "C14 malformed requests": (b"", lambda n: headers(2 * n + 3, GET[1:]), 100000),
    "C06 streams above the limit": (
        b"".join(headers(stream, POST, end=False) for stream in range(1, 201, 2)),
        lambda n: headers(2 * n + 201),
        10000,
    ),
    "C08 window updates of nothing": (
        b"",
        lambda n: headers(2 * n + 1, POST, end=False) + window_update(2 * n + 1, 0),
        100000,
    ),
    "C09 windows that overflow": (
        b"",
        lambda n: headers(2 * n + 1, POST, end=False) + window_update(2 * n + 1, (1 << 31) - 1),
        100000,
    ),
    "C10 PRIORITY of a wrong size": (
        b"",
        lambda n: headers(2 * n + 1, POST, end=False) + frame(PRIORITY, 0, 2 * n + 1, bytes(4)),
        100000,
    ),
    "C12 HEADERS behind the end": (b"", lambda n: headers(2 * n + 1) * 2, 100000),
    "C13 DATA behind the end": (b"", lambda n: headers(2 * n + 1) + data(2 * n + 1, b"x"), 100000),
    "C15 more DATA than announced": (
        b"",
        lambda n: headers(2 * n + 1, [*POST, (b"content-length", b"1")], end=False) + data(2 * n + 1, b"two"),
        100000,
    ),
    "D05 too many fields": (b"", lambda n: headers(2 * n + 1, [*GET, *[(b"a", b"")] * 150]), 30000),
}


@pytest.mark.parametrize(("before", "make", "count"), FLOODS.values(), ids=FLOODS.keys())
def test_n28_floods(before: bytes, make: Callable[[int], bytes], count: int) -> None:
    """The client reads all answers, and is sent away well before it is through; memory stays flat; a canary lives."""
    app = Sleeps()
    h2 = H2(app, keep_alive_max_requests=10**9, start=START + SETTINGS_ACK + before)
    canary = H2(app, server=h2.server)
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    sent = 0
    while sent < count and not h2.over:
        h2.send(b"".join(make(number) for number in range(sent, sent + 100)))
        sent += 100
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert h2.goaway == ENHANCE_YOUR_CALM
    assert sent < count
    assert memory < 12_000_000
    assert app.most <= 100
    canary.send(headers(1))
    canary.advance(1.5)
    assert canary.answer().body == b"late"
    h2.advance(60)
    assert h2.client.closed
    assert not h2.server.runtime.tasks
    assert h2.client.errors == []


@pytest.mark.parametrize("separate", [False, True], ids=["one segment", "many"])
@pytest.mark.parametrize("with_body", [False, True])
def test_c01_c02_c03_rapid_reset(separate: bool, with_body: bool) -> None:
    """CVE-2023-44487, Q-H2-19: calls are bounded and cancelled, and the connection is ended past the budget."""
    app = Sleeps()
    h2 = H2(app, keep_alive_max_requests=10**9)
    stream = 1
    while not h2.over and stream < 100000:
        pairs = []
        for _ in range(1 if separate else 1000):
            request = headers(stream, POST, end=False) + data(stream, bytes(1000)) if with_body else headers(stream)
            pairs += [request] + ([] if separate else [reset(stream)])
            stream += 2
        h2.send(*pairs)
        if separate:
            h2.send(reset(stream - 2))
    assert h2.goaway == ENHANCE_YOUR_CALM
    assert stream < 5000
    assert app.most <= 100
    h2.advance(0.2)
    assert app.running == 0
    assert h2.connection is None or h2.connection.streams == {}


def test_c05_resets_just_below_the_rate_go_on_for_long() -> None:
    app = Sleeps()
    h2 = H2(app, keep_alive_max_requests=10**9)
    h2.server.context.records.keep(None, None)  # the server in memory keeps its records
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    for round_ in range(120):
        for number in range(30):
            stream = 2 * (round_ * 30 + number) + 1
            h2.send(headers(stream))
            h2.send(reset(stream))
        h2.advance(1)
        if round_ == 60:
            gc.collect()
            settled = tracemalloc.get_traced_memory()[0]
            h2.reader.answers.clear()
            h2.reader.frames.clear()
    gc.collect()
    more = tracemalloc.get_traced_memory()[0] - settled
    tracemalloc.stop()
    assert more < 1_000_000
    assert h2.goaway is None
    assert h2.connection.orphans.count == 0
    assert len(h2.connection.reset_ids) <= 2000


def test_c16_calls_that_ignore_cancellation_count_until_they_end() -> None:
    release = Event()
    running = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        running.append(scope)
        while not release.is_set:
            try:
                await release.wait()
            except BaseException:
                continue  # cancelled, and goes on
        running.pop()

    h2 = H2(app, h2_max_concurrent_streams=10)
    for stream in range(1, 100, 2):
        h2.send(headers(stream))
        h2.send(reset(stream))
    h2.advance(1)
    assert len(running) == 10
    assert h2.connection.orphans.count == 10
    h2.send(headers(101))
    assert h2.answer(101).reset == REFUSED_STREAM
    release.set()
    h2.advance(0.1)
    assert h2.connection.orphans.count == 0
    h2.send(headers(103))
    assert h2.answer(103).status == 500  # it answers nothing


def test_c07_h2_18_streams_above_the_limit_are_refused() -> None:
    app = Sleeps()
    h2 = H2(app, start=START + b"".join(headers(stream) for stream in range(1, 203, 2)))
    assert h2.answer(201).reset == REFUSED_STREAM
    assert h2.goaway is None
    assert app.running == 100
    h2.send(reset(1))
    h2.advance(0.1)
    h2.send(headers(203))
    h2.advance(2)
    assert [h2.answer(stream).body for stream in (3, 199, 203)] == [b"late"] * 3


def test_a02_h2_22_a_peer_that_floods_and_does_not_read() -> None:
    for flood in (ping(), settings()):
        h2 = H2(Answers(start(), body(b"x" * 60000)))
        h2.client.stop_reading()
        h2.client.send(window_update(0, 1 << 20) + settings((4, 1 << 20)))
        for stream in range(1, 9, 2):
            h2.client.send(headers(stream))
        assert h2.connection.writing_paused
        sent = 0
        while h2.connection.state < LINGERING and sent < 5000:
            h2.client.send(flood * 100)
            sent += 100
        assert sent <= 1200
        assert len(h2.client.transport.pending) < 400_000
        h2.advance(70)
        assert h2.client.closed


def test_a08_settings_that_are_never_acknowledged() -> None:
    app = Sleeps()
    h2 = H2(app, start=START)
    for second in range(40):
        if not h2.over:
            h2.send(headers(2 * second + 1))
            h2.advance(1)
    assert h2.goaway == SETTINGS_TIMEOUT


def test_a18_goaway_again_and_again() -> None:
    h2 = H2(Sleeps())
    h2.send(headers(1))
    for _ in range(100):
        h2.send(goaway(debug=b"\r\nroot:x" * 1000))
    h2.advance(2)
    assert h2.answer().body == b"late"
    assert h2.client.closed
    assert not any("root" in entry.text for entry in h2.client.log.entries)


def test_a19_h2_13_a_request_behind_goaway() -> None:
    h2 = H2(Sleeps())
    h2.send(headers(1), goaway(), headers(3))
    h2.advance(2)
    assert h2.answer(1).body == h2.answer(3).body == b"late"
    assert h2.client.closed


def test_b03_a_body_in_tiny_pieces_is_kept_in_few_objects() -> None:
    seen = []
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        seen.append(len((await receive())["body"]))
        await send(start())
        await send(body(b""))

    h2 = H2(app)
    h2.send(headers(1, POST, end=False))
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    for _ in range(300):
        h2.send(data(1, b"ab") * 100)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert memory < 3 * 60000 + 100000
    gate.set()
    h2.send(data(1, b"", end=True))
    assert seen == [60000]


@pytest.mark.parametrize("octets", range(1, 9))
def test_b07_a_frame_that_stops_in_its_head(octets: int) -> None:
    h2 = H2(Sleeps(), keep_alive_timeout=3600)
    h2.send(ping()[:octets])
    h2.advance(11)
    assert h2.goaway == PROTOCOL_ERROR
    assert h2.over


@pytest.mark.parametrize("octets", [0, 1, 23, 24, 30])
def test_e11_a_preface_that_is_never_complete(octets: int) -> None:
    h2 = H2(Answers(), start=b"")
    h2.client.send((PREFACE + settings())[:octets])
    h2.client.advance(11)
    assert h2.over


def test_e12_a_header_block_octet_by_octet() -> None:
    h2 = H2(Answers())
    h2.send(frame(HEADERS, END_STREAM, 1, block(GET)))
    more = frame(CONTINUATION, END_HEADERS, 1, b"\x00" + b"\x01a\x7f" + bytes(100))
    for octet in more:
        if h2.over:
            break
        h2.advance(1)
        h2.send(bytes((octet,)))
    assert h2.goaway == PROTOCOL_ERROR


def test_e13_a_body_that_stops() -> None:
    app = Reads()
    h2 = H2(app, body_timeout=30.0, min_receive_rate=0)
    h2.send(headers(1, POST, end=False), data(1, b"x"))
    h2.advance(29)
    h2.send(data(1, b"y"))
    h2.advance(29)
    assert not h2.answer().status
    h2.advance(3)
    assert h2.answer().status == 408
    assert h2.alive()


def test_e14_a_ping_is_no_activity() -> None:
    h2 = H2(Answers())
    h2.send(headers(1))
    for _ in range(4):
        h2.advance(1)
        h2.send(ping())
    assert h2.goaway is None
    h2.advance(1.5)
    assert h2.goaway == NO_ERROR
    assert h2.client.closed


def test_a_frame_that_is_always_pending_is_no_activity() -> None:
    """One octet of the next PING is there whenever the last one is complete."""
    h2 = H2(Answers())
    h2.send(headers(1), ping()[:1])
    for _ in range(4):
        h2.advance(1)
        h2.send(ping()[1:] + ping()[:1])
    assert h2.goaway is None
    h2.advance(1.5)
    assert h2.goaway is None  # it began in time, and may be a request
    h2.send(ping()[1:] + ping()[:1])
    h2.advance(0.1)
    assert h2.goaway == NO_ERROR
    assert h2.client.closed


def test_a_request_that_began_before_the_idle_timeout_is_answered() -> None:
    h2 = H2(Answers(), keep_alive_timeout=5)
    h2.send(headers(1))
    h2.advance(4)
    h2.send(headers(3)[:12])
    h2.advance(4)
    assert h2.goaway is None
    h2.send(headers(3)[12:])
    assert h2.answer(3).status == 200
    h2.advance(4.9)
    assert h2.goaway is None
    h2.advance(0.2)
    assert h2.goaway == NO_ERROR


def test_e16_half_a_close() -> None:
    h2 = H2(Answers(start(), body(b"x" * 1000)))
    h2.send(headers(1))
    h2.client.end()
    assert len(h2.answer().body) == 1000
    assert h2.client.closed


def test_e17_the_client_is_gone() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append((await receive())["type"])

    h2 = H2(app)
    h2.send(*(headers(stream) for stream in range(1, 201, 2)))
    h2.client.disconnect()
    assert seen == ["http.disconnect"] * 100
    assert not h2.server.runtime.tasks
    assert h2.client.errors == []


def test_e15_a_dead_peer_is_noticed() -> None:
    """A stream is open, the peer says nothing: a PING, then the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"x", True))
        await receive()
        await receive()

    h2 = H2(app)
    h2.send(headers(1))
    h2.advance(31)
    assert any(one.kind == 6 and not one.flags for one in h2.reader.frames)
    h2.send(ping(b"are here", ack=True))
    h2.advance(29)
    assert not h2.client.closed
    h2.advance(25)
    assert h2.client.closed
    assert not h2.server.runtime.tasks


def test_a20_some_glitches_are_forgiven() -> None:
    h2 = H2(Answers(), keep_alive_timeout=7200)
    for _ in range(3600):
        h2.send(frame(0xF0) * 20)
        h2.advance(1)
    assert h2.goaway is None
    assert h2.alive()


def test_d02_codes_are_not_decoded_for_a_list_that_is_refused_already() -> None:
    h2 = H2(Answers())
    coded = b"\x00\x01a" + b"\x7f\x81\x7e" + b"\x00" * 16384
    h2.send(
        frame(HEADERS, END_STREAM, 1, (block(GET) + coded)[:16384]),
        *(frame(CONTINUATION, 0, 1, bytes(16384)) for _ in range(20)),
    )
    assert h2.goaway == ENHANCE_YOUR_CALM
