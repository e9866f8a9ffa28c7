"""Applications that fail, in every state: one answer, one log record, and the server goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.harness import EAGERNESS, GET, Answers, body, request, response, responses, serve, start

from hypercorn.testing import Cancelled, Event, sleep

POST = request("/", "content-length: 6", method="POST")
ERRORS = [
    pytest.param(ValueError("x"), id="ValueError"),
    pytest.param(SystemExit(3), id="SystemExit"),
    pytest.param(StopIteration("x"), id="APP-08-StopIteration"),
    pytest.param(StopAsyncIteration("x"), id="StopAsyncIteration"),
    pytest.param(ConnectionResetError("a database"), id="ConnectionResetError"),
    pytest.param(TimeoutError("x"), id="TimeoutError"),
    pytest.param(MemoryError(), id="MemoryError"),
    pytest.param(RecursionError(), id="RecursionError"),
]
# A cancellation that the server has not caused is an error as well: nobody else would tell of the 500.
CANCELLATIONS = [
    pytest.param(Cancelled(), id="Cancelled"),
    pytest.param(asyncio.CancelledError("why"), id="APP-14-CancelledError"),
]
SILENT = [pytest.param(GeneratorExit(), id="GeneratorExit")]


class Raises:
    """Raises `error` after some messages, at once or after it was suspended."""

    def __init__(self, error: BaseException, *messages: Any, late: bool = False) -> None:
        self.error = error
        self.messages = messages
        self.late = late

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await Answers()(scope, receive, send)
            return
        for message in self.messages:
            await send(message)
        if self.late:
            await sleep(1)
        raise self.error


@EAGERNESS
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("messages", [[], [start(headers=[(b"x-mine", b"1")])]], ids=["before", "head-kept"])
@pytest.mark.parametrize("error", ERRORS + CANCELLATIONS + SILENT)
def test_an_error_before_anything_was_sent(error: BaseException, messages: list[Any], late: bool, eager: bool) -> None:
    """H1-19: a whole 500 that announces the close; one log record with the error."""
    client = serve(Raises(error, *messages, late=late), eager=eager)
    other = client.server.connect()
    client.send(GET + GET)
    client.advance(1)
    found = response(client)
    assert (found.status, found.get(b"connection"), found.framing) == (500, b"close", "length")
    assert found.get(b"x-mine") is None
    assert client.half_closed or client.closed
    client.advance(2)
    assert client.closed
    expected = 0 if isinstance(error, GeneratorExit) else 1
    assert [entry.level for entry in client.errors] == ["error"] * expected
    if expected:
        logged = client.errors[0].error
        assert logged is error or isinstance(logged, RuntimeError)  # PEP 479
        assert "GET /" in client.errors[0].text
    assert [(entry.status, entry.body_bytes) for entry in client.access] == [(500, len(found.body))]
    other.send(request("/good"))
    assert response(other).status == 200


@EAGERNESS
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize(
    ("version", "headers"),
    [
        pytest.param("1.1", [], id="chunked"),
        pytest.param("1.1", [(b"content-length", b"10")], id="length"),
        pytest.param("1.0", [], id="http10-close"),
        pytest.param("1.0", [(b"content-length", b"10")], id="http10-length"),
    ],
)
@pytest.mark.parametrize("error", [ERRORS[0], CANCELLATIONS[0], None])
def test_an_error_after_the_head(
    error: BaseException | None, version: str, headers: list[Any], late: bool, eager: bool
) -> None:
    """H1-19: no second head, no terminator: the client can tell that the response is not whole."""

    async def returns(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=headers))
        await send(body(b"half", more=True))
        if late:
            await sleep(1)

    app: Any = returns if error is None else Raises(error, start(headers=headers), body(b"half", more=True), late=late)
    client = serve(app, eager=eager)
    client.send(request(version=version) + GET)
    client.advance(1)
    data = client.received()
    assert data.count(b"HTTP/1.1 ") <= 1
    assert b"0\r\n\r\n" not in data
    assert client.closed
    if version == "1.0" and not headers:
        assert client.aborted  # a polite end would pass for the end of the body
    else:
        assert b"half" in data
    assert len(client.errors) == 1
    assert [(entry.status, entry.body_bytes) for entry in client.access] == [(200, 4)]


def test_a_stream_that_ends_because_its_client_has_left_is_no_error() -> None:
    """A browser that leaves a stream of events says so by closing its side: the application is told, and returns."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"data: 1", more=True))
        while (await receive())["type"] != "http.disconnect":
            continue

    client = serve(app)
    client.send(GET)
    assert b"data: 1" in client.received()
    client.end()
    assert client.closed
    assert client.errors == []


def test_an_error_after_the_response_is_logged_and_harms_nothing() -> None:
    client = serve(Raises(ValueError("x"), start(), body(b"ok"), late=True))
    client.send(GET + GET)
    client.advance(2)
    assert [found.body for found in responses(client)] == [b"ok", b"ok"]
    assert not client.closed
    assert len(client.errors) == 2
    assert [entry.status for entry in client.access] == [200, 200]


def test_an_error_inside_an_upload_lets_the_client_read_the_answer() -> None:
    """The rest of the body is neither parsed nor in the way."""
    client = serve(Raises(ValueError("x")))
    client.send(POST + b"abc")
    assert response(client).status == 500
    assert client.half_closed
    assert not client.closed
    client.send(b"def" + request("/good"))
    assert client.received() == b""
    client.advance(2)
    assert client.closed


def test_a_response_to_head_that_breaks_off() -> None:
    client = serve(Raises(ValueError("x")))
    client.send(request(method="HEAD"))
    found = response(client, "HEAD")
    assert (found.status, found.body) == (500, b"")
    assert client.access[0].body_bytes == 0


# -- applications that are no coroutine functions


def test_an_application_that_raises_before_it_is_awaited() -> None:
    def app(scope: Any, receive: Any, send: Any) -> Any:
        raise ValueError("no coroutine yet")

    client = serve(app)
    client.send(GET)
    assert response(client).status == 500
    assert [str(entry.error) for entry in client.errors] == ["no coroutine yet"]


def test_stop_iteration_from_a_plain_function_is_an_error() -> None:
    """APP-08: it must not pass for the end of the call."""

    def app(scope: Any, receive: Any, send: Any) -> Any:
        raise StopIteration

    client = serve(app)
    client.send(GET)
    assert response(client).status == 500
    assert [type(entry.error) for entry in client.errors] == [RuntimeError]


@pytest.mark.parametrize("result", [None, 5, "text"])
def test_an_application_that_gives_no_awaitable(result: Any) -> None:
    def app(scope: Any, receive: Any, send: Any) -> Any:
        return result

    client = serve(app)
    client.send(GET)
    assert response(client).status == 500
    assert len(client.errors) == 1


def test_an_application_may_give_any_awaitable() -> None:
    class Call:
        def __init__(self, coroutine: Any) -> None:
            self.coroutine = coroutine

        def __await__(self) -> Any:
            return self.coroutine.__await__()

    def app(scope: Any, receive: Any, send: Any) -> Any:
        return Call(Answers()(scope, receive, send))

    client = serve(app)
    client.send(GET)
    assert response(client).body == b"ok"


def test_an_application_that_awaits_the_wrong_loop_fails_alone() -> None:
    class Foreign:
        def __await__(self) -> Any:
            yield "something that no loop knows"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Foreign()

    client = serve(app)
    client.send(GET)
    assert response(client).status == 500
    assert len(client.errors) == 1


# -- calls that are cancelled from outside


@EAGERNESS
@pytest.mark.parametrize("where", ["not-started", "receive", "sleep", "send"])
def test_a_cancelled_call(where: str, eager: bool) -> None:
    """As at the end of the server: quiet, and the exchange is over."""
    if where == "not-started" and eager:
        where = "receive"  # an eager call has always started

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if where == "receive":
            await receive()
            await receive()
        elif where == "sleep":
            await sleep(1000)
        elif where == "send":
            await send(start())
            while True:
                await send(body(b"x" * 50_000, more=True))

    client = serve(app, eager=eager)
    client.stop_reading()
    if where == "not-started":
        client.transport.deliver(GET)
    else:
        client.send(GET)
    ((call, task),) = client.runtime.calls.items()
    client.runtime.cancel(call)
    if where == "not-started":
        client.runtime.ready.rotate(1)  # ahead of the first step
    client.runtime.run()
    assert task.done
    assert isinstance(task.error, Cancelled)
    assert client.errors == []
    client.start_reading()
    if where == "send":
        assert client.closed
    else:
        assert response(client).status == 500
    assert [entry.status for entry in client.access] == [200 if where == "send" else 500]


def test_an_application_may_refuse_its_cancellation() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await sleep(1000)
        except Cancelled:
            await send(start())
            await send(body(b"still here"))

    client = serve(app)
    client.send(GET)
    (task,) = client.runtime.tasks
    task.cancel()
    assert response(client).body == b"still here"
    assert task.error is None


def test_disconnect_and_cancellation_together() -> None:
    """APP-14: neither hides the other, and nothing is logged."""
    go = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await go.wait()
        finally:
            await send(start())

    client = serve(app)
    client.send(GET)
    ((call, task),) = client.runtime.calls.items()
    client.runtime.cancel(call)
    client.transport.shut()
    client.runtime.run()
    assert task.done
    assert client.errors == []
    assert len(client.access) == 1
