"""The checks of `validate_app`: what each rule refuses, what it leaves alone, and that nothing of it runs when off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hypercorn.asgi.validate import ASGIValidator, validated
from hypercorn.asgi.wsgi import WSGIWrapper
from hypercorn.config import Config
from hypercorn.errors import SpecificationError
from hypercorn.testing import MemoryServer, TestServer, connect

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"x"}
ACCEPT = {"type": "websocket.accept"}
HTTP: dict[str, Any] = {"type": "http", "method": "GET", "extensions": {"http.response.trailers": {}}}
WEBSOCKET = {"type": "websocket", "subprotocols": ["chat"], "extensions": {"websocket.http.response": {}}}
LIFESPAN = {"type": "lifespan"}


def run(scope: dict[str, Any], *messages: Any, received: tuple[str, ...] = ()) -> list[Any]:
    """Has an application receive, then send these messages. Returns what came through, and the error last."""
    through: list[Any] = []
    events = list(received)

    async def receive() -> dict[str, Any]:
        return {"type": events.pop(0)}

    async def send(message: Any) -> None:
        through.append(message)

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        for _ in received:
            await receive()
        for message in messages:
            await send(message)

    call = ASGIValidator(app)(scope, receive, send)
    try:
        call.send(None)
    except StopIteration:
        pass
    except SpecificationError as error:
        through.append(error)
    return through


GOOD = [
    (HTTP, (START, BODY)),
    (HTTP, (START, {**BODY, "more_body": True}, {"type": "http.response.body"})),
    (HTTP, ({**START, "headers": ((b"content-length", b"1"),)}, BODY)),
    (HTTP, ({**START, "headers": ([name, b"v"] for name in (b"a", b"b"))}, BODY)),
    (HTTP, ({**START, "more": {"of": ["an", 1, 2.5, None, True, (b"extension",)]}}, {**BODY, "body": bytearray(b"x")})),
    (HTTP, ({**START, "trailers": True}, BODY, {"type": "http.response.trailers", "headers": [(b"a", b"b")]})),
    ({**HTTP, "method": "HEAD"}, ({**START, "headers": [(b"content-length", b"9")]}, {"type": "http.response.body"})),
    (HTTP, ({**START, "status": 304, "headers": [(b"content-length", b"9")]}, {"type": "http.response.body"})),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.send", "text": "a", "bytes": None}, {"type": "websocket.close"})),
    (WEBSOCKET, ({**ACCEPT, "subprotocol": "chat"}, {"type": "websocket.send", "bytes": b""})),
    (WEBSOCKET, ({"type": "websocket.close", "code": 4000, "reason": "no"},)),
    (WEBSOCKET, ({**START, "type": "websocket.http.response.start"}, {**BODY, "type": "websocket.http.response.body"})),
]


@pytest.mark.parametrize(("scope", "messages"), GOOD)
def test_what_is_allowed_passes_unchanged(scope: dict[str, Any], messages: tuple[Any, ...]) -> None:
    through = run(scope, *messages)
    assert len(through) == len(messages)
    assert all(one is other for one, other in zip(through, messages, strict=True))


BAD = [
    (HTTP, (), "response before its start", '"Applications"'),
    (HTTP, ([],), "of type list", '"Events"'),
    (HTTP, ({},), '"type" of a message is missing', '"Events"'),
    (HTTP, ({"type": b"http.response.start"},), "of type bytes", '"Events"'),
    (HTTP, ({**START, "x": object()},), '"x" of http.response.start is of type object', '"Events"'),
    (HTTP, ({**START, "x": {1: 2}},), "has a key that is of type int", '"Events"'),
    (HTTP, ({**START, "x": 1 << 63},), "does not fit into 64 bits", '"Events"'),
    (HTTP, ({**START, "x": {1, 2}},), "of type set", '"Events"'),
    (HTTP, (BODY,), "came before its start", '"Response Body'),
    (HTTP, (START,), "in its body", '"Applications"'),
    (HTTP, (START, START), "came in its body", '"Response Start'),
    (HTTP, (START, BODY, BODY), "came after its end", '"Response Body'),
    (HTTP, ({**START, "status": "200"},), "of type str", '"Response Start'),
    (HTTP, ({**START, "status": True},), "of type bool", '"Response Start'),
    (HTTP, ({"type": "http.response.start"},), "is missing", '"Response Start'),
    (HTTP, ({**START, "status": 103},), "103", "section 15"),
    (HTTP, ({**START, "headers": {b"a": b"b"}},), "of type dict", '"Response Start'),
    (HTTP, ({**START, "headers": [(b"a", b"b", b"c")]},), "A header is", '"Response Start'),
    (HTTP, ({**START, "headers": [b"ab"]},), "A header is", '"Response Start'),
    (HTTP, ({**START, "headers": [("a", b"b")]},), "A header is", '"Response Start'),
    (HTTP, ({**START, "headers": [(b"A", b"b")]},), "not in lower case", '"Response Start'),
    (HTTP, ({**START, "headers": [(b":status", b"200")]},), "pseudo header", '"Response Start'),
    (HTTP, ({**START, "trailers": 1},), "of type int", '"HTTP Trailers"'),
    (HTTP, (START, {**BODY, "body": "x"}), "The body is of type str", '"Response Body'),
    (HTTP, (START, {**BODY, "more_body": 0}), '"more_body" is of type int', '"Response Body'),
    (HTTP, ({**START, "headers": [(b"content-length", b"2")]}, BODY), "1 bytes, Content-Length says 2", "8.6"),
    (HTTP, ({**START, "headers": [(b"content-length", b"0")]}, BODY), "1 bytes, Content-Length says 0", "8.6"),
    (HTTP, ({**START, "headers": [(b"content-length", b"-1")]},), "Content-Length is", "8.6"),
    (HTTP, ({**START, "headers": [(b"content-length", b"1"), (b"content-length", b"2")]},), "Content-Length is", "8.6"),
    (HTTP, ({**START, "status": 204}, BODY), "204 response has a body of 1 bytes", "15.3.5"),
    (HTTP, (START, BODY, {"type": "http.response.trailers"}), "came after its end", '"HTTP Trailers"'),
    (HTTP, ({**START, "trailers": True}, BODY), "after its body", '"Applications"'),
    ({**HTTP, "extensions": None}, ({**START, "trailers": True},), "not offered", '"Extensions"'),
    (HTTP, ({"type": "http.response.push", "path": "/"},), "http.response.push is not offered", '"Extensions"'),
    (HTTP, (START, {"type": "http.response.pathsend", "path": "/x"}), "pathsend is not offered", '"Extensions"'),
    (HTTP, ({"type": "websocket.accept"},), "no message of an HTTP response", '"HTTP"'),
    (WEBSOCKET, (), "before its handshake was answered", '"Connect'),
    (WEBSOCKET, ({"type": "websocket.send", "text": ""},), "before its handshake", '"Accept'),
    (WEBSOCKET, (ACCEPT, ACCEPT), "came open", '"Accept'),
    (WEBSOCKET, ({**ACCEPT, "subprotocol": "other"},), "was not offered", '"Accept'),
    (WEBSOCKET, ({**ACCEPT, "headers": [(b"sec-websocket-protocol", b"chat")]},), "names the subprotocol", '"Accept'),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.send"}), "neither", '"Send'),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.send", "text": "", "bytes": b""}), "both", '"Send'),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.send", "text": b""}), "of type bytes", '"Send'),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.send", "bytes": ""}), "of type str", '"Send'),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.close"}, {"type": "websocket.close"}), "after it was closed", '"Close'),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.close", "code": 1006}), "1006", "7.4"),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.close", "code": "1000"}), "of type str", "7.4"),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.close", "reason": "ä" * 62}), "124 bytes", "5.5"),
    (WEBSOCKET, (ACCEPT, {"type": "websocket.close", "reason": b""}), "of type bytes", "5.5"),
    (WEBSOCKET, (ACCEPT, {**START, "type": "websocket.http.response.start"}), "came open", '"Denial'),
    (WEBSOCKET, ({**START, "type": "websocket.http.response.start"},), "in its body", '"Denial'),
    ({**WEBSOCKET, "extensions": {}}, ({**START, "type": "websocket.http.response.start"},), "not offered", '"Ext'),
    (WEBSOCKET, ({"type": "http.response.start"},), "no message of a WebSocket", '"WebSocket"'),
    (LIFESPAN, ({"type": "lifespan.startup.complete"},), "does not answer an event", '"Lifespan Protocol"'),
]


@pytest.mark.parametrize(("scope", "messages", "what", "section"), BAD)
def test_what_breaks_a_rule_is_told_with_its_section(
    scope: dict[str, Any], messages: tuple[Any, ...], what: str, section: str
) -> None:
    *through, error = run(scope, *messages)
    assert isinstance(error, SpecificationError)
    assert what in str(error)
    assert section in str(error)
    assert all(one is other for one, other in zip(through, messages, strict=False))  # what came before did pass
    assert len(through) in (len(messages), len(messages) - 1)


def test_a_lifespan_is_answered_by_its_own_messages() -> None:
    complete = {"type": "lifespan.startup.complete"}
    assert run(LIFESPAN, complete, received=("lifespan.startup",)) == [complete]
    assert run(LIFESPAN, received=("lifespan.startup",)) == []  # served without one, unless lifespan = "on"
    for messages, what in (
        ([{"type": "lifespan.shutdown.complete"}], "does not answer lifespan.startup"),
        ([complete, complete], "does not answer an event"),
        ([{"type": "lifespan.startup.failed", "message": b""}], "of type bytes"),
    ):
        assert what in str(run(LIFESPAN, *messages, received=("lifespan.startup",))[-1])


def test_whoever_is_told_of_a_disconnect_may_return() -> None:
    assert run(HTTP, received=("http.disconnect",)) == []
    assert run(HTTP, START, received=("http.disconnect",)) == [START]
    assert run(WEBSOCKET, received=("websocket.connect", "websocket.disconnect")) == []


async def swallows(scope: Any, receive: Any, send: Any) -> None:
    """A framework that catches what a handler raises."""
    assert scope["type"] == "http"
    await send(START)
    try:
        await send({"type": "http.response.body", "body": "text"})
    except Exception:
        await send(BODY)


def test_a_mistake_that_is_caught_is_still_logged() -> None:
    client = connect(swallows)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.received().endswith(b"\r\n\r\nx")
    assert "The body is of type str" in str(client.errors[-1].error)


def test_a_mistake_before_the_response_is_answered_by_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"X-Upper", b"1")]})

    client = connect(app)
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 500 ")
    assert "not in lower case" in str(client.errors[-1].error)


def test_it_is_off_unless_asked_for() -> None:
    server = MemoryServer(swallows, Config())
    assert server.context.app is swallows
    client = server.connect()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert [str(entry.error) for entry in client.errors] == []
    assert MemoryServer(swallows).context.app is not swallows


def test_a_lifespan_that_breaks_a_rule_keeps_the_server_from_starting() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.done"})

    with pytest.raises(Exception, match="does not answer lifespan"), TestServer(app):
        pass


def test_wsgi_applications_are_checked_by_the_standard_library() -> None:
    def app(environ: Any, start_response: Any) -> list[Any]:
        start_response("200", [("Content-Type", "text/plain")])
        return [b"x"]

    checked = validated(WSGIWrapper(app, 1))
    assert isinstance(checked, WSGIWrapper)
    assert checked.max_body_size == 1
    with pytest.raises(AssertionError):
        checked.app({}, lambda *_: None)
