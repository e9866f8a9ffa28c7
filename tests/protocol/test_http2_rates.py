"""The least rates over HTTP/2: bodies and output count for the connection, windows for their stream."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import Answers, Reads, body, start
from tests.support.http2 import CANCEL, H2, POST, PREFACE, SETTINGS_ACK, data, headers, settings, window_update

from hypercorn.testing import Event, sleep

RATES: dict[str, Any] = {
    "min_receive_rate": 100,
    "min_send_rate": 1000,
    "min_rate_grace": 5.0,
    "h2_ping_interval": None,
}
FIRST = 70  # whole seconds before who takes next to nothing is cut: the grace, and 64 KiB at 1000 bytes a second
CLOSED = PREFACE + settings((4, 0)) + SETTINGS_ACK  # streams begin with no window


def trickle(h2: H2, stream: int, count: int, times: int) -> int:
    """Sends `count` bytes of a body each second, until it is answered. Returns how many times it could."""
    for index in range(times):
        h2.advance(1)
        if h2.answer(stream).status:
            return index
        h2.send(data(stream, b"x" * count))
    return times


class Endless:
    """Sends for ever."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        while True:
            await send(body(b"x" * 10_000, more=True))


# -- request bodies


def test_a_slow_body() -> None:
    """408 on its stream; the connection goes on."""
    app = Reads()
    h2 = H2(app, **RATES)
    h2.send(headers(1, POST, end=False))
    assert trickle(h2, 1, 1, 30) == 5
    assert h2.answer().status == 408
    assert [entry.status for entry in h2.client.access] == [408]
    assert app.seen[0][-1] == {"type": "http.disconnect"}
    assert h2.alive()


def test_a_steady_body_just_above_the_rate() -> None:
    h2 = H2(Reads(), **RATES)
    h2.send(headers(1, POST, end=False))
    assert trickle(h2, 1, 101, 300) == 300
    h2.send(data(1, b"", end=True))
    assert h2.answer().body == b"30300"


def test_a_body_that_waits_for_another_of_the_same_client() -> None:
    """The client shares its rate out as it likes, for as long as body_timeout lets a stream be silent."""
    h2 = H2(Reads(), body_timeout=30.0, **RATES)
    h2.send(headers(1, POST, end=False), headers(3, POST, end=False))
    assert trickle(h2, 1, 300, 25) == 25
    assert not h2.answer(3).status
    h2.send(data(3, b"x" * 10, end=True), data(1, b"", end=True))
    assert h2.answer(3).body == b"10"


def test_what_was_sent_fast_buys_no_more_than_body_timeout() -> None:
    h2 = H2(Reads(), body_timeout=30.0, **RATES)
    h2.send(headers(1, POST, end=False))
    for _ in range(6):
        h2.send(data(1, b"x" * 16_000))
    assert 30 <= trickle(h2, 1, 1, 200) <= 37
    assert h2.answer().status == 408


def test_time_in_which_the_application_does_not_read_is_not_the_clients() -> None:
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    h2 = H2(app, body_timeout=None, **RATES)
    h2.send(headers(1, POST, end=False))
    for _ in range(3):
        h2.send(data(1, b"x" * 16_384))
    h2.advance(1000)  # a quarter of the window is left
    assert not h2.answer().status
    go.set()
    h2.advance(0.1)
    h2.send(data(1, b"", end=True))
    assert h2.answer().body == b"49152"


def test_a_response_that_has_begun_ends_the_rate() -> None:
    """Both sides may stream as they like, gRPC for one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"a", more=True))
        while (await receive()).get("more_body"):
            pass
        await send(body(b"b"))

    h2 = H2(app, **RATES)
    h2.send(headers(1, POST, end=False))
    h2.advance(1000)
    h2.send(data(1, b"x", end=True))
    assert h2.answer().body == b"ab"


GRPC = ["application/grpc", "application/grpc+proto", "application/grpc-web-text+proto; v=1", "Application/gRPC;a=b"]


@pytest.mark.parametrize("kind", GRPC)
def test_a_grpc_call_has_no_least_rate(kind: str) -> None:
    """Its client streams to the server as it has something to say."""
    h2 = H2(Reads(), body_timeout=30.0, **RATES)
    h2.send(headers(1, [*POST, (b"content-type", kind.encode())], end=False))
    for _ in range(20):
        h2.advance(29)
        h2.send(data(1, b"x"))
    assert h2.answer().status == 0
    h2.send(data(1, b"y", end=True))
    assert h2.answer().body == b"21"


def test_a_grpc_call_that_is_silent_for_too_long() -> None:
    """The time between two pieces holds for it as well."""
    app = Reads()
    h2 = H2(app, body_timeout=30.0, **RATES)
    h2.send(headers(1, [*POST, (b"content-type", b"application/grpc")], end=False))
    h2.advance(29)
    h2.send(data(1, b"x"))
    h2.advance(29.9)
    assert h2.answer().status == 0
    h2.advance(0.2)
    assert (h2.answer().status, h2.answer().body) == (408, b"the request body did not arrive in time\n")
    assert app.seen[0][-1] == {"type": "http.disconnect"}
    assert h2.alive()


@pytest.mark.parametrize("kind", ["application/json", "application/grpcx", "text/application/grpc", "application/grp"])
def test_what_is_no_grpc_call_has_the_rate(kind: str) -> None:
    h2 = H2(Reads(), body_timeout=30.0, **RATES)
    h2.send(headers(1, [*POST, (b"content-type", kind.encode())], end=False))
    assert trickle(h2, 1, 1, 30) == 5
    assert (h2.answer().status, h2.answer().body) == (408, b"the request body arrived too slowly\n")


# -- windows


@pytest.mark.parametrize("connection", [False, True], ids=["stream", "connection"])
def test_a_window_that_opens_by_a_byte_at_a_time(connection: bool) -> None:
    """Every byte is progress, but not enough of it: that stream is reset, and no other."""
    if connection:
        h2 = H2(Endless(), start=PREFACE + settings((4, 1_000_000)) + SETTINGS_ACK, **RATES)
    else:
        h2 = H2(Endless(), start=CLOSED, **RATES)
    h2.send(headers(1))
    seconds = 0
    while h2.answer().reset is None and seconds < 500:
        h2.advance(1)
        h2.send(window_update(0 if connection else 1, 1))
        seconds += 1
    assert FIRST <= seconds <= 2 * FIRST
    assert h2.answer().reset == CANCEL
    assert h2.goaway is None


def test_a_window_that_opens_fast_enough() -> None:
    h2 = H2(Endless(), start=CLOSED, **RATES)
    h2.send(headers(1), window_update(0, 1_000_000))
    for _ in range(600):
        h2.advance(1)
        h2.send(window_update(1, 1010))
    assert h2.answer().reset is None
    assert len(h2.answer().body) == 600 * 1010


def test_streams_that_share_the_connections_window() -> None:
    """Each gets less than the rate, all together more."""
    h2 = H2(Endless(), start=PREFACE + settings((4, 1_000_000)) + SETTINGS_ACK, **RATES)
    h2.send(*(headers(stream) for stream in range(1, 21, 2)))
    for _ in range(30):
        h2.advance(10)
        h2.send(window_update(0, 30_000))
    assert all(h2.answer(stream).reset is None for stream in range(1, 21, 2))


def test_an_application_that_sends_slowly_is_never_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for _ in range(20):
            await send(body(b"data: x\n\n", more=True))
            await sleep(500)
        await send(body(b""))

    h2 = H2(app, **RATES)
    h2.send(headers(1))
    h2.advance(20 * 500)
    assert h2.answer().ended


# -- output of the connection


def open_windows() -> bytes:
    return PREFACE + settings((4, 100_000_000)) + SETTINGS_ACK + window_update(0, 100_000_000)


def sip(h2: H2, count: int, times: int) -> int:
    """Reads `count` bytes each second."""
    for index in range(times):
        h2.advance(1)
        if h2.client.closed:
            return index
        h2.client.read(count)
    return times


def test_a_slow_reader() -> None:
    h2 = H2(Endless(), start=open_windows(), **RATES)
    h2.client.stop_reading()
    h2.client.send(headers(1))
    assert FIRST <= sip(h2, 1, 500) <= FIRST + 2
    assert h2.client.aborted
    assert h2.client.errors == []
    assert [entry.status for entry in h2.client.access] == [200]


def test_a_slow_reader_of_what_is_left_at_the_end() -> None:
    h2 = H2(Answers(start(), body(b"x" * 60_000)), start=open_windows(), **RATES)
    h2.client.stop_reading()
    h2.client.send(headers(1))
    h2.client.end()
    assert FIRST <= sip(h2, 1, 500) <= FIRST + 2
    assert h2.client.aborted


def test_a_steady_reader_just_above_the_rate() -> None:
    h2 = H2(Endless(), start=open_windows(), **RATES)
    h2.client.stop_reading()
    h2.client.send(headers(1))
    assert sip(h2, 1010, 500) == 500


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_no_send_rate(timeout: float | None) -> None:
    h2 = H2(Endless(), start=open_windows(), **(RATES | {"min_send_rate": 0, "write_timeout": timeout}))
    h2.client.stop_reading()
    h2.client.send(headers(1))
    assert sip(h2, 1, 500) == 500


def test_a_send_rate_without_write_timeout() -> None:
    h2 = H2(Endless(), start=open_windows(), write_timeout=None, **RATES)
    h2.client.stop_reading()
    h2.client.send(headers(1))
    h2.client.advance(FIRST)
    assert not h2.client.closed
    h2.client.advance(2)
    assert h2.client.aborted
