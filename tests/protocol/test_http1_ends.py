"""The ends of connections: peers that go, in every state; nothing is left behind."""

from __future__ import annotations

import gc
import sys
import weakref
from contextlib import suppress
from typing import Any

import pytest
from tests.support.harness import (
    EAGERNESS,
    GET,
    Answers,
    Reads,
    body,
    config,
    read_responses,
    request,
    response,
    serve,
    start,
)

from hypercorn.testing import Client, Event, MemoryServer, sleep, start_task

COUNTED = pytest.mark.skipif(sys.implementation.name != "cpython", reason="objects have no reference counts")
POST = request("/", "content-length: 10", method="POST")


class Watches:
    """Streams a piece each second until it is told of the end, and keeps what it was told."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.error: BaseException | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send(start())

        async def watch() -> None:
            while True:
                message = await receive()
                self.messages.append(message["type"])
                if message["type"] == "http.disconnect":
                    return

        watcher = start_task(watch())
        try:
            while not watcher.done:
                await send(body(b"x", more=True))
                await sleep(1)
            await send(body())
        except BaseException as error:
            self.error = error
            raise


# -- without a request


@pytest.mark.parametrize("how", ["end", "disconnect"])
def test_a_connection_without_a_byte_leaves_no_trace(how: str) -> None:
    """H1-25: a health check."""
    client = serve(Answers())
    getattr(client, how)()
    assert client.closed
    assert client.received() == b""
    assert client.access == []
    assert client.log.entries == []
    assert client.server.deadlines.connections == set()


def test_an_end_inside_a_head_is_answered() -> None:
    client = serve(Answers())
    client.send(GET[:-3])
    client.end()
    found = response(client)
    assert (found.status, found.get(b"connection")) == (408, b"close")
    assert client.closed
    assert len(client.access) == 1


def test_an_end_between_requests_is_silent() -> None:
    client = serve(Answers())
    client.send(GET)
    client.received()
    client.end()
    assert client.closed
    assert client.received() == b""
    assert len(client.access) == 1


# -- H1-26: half-closed


@EAGERNESS
def test_a_response_is_delivered_to_a_client_that_ended_its_side(eager: bool) -> None:
    """H1-26."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(1)
        await send(start())
        await send(body(b"ok"))

    client = serve(app, eager=eager)
    client.send(GET + GET)
    client.end()
    client.advance(2)
    assert [found.body for found in read_responses(client.received())] == [b"ok", b"ok"]
    assert client.closed
    assert not client.aborted
    assert client.errors == []


def test_an_end_inside_the_body_is_a_disconnect() -> None:
    """H1-26, APP-07: not the end of the body."""
    reads = Reads()
    client = serve(reads)
    client.send(POST + b"abc")
    client.end()
    assert [message["type"] for message in reads.seen[0]] == ["http.request", "http.disconnect"]
    assert reads.seen[0][0]["more_body"] is True
    assert response(client).status == 408
    assert client.closed
    assert [entry.status for entry in client.access] == [408]
    assert client.errors == []


def test_an_end_behind_a_whole_request_is_told_in_receive() -> None:
    """N4: but the response can still be sent."""
    app = Watches()
    client = serve(app)
    client.send(GET)
    client.end()
    assert app.messages == ["http.request", "http.disconnect"]
    client.advance(1)
    found = response(client)
    assert (found.body, found.complete) == (b"x", True)
    assert client.errors == []
    assert client.closed


# -- gone


@EAGERNESS
def test_a_disconnect_is_told_at_once(eager: bool) -> None:
    """N4: in receive() without another step of the clock; send() then raises an OSError; nothing is logged."""
    app = Watches()
    client = serve(app, eager=eager)
    client.send(GET)
    client.advance(0.5)
    client.disconnect()
    assert app.messages == ["http.request", "http.disconnect"]
    client.advance(1)
    assert isinstance(app.error, OSError)
    assert client.errors == []
    assert [(entry.status, entry.body_bytes) for entry in client.access] == [(200, 1)]


def test_after_a_disconnect_everything_says_so() -> None:
    """`receive()` again and again, without waiting; `send()` raises every time, for good messages and bad."""
    seen: list[Any] = []
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await go.wait()
        for _ in range(3):
            seen.append((await receive())["type"])
        for message in (start(), body(b"x"), {"type": "nonsense"}):
            try:
                await send(message)
            except OSError as error:
                seen.append(type(error).__name__)

    client = serve(app)
    client.send(GET)
    client.disconnect()
    go.set()
    client.runtime.run()
    assert seen == ["http.disconnect"] * 3 + ["ClientDisconnected"] * 3
    assert client.errors == []
    assert [entry.status for entry in client.access] == [None]


class ClientDisconnect(Exception):
    """Starlette's own word, of the same name."""


@pytest.mark.parametrize("kind", ["as-it-is", "group", "translated", "cause"])
def test_a_disconnect_that_an_application_lets_through_is_no_error(kind: str) -> None:
    """N4."""
    go = Event()

    class Group(Exception):
        def __init__(self, *errors: Exception) -> None:
            super().__init__("group")
            self.exceptions = errors

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        try:
            await send(start())
        except OSError as error:
            if kind == "as-it-is":
                raise
            if kind == "group":
                raise Group(error, Group(error)) from None
            if kind == "cause":
                raise ClientDisconnect from error
            raise ClientDisconnect  # noqa: B904  as Starlette does

    client = serve(app)
    client.send(GET)
    client.disconnect()
    go.set()
    client.runtime.run()
    assert client.errors == []
    assert len(client.access) == 1


def test_a_mistake_after_a_disconnect_is_still_an_error() -> None:
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        with suppress(OSError):
            await send(start())
        raise KeyError("a mistake in the handler")  # what is raised in the place of a disconnect is none

    client = serve(app)
    client.send(GET)
    client.disconnect()
    go.set()
    client.runtime.run()
    assert [type(entry.error) for entry in client.errors] == [KeyError]


def test_a_disconnect_at_the_moment_of_completion_leaves_one_record() -> None:
    """H1-20, Q-H1-16: in both orders."""
    for first in ("finish", "leave"):
        go = Event()

        async def app(scope: Any, receive: Any, send: Any, go: Event = go) -> None:
            await send(start())
            await send(body(b"a", more=True))
            await go.wait()
            await send(body(b"b"))

        client = serve(app)
        client.send(GET)
        if first == "finish":
            go.set()
            client.transport.shut()
        else:
            client.transport.shut()
            go.set()
        client.runtime.run()
        assert [entry.status for entry in client.access] == [200], first
        assert client.errors == []


def test_a_peer_that_goes_while_its_request_is_refused() -> None:
    client = serve(Answers())
    client.stop_reading()
    client.send(b"nonsense\r\n\r\n")
    client.disconnect()
    assert client.closed
    assert [entry.status for entry in client.access] == [400]
    assert client.server.deadlines.connections == set()


def test_the_applications_task_may_live_on() -> None:
    """A background task after the response; the connection serves on meanwhile."""
    done: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"ok"))
        await sleep(100)
        done.append(scope["path"])

    client = serve(app)
    client.send(request("/1") + request("/2"))
    assert len(read_responses(client.received())) == 2
    assert done == []
    client.advance(100)
    assert sorted(done) == ["/1", "/2"]
    assert client.errors == []


# -- nothing is left behind


class Traced:
    """A target for weak references, put into a scope's state."""


STATES = {
    "idle": b"",
    "half a head": GET[:10],
    "after a response": GET,
    "half a body": POST + b"abc",
    "a refused request": b"nonsense\r\n\r\n",
    "pipelined": GET * 3 + GET[:5],
}


@pytest.mark.parametrize("state", STATES)
@COUNTED
@pytest.mark.parametrize("how", ["disconnect", "end"])
@EAGERNESS
def test_no_cycle_keeps_a_connection(state: str, how: str, eager: bool) -> None:
    """H1-06: it is freed by reference counts alone, whatever was going on."""
    server = MemoryServer(Reads(), config(), eager=eager)
    client = server.connect()
    client.send(STATES[state])
    alive = trace(client)
    gc.collect()
    gc.disable()
    try:
        getattr(client, how)()
        assert client.closed
        client.advance(1)
        del client
        assert [name for name, reference in alive if reference() is not None] == []
    finally:
        gc.enable()
    assert server.runtime.tasks == set()
    assert server.deadlines.connections == set()


@COUNTED
@pytest.mark.parametrize("suspended", ["receive", "send"])
def test_no_cycle_keeps_a_call(suspended: str) -> None:
    """A task that waits in either ends with its connection, and frees its scope."""
    traced: list[weakref.ref[Traced]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["traced"] = Traced()
        traced.append(weakref.ref(scope["traced"]))
        if suspended == "receive":
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await send(start())
            while True:
                await send(body(b"x" * 10_000, more=True))

    server = MemoryServer(app, config())
    client = server.connect()
    client.stop_reading()
    client.send(GET)
    server.log.access.clear()
    gc.collect()
    gc.disable()
    try:
        client.disconnect()
        server.log.access.clear()  # its entries hold scopes
        assert [entry.level for entry in server.log.entries] == ["debug"] * (suspended == "send")
        server.log.entries.clear()  # and these the frames of what was raised
        del client
        assert traced[0]() is None
    finally:
        gc.enable()
    assert server.runtime.tasks == set()


def trace(client: Client) -> list[tuple[str, Any]]:
    """Weak references to what hangs on a connection; a slot class cannot be one, so its neighbours stand for it."""
    transport = client.transport
    found: list[tuple[str, Any]] = [("transport", weakref.ref(transport))]
    return found


def test_ten_thousand_connections_leave_nothing() -> None:
    """H1-06: request, response, gone; with a keep-alive of two hours."""
    server = MemoryServer(Answers(), config(keep_alive_timeout=7200))
    for _ in range(200):
        round_trip(server)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(2000):
        round_trip(server)
    gc.collect()
    assert len(gc.get_objects()) - before < 50
    assert len(server.runtime.timers) < 20


def round_trip(server: MemoryServer) -> None:
    client = server.connect()
    client.send(GET)
    client.disconnect()
    server.log.access.clear()
    server.context.app.scopes.clear()


def test_an_idle_connection_holds_no_input() -> None:
    """The parser of an idle connection has no buffer, whatever passed through it."""
    client = serve(Reads())
    parser = client.transport.connection.parser  # type: ignore[union-attr]
    for size in (0, 1, 100):
        client.send(request(method="POST", body=b"x" * 5000), size=size)
        assert parser.idle
        assert parser.buffered() == 0
        assert parser.body == b"" or len(parser.body) <= 5000
    data = getattr(parser, "_data", b"")  # the pure twin's
    assert data == b""


def test_an_end_inside_the_body_of_an_answered_request_ends_the_connection() -> None:
    client = serve(Answers())
    client.send(POST + b"abc")
    assert response(client).status == 200
    client.end()
    assert client.closed
    assert client.received() == b""
    assert [entry.status for entry in client.access] == [200]


def test_lingering_reads_on_where_reading_was_paused() -> None:
    """So that the peer gets its answer, and its end is seen."""
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        raise ValueError

    client = serve(app, max_app_queue_size=1)
    client.send(POST)
    client.send(b"a")
    assert client.paused
    client.send(b"b")
    go.set()
    assert response(client).status == 500
    assert not client.paused
    client.end()
    assert client.closed


def test_a_refusal_that_a_slow_peer_reads_lingers_afterwards() -> None:
    """The answer comes first, however large what lies before it; then the time to linger begins."""
    client = serve(Answers(start(), body(b"x" * 200_000)), max_unread_body=65536)
    client.stop_reading()
    client.send(request("/", "content-length: 100000", method="POST"))
    client.advance(50)
    assert not client.closed
    data = client.read()
    assert data.endswith(b"x")
    assert client.half_closed
    client.advance(1.9)
    assert not client.closed
    client.advance(0.11)
    assert client.closed
    assert not client.aborted
