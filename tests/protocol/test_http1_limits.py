"""Limits and deadlines: each fires at its own boundary, with its own status, and the others do not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import GET, Answers, Reads, body, request, response, responses, serve, start

from hypercorn.testing import Client, Event, sleep

POST = request("/", "content-length: 10", method="POST")
CHUNKED = request("/", "transfer-encoding: chunked", method="POST")


class Endless:
    """An application that reads for ever, and never answers."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


def refused(client: Client, status: int) -> None:
    """The client gets one whole answer, then the end, and the server one record of it."""
    found = response(client)
    assert (found.status, found.complete, found.get(b"connection")) == (status, True, b"close")
    assert [entry.status for entry in client.access] == [status]
    assert client.access[0].body_bytes == len(found.body)
    assert client.errors == []
    client.advance(2)
    assert client.closed
    assert client.received() == b""


# -- sizes, at the byte


@pytest.mark.parametrize("size", [0, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("extra", [0, 1])
def test_request_line(size: int, extra: int) -> None:
    """H1-21, Q-H1-5: 414."""
    client = serve(Answers(), max_request_line_size=100)
    line = b"GET /" + b"x" * (100 - len(b"GET / HTTP/1.1\r\n") + extra) + b" HTTP/1.1\r\n"
    assert len(line) == 100 + extra
    client.send(line + b"host: a\r\n\r\n", size=size)
    if extra:
        refused(client, 414)
    else:
        assert response(client).status == 200


@pytest.mark.parametrize("size", [0, 1, 5000], ids=["whole", "bytewise", "pieces"])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("lines", [1, 20])
def test_header_bytes(size: int, extra: int, lines: int) -> None:
    """H1-21, Q-H1-5: 431, also where the head arrives whole."""
    client = serve(Answers(), max_header_size=2000)
    fields = [b"host: a\r\n"] + [b"x: %b\r\n" % (b"v" * 60) for _ in range(lines - 1)]
    rest = 2000 + extra - len(b"".join(fields)) - len(b"last: \r\n")
    section = b"".join(fields) + b"last: %b\r\n" % (b"v" * rest)
    assert len(section) == 2000 + extra
    client.send(b"GET / HTTP/1.1\r\n" + section + b"\r\n", size=size)
    if extra:
        refused(client, 431)
    else:
        assert response(client).status == 200


@pytest.mark.parametrize("size", [0, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("extra", [0, 1])
def test_header_count(size: int, extra: int) -> None:
    """H1-21, Q-H1-5: 431 for the 101st."""
    client = serve(Answers())
    client.send(request("/", *(f"x{index}: y" for index in range(99 + extra))), size=size)
    if extra:
        refused(client, 431)
    else:
        assert response(client).status == 200


@pytest.mark.parametrize("extra", [0, 1])
def test_announced_body(extra: int) -> None:
    """413 before a byte of it came, and before the application heard of it."""
    app = Reads()
    client = serve(app, max_body_size=1000)
    client.send(request("/", f"content-length: {1000 + extra}", "expect: 100-continue", method="POST"))
    if extra:
        refused(client, 413)
        assert app.seen == []
    else:
        assert client.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"x" * 1000)
        assert response(client).body == b"1000"


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_chunked_body(extra: int, count: int) -> None:
    """413 once it was too much; the application is told of a disconnect, never of a body cut short (APP-07)."""
    app = Reads()
    client = serve(app, max_body_size=1000)
    client.send(CHUNKED)
    for _ in range(count):
        client.send(b"%x\r\n%b\r\n" % (1000 // count, b"x" * (1000 // count)))
    client.send(b"1\r\nx\r\n0\r\n\r\n" if extra else b"0\r\n\r\n")
    if extra:
        refused(client, 413)
        assert app.seen[0][-1] == {"type": "http.disconnect"}
        assert len(app.body(0)) <= 1000
    else:
        assert response(client).body == b"1000"


def test_a_body_that_grows_too_large_behind_a_response_just_ends_the_connection() -> None:
    client = serve(Answers(start(), body(b"a", more=True), body(b"b")), max_body_size=10)
    client.send(CHUNKED)
    assert response(client).status == 200
    client.send(b"10\r\n" + b"x" * 16 + b"\r\n")
    assert client.received() == b""
    assert client.half_closed
    assert [entry.status for entry in client.access] == [200]


# -- times: just before it nothing has happened


def just_before(client: Client, seconds: float) -> None:
    client.advance(seconds - 0.01)
    assert client.received() == b""
    assert not client.closed
    assert not client.half_closed


@pytest.mark.parametrize("pieces", [0, 1, 5])
def test_first_head(pieces: int) -> None:
    """H1-05, H1-25: 408 where something came, silence where nothing did; counted from the connect."""
    client = serve(Answers(), header_timeout=10.0)
    head = GET[:-1]
    for index in range(pieces):
        client.advance(1)
        client.send(head[index : index + 1])
    just_before(client, 10 - pieces)
    client.advance(0.01)
    if pieces:
        refused(client, 408)
    else:
        assert client.closed
        assert client.received() == b""
        assert client.access == []
        assert client.log.entries == []


def test_later_head() -> None:
    """H1-05: from the first byte on it is the head's deadline that counts, however slowly the bytes come."""
    client = serve(Answers(), header_timeout=10.0, keep_alive_timeout=3.0)
    client.send(GET)
    client.received()
    client.log.access.clear()
    client.advance(2.9)
    for byte in GET[:9]:
        client.send(bytes([byte]))
        client.advance(1)
    just_before(client, 1)
    client.advance(0.01)
    refused(client, 408)


@pytest.mark.parametrize("spent", [0, 4.9])
def test_keep_alive(spent: float) -> None:
    """H1-05, N7: silent, and counted from the end of the last response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(spent)
        await send(start())
        await send(body(b"ok"))

    client = serve(app, keep_alive_timeout=5.0)
    client.send(GET)
    client.advance(spent)
    assert response(client).status == 200
    just_before(client, 5)
    client.advance(0.01)
    assert client.closed
    assert not client.aborted
    assert client.received() == b""
    assert len(client.access) == 1


def test_keep_alive_is_renewed_by_each_request() -> None:
    """H1-05: one every second for ten seconds."""
    client = serve(Answers(), keep_alive_timeout=3.0)
    for _ in range(10):
        client.send(GET)
        assert response(client).status == 200
        client.advance(1)
    assert not client.closed


def test_keep_alive_does_not_end_a_slow_response() -> None:
    """H1-03: two requests in one write, each slower than the timeout; H1-04: a response in two parts."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await sleep(3)
        await send(body(b"b"))

    client = serve(app, keep_alive_timeout=1.0, header_timeout=1.0, body_timeout=1.0, write_timeout=1.0)
    client.send(GET + GET)
    client.advance(6)
    assert [found.body for found in responses(client)] == [b"ab", b"ab"]
    just_before(client, 1)


def test_only_the_time_of_the_peer_counts() -> None:
    """Q-H1-14: an application may work as long as it likes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(10_000)
        await send(start())
        await send(body(b"ok"))

    client = serve(app, read_timeout=1)
    client.send(GET)
    client.advance(10_000)
    assert response(client).status == 200


@pytest.mark.parametrize("head", [POST, CHUNKED], ids=["length", "chunked"])
def test_body(head: bytes) -> None:
    """408 between two pieces; every piece renews it; the application is told of a disconnect (APP-07)."""
    app = Reads()
    client = serve(app, body_timeout=30.0, min_receive_rate=0)
    client.send(head)
    for _ in range(3):
        client.advance(29)
        client.send(b"x" if head is POST else b"1\r\nx\r\n")
    just_before(client, 30)
    client.advance(0.01)
    refused(client, 408)
    assert app.seen[0][-1] == {"type": "http.disconnect"}


def test_read_timeout_takes_the_place_of_body_timeout() -> None:
    client = serve(Endless(), body_timeout=30.0, read_timeout=7, min_receive_rate=0)
    client.send(POST)
    just_before(client, 7)
    client.advance(0.01)
    refused(client, 408)


def test_body_of_an_answered_request() -> None:
    """Nothing is left to say; the connection just ends."""
    client = serve(Answers(), body_timeout=30.0, min_receive_rate=0)
    client.send(POST)
    assert response(client).status == 200
    just_before(client, 30)
    client.advance(0.01)
    assert client.half_closed
    assert client.received() == b""
    client.advance(2)
    assert client.closed
    assert [entry.status for entry in client.access] == [200]


def test_body_that_the_application_does_not_read_is_not_late() -> None:
    """The server does not read it either, so the peer cannot send."""
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, body_timeout=30.0, min_receive_rate=0)
    client.send(request("/", "content-length: 1000000", method="POST") + b"x" * 300_000)
    assert client.paused
    client.advance(1000)
    assert client.received() == b""
    go.set()
    client.runtime.run()
    just_before(client, 30)
    client.advance(0.01)
    refused(client, 408)


# -- output that is not taken


class Streams:
    """Sends pieces for ever; `sent` counts those that were taken."""

    def __init__(self) -> None:
        self.sent = 0
        self.error: BaseException | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start())
            while True:
                await send(body(b"x" * 10_000, more=True))
                self.sent += 1
        except BaseException as error:
            self.error = error
            raise


def test_write_stall() -> None:
    """Cut once a whole interval brought no progress; the application is told, and nothing is logged."""
    app = Streams()
    client = serve(app, write_timeout=60.0)
    client.stop_reading()
    client.send(GET)
    sent = app.sent
    assert sent < 20
    for _ in range(3):
        client.advance(59)
        client.read(10)
        client.advance(1)
        assert not client.closed
    client.advance(60)
    assert client.aborted
    assert isinstance(app.error, OSError)
    assert client.errors == []
    assert [(entry.status, entry.method) for entry in client.access] == [(200, "GET")]


def test_write_stall_with_several_senders_is_measured_by_progress() -> None:
    """Each waiting task adds its piece behind the mark; what the peer takes meanwhile still counts."""
    from hypercorn.testing import start_task

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"x" * 70_000, more=True))

        async def more() -> None:
            await send(body(b"y" * 70_000, more=True))

        for _ in range(8):
            start_task(more())
        await sleep(1000)

    client = serve(app, write_timeout=60.0)
    client.stop_reading()
    client.send(GET)
    client.advance(10)
    client.read(100_000)
    client.advance(59)
    assert not client.closed
    client.advance(121)
    assert client.aborted


def test_write_stall_while_a_body_arrives() -> None:
    """The end of the request does not end the deadline of the response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        while True:
            await send(body(b"x" * 10_000, more=True))

    client = serve(app, write_timeout=60.0)
    client.stop_reading()
    client.send(POST)
    client.send(b"x" * 10)
    client.advance(121)
    assert client.aborted


def test_write_stall_at_the_end() -> None:
    """A close waits for the output, but not for ever."""
    client = serve(Answers(start(), body(b"x" * 60_000)), write_timeout=60.0)
    client.stop_reading()
    client.send(request("/", "connection: close"))
    assert not client.closed
    client.advance(59)
    client.read(10)
    client.advance(60)
    assert not client.closed
    client.advance(61)
    assert client.aborted


def test_a_reader_that_is_slow_but_steady_is_served() -> None:
    client = serve(Answers(start(), body(b"x" * 1_000_000)), write_timeout=60.0, keep_alive_timeout=5.0)
    client.stop_reading()
    client.send(GET)
    data = b""
    for _ in range(9):
        client.advance(50)
        data += client.read(100_000)
    client.advance(50)
    data += client.read()
    assert data.endswith(b"x" * 1_000_000)
    just_before(client, 5)
    client.advance(0.02)
    assert client.closed
    assert not client.aborted


# -- lingering


def test_linger() -> None:
    """Half-closed at once, closed after the time, whatever the peer sends meanwhile."""
    client = serve(Answers(), linger_timeout=2.0)
    client.send(b"nonsense\r\n\r\n")
    assert response(client).status == 400
    assert client.half_closed
    for _ in range(19):
        client.advance(0.1)
        client.send(b"more")
        assert not client.closed
    client.advance(0.11)
    assert client.closed
    assert not client.aborted


def test_linger_ends_with_the_peer() -> None:
    client = serve(Answers())
    client.send(b"nonsense\r\n\r\n")
    client.end()
    assert client.closed


# -- off is off; nothing wakes up without need

OFF = dict.fromkeys(
    ("header_timeout", "body_timeout", "write_timeout", "read_timeout", "min_receive_rate", "min_send_rate")
)


@pytest.mark.parametrize("data", [b"", b"GET", POST], ids=["nothing", "head", "body"])
def test_no_limit(data: bytes) -> None:
    client = serve(Reads(), **OFF)
    client.send(data)
    client.advance(100_000)
    assert not client.closed
    assert client.received() == b""


def test_timers_do_not_grow_with_requests() -> None:
    """A request costs no timer."""
    client = serve(Answers())
    client.send(GET)
    made = client.runtime.timers_made
    for _ in range(1000 - 10):
        client.send(GET)
    assert client.runtime.timers_made <= made + 1


def test_the_timer_fires_no_more_often_than_timeouts_pass() -> None:
    """A busy connection moves its deadline on; the timer comes to look once in a while."""
    client = serve(Answers(), keep_alive_timeout=5.0, keep_alive_max_requests=10_000)
    made = client.runtime.timers_made
    for _ in range(1000):
        client.send(GET)
        client.advance(0.1)
    assert client.runtime.timers_made - made <= 100 / 5 + 2
    assert not client.closed


def test_sweeps_are_not_closer_than_a_tick() -> None:
    """A hundred deadlines a hundredth of a second apart: each is met within a tick, by a dozen sweeps."""
    server = serve(Answers(), keep_alive_timeout=5.0).server
    clients: dict[Client, float] = {}
    for _ in range(100):
        client = server.connect()
        client.send(GET)
        clients[client] = server.runtime.now() + 5.0
        server.runtime.advance(0.01)
    server.runtime.advance(3.9)
    made = server.runtime.timers_made
    while clients:
        server.runtime.advance(0.01)
        now = server.runtime.now()
        for client, deadline in list(clients.items()):
            assert client.closed <= (now >= deadline - 1e-6)
            assert client.closed or now < deadline + 0.1 + 1e-6
            if client.closed:
                del clients[client]
    assert server.runtime.timers_made - made < 30


def test_nothing_wakes_up_while_nothing_is_waited_for() -> None:
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()

    client = serve(app)
    client.send(GET)
    client.advance(20)
    assert [timer for _, _, timer in client.runtime.timers if not timer.cancelled] == []


def test_a_thousand_connections_share_one_timer() -> None:
    client = serve(Answers())
    server = client.server
    many = [client, *(server.connect() for _ in range(1000))]
    assert len([timer for _, _, timer in server.runtime.timers if not timer.cancelled]) == 1
    for one in many:
        one.send(GET)
    client.advance(5)
    assert all(one.closed for one in many)
    assert server.deadlines.connections == set()
    client.advance(61)
    assert [timer for _, _, timer in server.runtime.timers if not timer.cancelled] == []


def test_deadlines_that_were_stopped_stay_so() -> None:
    """At the end of a worker no timer is left, and no connection that still ends sets one."""
    client = serve(Answers())
    client.server.deadlines.stop()
    client.send(GET)
    client.disconnect()
    assert [timer for _, _, timer in client.runtime.timers if not timer.cancelled] == []
