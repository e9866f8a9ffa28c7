"""The least rates: a body has to arrive, and output to be taken, at so many bytes a second on the average."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import GET, Answers, Reads, body, request, response, serve, start

from hypercorn.testing import Client, Event, sleep

POST = request("/", "content-length: 100000", method="POST")
RATES = {"min_receive_rate": 100, "min_send_rate": 1000, "min_rate_grace": 5.0}
FIRST = 70  # whole seconds before who takes next to nothing is cut: the grace, and 64 KiB at 1000 bytes a second


def trickle(client: Client, count: int, every: float, times: int) -> int:
    """Sends `count` bytes each `every` seconds. Returns how many times it could."""
    for index in range(times):
        client.advance(every)
        if client.closed or client.half_closed:
            return index
        client.send(b"x" * count)
    return times


def sip(client: Client, count: int, every: float, times: int) -> int:
    """The same for reading."""
    for index in range(times):
        client.advance(every)
        if client.closed:
            return index
        client.read(count)
    return times


# -- request bodies


def test_a_slow_body() -> None:
    """408, one record, no counter of its own: the application saw the request."""
    app = Reads()
    client = serve(app, **RATES)
    client.send(POST)
    assert trickle(client, 1, 0.5, 30) == 10  # ten bytes bought a tenth of a second
    found = response(client)
    assert (found.status, found.get(b"connection")) == (408, b"close")
    assert found.body == b"the request body arrived too slowly\n"
    assert [entry.status for entry in client.access] == [408]
    assert app.seen[0][-1] == {"type": "http.disconnect"}
    assert client.errors == []
    client.advance(2)
    assert client.closed


def test_the_grace_is_whole() -> None:
    client = serve(Reads(), **RATES)
    client.send(POST)
    client.advance(4.99)
    assert client.received() == b""
    client.advance(0.02)
    assert response(client).status == 408


def test_a_steady_body_just_above_the_rate() -> None:
    client = serve(Reads(), **RATES)
    client.send(POST)
    assert trickle(client, 101, 1.0, 990) == 990
    client.send(b"x" * (100_000 - 990 * 101))
    assert response(client).body == b"100000"


def test_a_body_a_little_below_the_rate_lives_on_its_grace() -> None:
    client = serve(Reads(), **RATES)
    client.send(POST)
    assert 40 <= trickle(client, 90, 1.0, 900) <= 52
    assert response(client).status == 408


def test_what_was_sent_fast_buys_no_more_than_body_timeout() -> None:
    client = serve(Reads(), body_timeout=30.0, **RATES)
    client.send(POST)
    for _ in range(9):
        client.send(b"x" * 9_000)
    sent = trickle(client, 1, 1.0, 200)
    assert 30 <= sent <= 37
    assert response(client).status == 408


def test_no_rate() -> None:
    client = serve(Reads(), body_timeout=30.0, **(RATES | {"min_receive_rate": 0}))
    client.send(POST)
    assert trickle(client, 1, 25.0, 50) == 50


def test_the_timeout_between_pieces_holds_beside_the_rate() -> None:
    client = serve(Reads(), body_timeout=2.0, **RATES)
    client.send(POST)
    client.advance(2.01)
    assert response(client).body == b"the request body did not arrive in time\n"


def test_a_rate_without_that_timeout() -> None:
    client = serve(Reads(), body_timeout=None, **RATES)
    client.send(POST)
    client.advance(5.01)
    assert response(client).status == 408


def test_time_in_which_the_server_does_not_read_is_not_the_clients() -> None:
    """A body behind an application that takes its time: reading is paused."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await sleep(50)
            message = await receive()
            if not message.get("more_body"):
                break
        await send(start())
        await send(body(b"done"))

    client = serve(app, **RATES)
    client.send(request("/", "content-length: 600000", method="POST") + b"x" * 300_000)
    assert client.paused
    client.send(b"x" * 300_000)  # waits in the kernel
    client.advance(45)
    assert client.received() == b""
    client.advance(1000)
    assert response(client).body == b"done"


def test_a_pause_keeps_what_is_left_of_the_grace() -> None:
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, **RATES)
    client.send(request("/", "content-length: 1000000", method="POST"))
    client.advance(3)
    client.send(b"x" * 300_000)
    assert client.paused
    client.advance(100)
    assert not client.half_closed
    go.set()
    client.runtime.run()
    assert not client.paused
    client.advance(25)  # what was sent bought more than two seconds
    assert client.received() == b""
    client.advance(10)
    assert response(client).status == 408


def test_a_client_that_waits_for_100_is_not_slow() -> None:
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await Reads()(scope, receive, send)

    client = serve(app, **RATES)
    client.send(request("/", "content-length: 10", "expect: 100-continue", method="POST"))
    client.advance(1000)
    assert client.received() == b""
    go.set()
    client.runtime.run()
    assert client.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.advance(4.9)
    client.send(b"x" * 10)
    assert response(client).body == b"10"


def test_a_slow_body_behind_a_response_that_has_begun() -> None:
    """Nothing can be answered any more: the connection ends inside the response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"a", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass

    client = serve(app, **RATES)
    client.send(POST)
    trickle(client, 1, 0.5, 30)
    assert client.closed
    assert not response(client).complete
    assert [entry.status for entry in client.access] == [200]


def test_each_request_has_its_own_grace() -> None:
    client = serve(Reads(), **RATES)
    for _ in range(5):
        client.send(request("/", "content-length: 10", method="POST"))
        client.advance(4)
        client.send(b"x" * 10)
        assert response(client).status == 200


def test_a_loop_that_stood_still_is_not_the_clients_fault() -> None:
    """What came meanwhile is read before the client is judged."""
    client = serve(Reads(), **RATES)
    client.send(POST)
    runtime = client.runtime
    runtime.time += 20  # nothing could run
    client.advance(0)
    client.send(b"x" * 90_000)
    client.advance(20)
    assert client.received() == b""


# -- output


class Streams:
    """Sends pieces for ever."""

    error: BaseException | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start())
            while True:
                await send(body(b"x" * 10_000, more=True))
        except BaseException as error:
            self.error = error
            raise


def test_a_slow_reader() -> None:
    """Cut; the application is told, one record, and nothing is logged."""
    app = Streams()
    client = serve(app, **RATES)
    client.stop_reading()
    client.send(GET)
    seconds = sip(client, 1, 1.0, 1000)
    assert FIRST <= seconds <= FIRST + 2
    assert client.aborted
    assert isinstance(app.error, OSError)
    assert client.errors == []
    assert [entry.status for entry in client.access] == [200]


def test_a_large_piece_buys_no_more_time_than_a_small_one() -> None:
    client = serve(Answers(start(), body(b"x" * 50_000_000)), **RATES)
    client.stop_reading()
    client.send(GET)
    assert FIRST <= sip(client, 1, 1.0, 1000) <= FIRST + 2
    assert client.aborted


def test_a_slow_reader_of_a_response_that_is_complete() -> None:
    client = serve(Answers(start(), body(b"x" * 60_000)), **RATES)
    client.stop_reading()
    client.send(request("/", "connection: close"))
    assert FIRST <= sip(client, 1, 1.0, 1000) <= FIRST + 2
    assert client.aborted


def test_a_steady_reader_just_above_the_rate() -> None:
    client = serve(Answers(start(), body(b"x" * 600_000)), **RATES)
    client.stop_reading()
    client.send(request("/", "connection: close"))
    sip(client, 1010, 1.0, 700)
    assert client.closed
    assert not client.aborted


def test_a_reader_in_bursts_on_the_average() -> None:
    """Kernels make room for many bytes at once."""
    client = serve(Streams(), **RATES)
    client.stop_reading()
    client.send(GET)
    assert sip(client, 60_000, 50, 30) == 30


def test_no_send_rate() -> None:
    client = serve(Streams(), **(RATES | {"min_send_rate": None}))
    client.stop_reading()
    client.send(GET)
    assert sip(client, 1, 50.0, 50) == 50


def test_a_send_rate_without_write_timeout() -> None:
    client = serve(Streams(), write_timeout=None, **RATES)
    client.stop_reading()
    client.send(GET)
    client.advance(FIRST)
    assert not client.closed
    client.advance(8)
    assert client.aborted


def test_an_application_that_sends_slowly_is_never_cut() -> None:
    """Server-sent events: nothing waits, so nothing counts."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for _ in range(20):
            await send(body(b"data: x\n\n", more=True))
            await sleep(500)
        await send(body(b""))

    client = serve(app, **RATES)
    client.send(GET)
    client.advance(20 * 500)
    assert response(client).complete


def test_a_websocket_has_no_rate() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    client = serve(app, **RATES)
    client.send(
        request(
            "/", "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        )
    )  # fmt: skip
    assert client.received().startswith(b"HTTP/1.1 101 ")
    client.advance(1000)
    assert not client.closed


@pytest.mark.parametrize("data", [GET, POST + b"x" * 100_000], ids=["get", "post"])
def test_what_is_fast_makes_no_account(data: bytes) -> None:
    client = serve(Reads(), **RATES)
    client.send(data)
    connection: Any = client.transport.connection
    assert response(client).status == 200
    assert connection.body_timer is None
    assert connection.write_timer is None
