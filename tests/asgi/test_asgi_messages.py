"""The messages between server and application: what `receive` gives when, and what `send` takes."""

from __future__ import annotations

import collections.abc
from typing import Any

import pytest
from tests.support.harness import (
    EAGERNESS,
    GET,
    Answers,
    Message,
    Reads,
    body,
    request,
    response,
    responses,
    serve,
    start,
)

from hypercorn.errors import UnexpectedMessageError
from hypercorn.testing import Cancelled, Event, sleep, start_task

POST = request("/", "content-length: 6", method="POST")
CHUNKED = request("/", "transfer-encoding: chunked", method="POST")


# -- receive


@EAGERNESS
def test_the_body_arrives_in_pieces(eager: bool) -> None:
    reads = Reads()
    client = serve(reads, eager=eager)
    client.send(POST)
    client.send(b"abc")
    client.send(b"def")
    assert reads.seen[0] == [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.request", "body": b"def", "more_body": False},
    ]
    assert response(client).body == b"6"


@EAGERNESS
@pytest.mark.parametrize("data", [GET, request(method="POST", body=b"")], ids=["none", "empty"])
def test_a_request_without_body_is_one_message(eager: bool, data: bytes) -> None:
    reads = Reads()
    client = serve(reads, eager=eager)
    client.send(data)
    assert reads.seen == [[{"type": "http.request", "body": b"", "more_body": False}]]


def test_the_end_of_a_chunked_body_may_come_alone() -> None:
    reads = Reads()
    client = serve(reads)
    client.send(CHUNKED + b"3\r\nabc\r\n")
    client.send(b"0\r\n\r\n")
    assert [(message["body"], message["more_body"]) for message in reads.seen[0]] == [(b"abc", True), (b"", False)]
    assert response(client).body == b"3"


def test_pieces_that_wait_are_joined() -> None:
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app)
    client.send(POST)
    for byte in b"abcdef":
        client.send(bytes([byte]))
    go.set()
    assert response(client).body == b"6"
    assert len(reads.seen[0]) == 1


def test_receive_after_the_body_waits_for_the_end_of_the_exchange() -> None:
    """APP-06: it neither spins nor gives an empty message; after the response it says so at once."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while True:
                message = await receive()
                seen.append(message["type"])
                if message["type"] == "http.disconnect":
                    return

        watcher = start_task(watch())
        await sleep(1)
        assert seen == ["http.request"]
        await send(start())
        await send(body(b"ok"))
        await watcher
        seen.append((await receive())["type"])

    client = serve(app)
    client.send(GET)
    client.advance(0.9)
    assert seen == ["http.request"]
    client.advance(0.1)
    assert seen == ["http.request", "http.disconnect", "http.disconnect"]
    assert response(client).status == 200
    assert client.errors == []


def test_the_rest_of_the_body_is_not_given_after_the_response() -> None:
    seen: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"ok"))
        seen.append(await receive())

    client = serve(app)
    client.send(POST + b"abc")
    assert seen == [{"type": "http.disconnect"}]


@EAGERNESS
def test_a_cancelled_receive_loses_no_message(eager: bool) -> None:
    """N4, APP-06: the cancellation reaches the canceller, and the next call gets what came."""
    reads = Reads()
    cancelled: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            task = start_task(once(receive))
            await sleep(1)
            task.cancel()
            try:
                await task
            except Cancelled:
                cancelled.append(True)
        await reads(scope, receive, send)

    async def once(receive: Any) -> Message:
        message: Message = await receive()
        return message

    client = serve(app, eager=eager)
    client.send(POST)
    client.advance(3)
    client.send(b"abcdef")
    assert cancelled == [True] * 3
    assert reads.body() == b"abcdef"
    assert response(client).body == b"6"


def test_a_receive_cancelled_in_the_step_that_its_message_came_loses_nothing() -> None:
    reads = Reads()
    results: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def once() -> Any:
            return await receive()

        task = start_task(once())
        await sleep(1)
        task.cancel()  # queued ahead of the body, which the same turn brings
        await sleep(1)
        results.append((task.value, type(task.error)))
        if task.value is None:
            await reads(scope, receive, send)
        else:
            await send(start())
            await send(body(b"%d" % len(task.value["body"])))

    client = serve(app)
    client.send(POST)
    client.runtime.advance(0.5)
    client.runtime.call_at(client.runtime.now() + 0.5, lambda: client.transport.deliver(b"abcdef"))
    client.advance(2)
    assert response(client).body == b"6"
    assert len(results) == 1


@EAGERNESS
def test_two_tasks_in_receive_share_the_messages(eager: bool) -> None:
    got: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def reader() -> None:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                got.append(message["body"])
                if not message["more_body"]:
                    await send(start())
                    await send(body(b"ok"))

        tasks = [start_task(reader()) for _ in range(2)]
        for task in tasks:
            await task

    client = serve(app, eager=eager)
    client.send(POST)
    for piece in (b"a", b"bc", b"def"):
        client.send(piece)
    assert sorted(got, key=len) == [b"a", b"bc", b"def"]
    assert response(client).status == 200


def test_receive_and_send_give_coroutines() -> None:
    """They can be handed to whatever takes a coroutine: create_task, wait_for, gather."""
    kinds: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting, waiters = receive(), receive()
        sending = send(start())
        for one in (waiting, waiters, sending):
            kinds.append(isinstance(one, collections.abc.Coroutine) and isinstance(one, collections.abc.Awaitable))
        task = start_task(waiting)
        await start_task(sending)
        assert await task == {"type": "http.request", "body": b"", "more_body": False}
        waiters.close()  # as an unused coroutine may be
        await send(body(b"ok"))

    client = serve(app)
    client.send(GET)
    assert response(client).body == b"ok"
    assert kinds == [True] * 3
    assert client.errors == []


# -- send: what is refused

BAD = [
    pytest.param([body(b"x")], UnexpectedMessageError, id="APP-03-body-first"),
    pytest.param([start(), start()], UnexpectedMessageError, id="APP-03-start-twice"),
    pytest.param([{"type": "http.nonsense"}], UnexpectedMessageError, id="APP-03-unknown"),
    pytest.param([{"type": "websocket.send", "text": "x"}], UnexpectedMessageError, id="APP-03-other-protocol"),
    pytest.param([{"type": "http.response.trailers", "headers": []}], UnexpectedMessageError, id="APP-04-trailers"),
    pytest.param(
        [start(), {"type": "http.response.trailers", "headers": []}],
        UnexpectedMessageError,
        id="APP-04-trailers-not-announced",
    ),
    pytest.param([{}], UnexpectedMessageError, id="no-type"),
    pytest.param([None], TypeError, id="none"),
    pytest.param(["http.response.start"], TypeError, id="text"),
    pytest.param([[("type", "http.response.start")]], TypeError, id="pairs"),
    pytest.param([start("200")], ValueError, id="APP-02-status-text"),
    pytest.param([start(199)], ValueError, id="APP-02-status-interim"),
    pytest.param([start(1000)], ValueError, id="APP-02-status-large"),
    pytest.param([start(200.0)], ValueError, id="APP-02-status-float"),
    pytest.param([start(True)], ValueError, id="APP-02-status-bool"),
    pytest.param([start(headers=[("x", "y")])], TypeError, id="APP-05-text"),
    pytest.param([start(headers=[(b"x", "y")])], TypeError, id="APP-05-text-value"),
    pytest.param([start(headers=[b"xy"])], TypeError, id="APP-05-no-pair"),
    pytest.param([start(headers=[(b"x", b"y", b"z")])], TypeError, id="APP-05-triple"),
    pytest.param([start(headers=[(b"x", 1)])], TypeError, id="APP-05-number"),
    pytest.param([start(headers=None)], TypeError, id="APP-05-none"),
    pytest.param([start(headers={b"x": b"y"})], TypeError, id="APP-05-mapping"),
    pytest.param([start(headers=[(b"x", b"a\r\nset-cookie: b")])], ValueError, id="APP-01-crlf"),
    pytest.param([start(headers=[(b"x", b"a\nb")])], ValueError, id="APP-01-lf"),
    pytest.param([start(headers=[(b"x", b"a\rb")])], ValueError, id="APP-01-cr"),
    pytest.param([start(headers=[(b"x", b"a\0b")])], ValueError, id="APP-01-nul"),
    pytest.param([start(headers=[(b"x\r\ny", b"z")])], ValueError, id="APP-01-name-crlf"),
    pytest.param([start(headers=[(b"x y", b"z")])], ValueError, id="APP-01-name-space"),
    pytest.param([start(headers=[(b"x:", b"z")])], ValueError, id="APP-01-name-colon"),
    pytest.param([start(headers=[(b"", b"z")])], ValueError, id="Q-H1-12-name-empty"),
    pytest.param([start(headers=[(b":status", b"200")])], ValueError, id="APP-01-pseudo"),
    pytest.param([start(headers=[(b"x\xe9", b"z")])], ValueError, id="APP-01-name-latin1"),
    pytest.param([start(headers=[(b"content-length", b"+5")])], ValueError, id="length-sign"),
    pytest.param([start(headers=[(b"content-length", b"5"), (b"content-length", b"6")])], ValueError, id="two-lengths"),
    pytest.param([start(), body("text")], TypeError, id="body-text"),  # type: ignore[arg-type]  # the point of it
    pytest.param([start(), body(None)], TypeError, id="body-none"),  # type: ignore[arg-type]  # the point of it
    pytest.param([start(), body(5)], TypeError, id="body-number"),  # type: ignore[arg-type]  # the point of it
]


@pytest.mark.parametrize(("messages", "error"), BAD)
@EAGERNESS
def test_a_bad_message_raises_in_the_application(messages: list[Any], error: type[Exception], eager: bool) -> None:
    """Let through it is a 500 with one log record; nothing of it reaches the wire, and the server lives on."""
    raised: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/good":
            await Answers()(scope, receive, send)
            return
        try:
            for message in messages:
                await send(message)
        except Exception as problem:
            raised.append(problem)
            raise

    client = serve(app, eager=eager)
    other = client.server.connect()
    client.send(GET)
    data = client.received()
    assert [type(problem) for problem in raised] == [error]
    assert data.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"set-cookie" not in data
    assert data.count(b"HTTP/1.1") == 1
    assert client.closed
    assert [entry.error for entry in client.errors] == raised
    assert [entry.status for entry in client.access] == [500]
    other.send(request("/good"))
    assert response(other).status == 200


@pytest.mark.parametrize(("messages", "error"), BAD)
def test_an_application_may_catch_it_and_answer(messages: list[Any], error: type[Exception]) -> None:
    """A refused message changes nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        started = False
        for message in messages:
            try:
                await send(message)
                started = True
            except error:
                pass
        if not started:
            await send(start(418))
        await send(body(b"caught"))

    client = serve(app)
    client.send(GET)
    found = response(client)
    assert (found.status, found.body) == (200 if len(messages) > 1 else 418, b"caught")
    assert client.errors == []


@pytest.mark.parametrize("late", [start(), body(b"x"), {"type": "http.response.trailers", "headers": []}])
def test_messages_after_the_end_raise(late: Message) -> None:
    """APP-03: and the peer sees nothing of them."""
    raised: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"ok"))
        try:
            await send(late)
        except Exception as problem:
            raised.append(problem)

    client = serve(app)
    client.send(GET + GET)
    assert [found.body for found in responses(client)] == [b"ok", b"ok"]
    assert [type(problem) for problem in raised] == [UnexpectedMessageError] * 2


def test_the_error_names_message_and_state() -> None:
    """The text is known to those who search for it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(start())

    client = serve(app)
    client.send(GET)
    text = str(client.errors[0].error)
    assert text.startswith("Unexpected message type, http.response.start")
    assert "RESPONSE" in text


# -- send: what is taken


class Mine(dict):  # type: ignore[type-arg]  # any message
    """A dict of a framework's own."""


@pytest.mark.parametrize("kind", [dict, Mine, collections.OrderedDict, collections.UserDict])
def test_messages_may_be_any_mapping(kind: Any) -> None:
    client = serve(Answers())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(kind(start(headers=[(b"a", b"b")])))
        await send(kind(body(b"ok")))

    client = serve(app)
    client.send(GET)
    assert response(client).get(b"a") == b"b"


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda pairs: (pair for pair in pairs)])
def test_headers_may_be_any_iterable(kind: Any) -> None:
    """APP-05: and the access record can still read them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=kind([(b"a", b"1"), [b"b", b"2"]])))
        await send(body(b"ok"))

    client = serve(app)
    client.send(GET)
    found = response(client)
    assert (found.get(b"a"), found.get(b"b")) == (b"1", b"2")
    assert len(list(client.access[0].headers)) == 2


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bodies_may_be_any_buffer(kind: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        data = kind(b"hello")
        await send(start(headers=[(b"content-length", b"5")]))
        await send(body(data))

    client = serve(app)
    client.send(GET)
    assert response(client).body == b"hello"


def test_a_buffer_may_be_used_again() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        buffer = bytearray(b"aaa")
        await send(start())
        await send(body(buffer, more=True))
        buffer[:] = b"bbb"
        await send(body(buffer))

    client = serve(app)
    client.send(GET)
    assert response(client).body == b"aaabbb"


def test_defaults_of_messages() -> None:
    """`headers`, `body` and `more_body` may be left out."""
    client = serve(Answers({"type": "http.response.start", "status": 200}, {"type": "http.response.body"}))
    client.send(GET)
    found = response(client)
    assert (found.status, found.body, found.framing) == (200, b"", "length")


def test_a_tab_in_a_value_is_allowed() -> None:
    """APP-01."""
    client = serve(Answers(start(headers=[(b"x", b"a\tb"), (b"y", b" \xe9 ")]), body()))
    client.send(GET)
    found = response(client)
    assert (found.get(b"x"), found.get(b"y")) == (b"a\tb", b"\xe9")


def test_the_message_stays_the_applications() -> None:
    """No message is changed, so it can be sent again."""
    first, second = start(headers=[(b"content-length", b"2")]), body(b"ok")
    copies = dict(first), dict(second)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(first)
        await send(second)

    client = serve(app)
    client.send(GET + GET)
    assert len(responses(client)) == 2
    assert (first, second) == copies


# -- trailer fields of requests


@pytest.mark.parametrize("size", [0, 1], ids=["whole", "bytewise"])
def test_request_trailers_come_with_the_last_piece(size: int) -> None:
    """Q-H1-19: in the scope's extensions where there may be some, and only in that request's messages."""
    reads = Reads()
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await reads(scope, receive, send)

    client = serve(app)
    chunked = CHUNKED + b"3\r\nabc\r\n0\r\n"
    client.send(chunked + b"X-Sum: 1\r\nx-sum:  2 \r\n\r\n" + chunked + b"\r\n" + GET, size=size)
    assert [found.body for found in responses(client)] == [b"3", b"3", b"0"]
    assert ["http.request.trailers" in scope["extensions"] for scope in scopes] == [True, True, False]
    assert reads.seen[0][-1]["trailers"] == [(b"x-sum", b"1"), (b"x-sum", b"2")]
    assert reads.seen[0][-1]["more_body"] is False
    others = [message for seen in (reads.seen[0][:-1], *reads.seen[1:]) for message in seen]
    assert all("trailers" not in message for message in others)


def test_trailers_do_not_change_the_headers() -> None:
    """RFC 9110 section 6.5.1."""
    app = Answers()
    client = serve(app)
    client.send(CHUNKED + b"0\r\nx-user: admin\r\n\r\n")
    assert response(client).status == 200
    assert b"x-user" not in dict(app.scopes[0]["headers"])


@pytest.mark.parametrize("field", ["content-length: 3", "host: b", "transfer-encoding: chunked", "authorization: x"])
def test_forbidden_trailers_are_refused(field: str) -> None:
    reads = Reads()
    client = serve(reads)
    client.send(CHUNKED + f"3\r\nabc\r\n0\r\n{field}\r\n\r\n".encode() + GET)
    assert response(client).status == 400
    assert all(message.get("more_body", True) for message in reads.seen[0] if reads.seen)
