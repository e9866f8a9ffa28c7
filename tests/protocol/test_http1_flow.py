"""When output leaves, and backpressure both ways."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import (
    EAGERNESS,
    GET,
    Answers,
    Message,
    Reads,
    body,
    read_responses,
    request,
    response,
    responses,
    serve,
    start,
)

from hypercorn.testing import Event, sleep, start_task

# -- when output leaves


@EAGERNESS
def test_every_event_leaves_when_its_task_suspends(eager: bool) -> None:
    """H1-16: a server-sent event is never held back."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=[(b"content-type", b"text/event-stream")]))
        for index in range(3):
            await send(body(b"data: %d\n\n" % index, more=True))
            await sleep(1)
        await send(body())

    client = serve(app, eager=eager)
    client.send(GET)
    assert client.received().endswith(b"9\r\ndata: 0\n\n\r\n")
    for index in (1, 2):
        client.advance(1)
        assert client.received() == b"9\r\ndata: %d\n\n\r\n" % index
    client.advance(1)
    assert client.received() == b"0\r\n\r\n"
    assert len(client.writes) == 4


@EAGERNESS
def test_small_pieces_without_suspension_are_one_write(eager: bool) -> None:
    client = serve(Answers(start(), *(body(b"x" * 100, more=True) for _ in range(32)), body()), eager=eager)
    client.send(GET)
    assert response(client).body == b"x" * 3200
    assert len(client.writes) == 1


def test_gathering_stops_at_64_kib() -> None:
    client = serve(Answers(start(), *(body(b"x" * 10_000, more=True) for _ in range(32)), body()))
    client.send(GET)
    assert response(client).body == b"x" * 320_000
    assert all(len(write) < 65536 + 10_000 + 300 for write in client.writes)
    assert all(len(write) >= 65536 for write in client.writes[:-1])


def test_a_large_body_is_not_copied_into_the_gathering() -> None:
    client = serve(Answers(start(), body(b"x" * 1_000_000)))
    client.send(GET)
    assert response(client).body == b"x" * 1_000_000
    assert len(client.writes) <= 2


@EAGERNESS
def test_output_of_a_child_task_leaves_too(eager: bool) -> None:
    """A task beside the application's own has no turn of the server; what it sends leaves all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def child() -> None:
            await send(start())
            await send(body(b"a", more=True))
            await sleep(1)
            await send(body(b"b"))

        await start_task(child())

    client = serve(app, eager=eager)
    client.send(GET)
    assert client.received().endswith(b"1\r\na\r\n")
    client.advance(1)
    assert client.received() == b"1\r\nb\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([body(b"ab", more=True), body(b"c" * 70_000)], id="large-end"),
        pytest.param([body(b"ab", more=True), body(b"c" * 70_000, more=True), body()], id="silent-end"),
    ],
)
@pytest.mark.parametrize("lengths", [True, False], ids=["length", "chunked"])
def test_the_next_request_follows_a_response_that_a_child_task_ended(messages: list[Message], lengths: bool) -> None:
    """Also where the last message wrote nothing, or so much that it left at once."""
    headers = [(b"content-length", b"70002")] if lengths else []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def child() -> None:
            await send(start(headers=headers))
            for message in messages:
                await sleep(1)
                await send(message)

        start_task(child())
        await sleep(100)

    client = serve(app)
    client.send(GET + GET)
    client.advance(10)
    assert [len(found.body) for found in responses(client)] == [70_002, 70_002]


# -- in


@EAGERNESS
@pytest.mark.parametrize("pieces", [1, 9, 10, 11])
def test_reading_pauses_behind_an_application_that_does_not_read(eager: bool, pieces: int) -> None:
    """`max_app_queue_size` messages wait, no more; reading goes on when they are taken."""
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, eager=eager, max_app_queue_size=10)
    client.send(request("/", "content-length: 12", method="POST"))
    for _ in range(pieces):
        client.send(b"x")
    assert client.paused is (pieces >= 10)
    client.send(b"x" * (12 - pieces))
    go.set()
    assert response(client).body == b"12"
    assert not client.paused


def test_reading_pauses_behind_bytes_too() -> None:
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, max_app_queue_size=1000)
    client.send(request("/", "content-length: 600000", method="POST"))
    for _ in range(4):
        assert not client.paused
        client.send(b"x" * 65536)
    assert client.paused
    client.send(b"x" * (600_000 - 4 * 65536))
    assert client.paused
    go.set()
    assert response(client).body == b"600000"


def test_a_paused_body_that_nobody_reads_ends_with_the_response() -> None:
    """The rest is drained as far as the limit allows, and the next request is served."""
    go = Event()
    app_done: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        app_done.append(scope["path"])
        if scope["method"] == "POST":
            await go.wait()
        await send(start())
        await send(body(b"ok"))

    client = serve(app, max_app_queue_size=2)
    client.send(request("/1", "content-length: 10", method="POST"))
    for _ in range(4):
        client.send(b"x")
    assert client.paused
    client.send(b"x" * 6 + request("/2"))
    go.set()
    assert [found.status for found in responses(client)] == [200, 200]
    assert app_done == ["/1", "/2"]


def test_polling_does_not_unpause_pipelined_requests() -> None:
    """An application that asks again and again for a disconnect must not let a flood in."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["more_body"] is False
        for _ in range(50):
            poll = start_task(poll_once(receive))
            await sleep(0)
            await sleep(0)
            poll.cancel()
            await sleep(1)

    async def poll_once(receive: Any) -> None:
        await receive()

    client = serve(app)
    client.send(GET)
    for _ in range(300):
        client.send(b"GET /" + b"x" * 1000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")
        client.advance(0.1)
    assert client.transport.connection.parser.buffered() < 3 * 65536  # type: ignore[union-attr]


# -- out


class Sends:
    """Streams `count` pieces of `size` bytes; `taken` counts the sends that came back."""

    def __init__(self, count: int, size: int = 10_000) -> None:
        self.count = count
        self.size = size
        self.taken = 0
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start())
            for _ in range(self.count):
                await send(body(b"x" * self.size, more=True))
                self.taken += 1
            await send(body())
        except OSError as error:
            self.errors.append(error)
            raise


@EAGERNESS
def test_send_waits_past_the_high_water_mark(eager: bool) -> None:
    app = Sends(100)
    client = serve(app, eager=eager, write_buffer_size=65536)
    client.stop_reading()
    client.send(GET)
    assert app.taken < 20
    assert client.transport.unsent() < 65536 + 2 * 65536
    before = app.taken
    data = client.read(10_000)
    assert app.taken == before  # not yet below the low-water mark
    data += client.read()
    assert app.taken > before
    client.start_reading()
    (found,) = read_responses(data + client.received())
    assert app.taken == 100
    assert (len(found.body), found.complete) == (1_000_000, True)


@EAGERNESS
def test_a_parked_send_raises_when_the_client_goes(eager: bool) -> None:
    """N4: an OSError; that the application lets it through is no error of the server's."""
    app = Sends(100)
    client = serve(app, eager=eager)
    client.stop_reading()
    client.send(GET)
    assert app.errors == []
    client.disconnect()
    assert len(app.errors) == 1
    assert client.errors == []
    assert [entry.status for entry in client.access] == [200]


def test_a_response_that_fits_below_the_mark_does_not_wait() -> None:
    app = Sends(6)
    client = serve(app)
    client.stop_reading()
    client.send(GET)
    assert app.taken == 6
    assert len(client.access) == 1


def test_pipelined_requests_wait_for_a_peer_that_does_not_read() -> None:
    """A batch of small requests for large answers must not fill the memory."""
    app = Answers(start(), body(b"x" * 200_000))
    client = serve(app)
    client.stop_reading()
    client.send(GET * 50)
    assert len(app.scopes) == 1
    assert client.transport.unsent() < 300_000
    for index in range(2, 51):
        client.read()
        assert len(app.scopes) == index
    client.read()
    assert len(client.access) == 50
    assert len(responses(client)) == 0
    client.start_reading()
    client.send(GET)
    assert response(client).status == 200


def test_a_blocked_peer_that_ends_its_side_still_gets_all_answers() -> None:
    client = serve(Answers(start(), body(b"x" * 200_000)))
    client.stop_reading()
    client.send(GET * 3)
    client.end()
    data = b"".join(client.read() for _ in range(4))
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert client.closed
    assert not client.aborted


def test_two_senders_both_wait_and_both_wake() -> None:
    done: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def sender(number: int) -> None:
            await send(body(b"x" * 100_000, more=True))
            done.append(number)

        await send(start())
        tasks = [start_task(sender(number)) for number in (1, 2)]
        for task in tasks:
            await task
        await send(body())

    client = serve(app)
    client.stop_reading()
    client.send(GET)
    assert done == []
    client.read()
    assert sorted(done) == [1, 2]
    client.read()
    assert len(client.access) == 1


def test_a_flood_behind_a_blocked_peer_is_not_read() -> None:
    """Neither answered nor kept without bound; once the peer reads, all is answered in order."""
    app = Answers(start(), body(b"x" * 200_000))
    client = serve(app)
    client.stop_reading()
    client.send(GET)
    sent = 1
    while not client.paused:
        client.send(GET * 100)
        sent += 100
        assert sent < 10_000
    assert len(app.scopes) == 1
    client.send(GET)
    client.server.context.app = by_turns = Answers()
    client.start_reading()
    data = client.received()
    assert len(read_responses(data)) == min(1000, sent + 1)
    assert len(by_turns.scopes) == min(1000, sent + 1) - 1
