"""Server push (RFC 9113 section 8.4) by `http.response.push`. Labels: C, G10, Q-H2-14."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import EAGERNESS
from tests.support.http2 import GET, H2, POST, PREFACE, SETTINGS_ACK, Fields, data, headers, reset, settings

from hypercorn.testing import sleep

NO_PUSH = PREFACE + settings((2, 0)) + SETTINGS_ACK


class Pushes:
    """Pushes `paths` from "/", and answers every path with its name, "/slow" late."""

    def __init__(self, *paths: str, fields: Fields | None = None) -> None:
        self.paths = paths
        self.fields = fields or []
        self.scopes: list[Any] = []
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["path"] == "/" and "http.response.push" in scope["extensions"]:
            for path in self.paths:
                try:
                    await send({"type": "http.response.push", "path": path, "headers": self.fields})
                except (TypeError, ValueError) as error:
                    self.errors.append(error)
        if "slow" in scope["path"]:
            await sleep(10)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


@EAGERNESS
def test_q_h2_14_a_promise_and_its_response(eager: bool) -> None:
    app = Pushes("/style.css?v=1", fields=[(b"Accept", b"text/css")])
    h2 = H2(app, eager=eager)
    h2.send(headers(1))
    assert h2.answer().body == b"/"
    (promised,) = h2.reader.promised
    assert promised == 2
    assert h2.reader.promised[2] == (
        1,
        [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"a"),
            (b":path", b"/style.css?v=1"),
            (b"accept", b"text/css"),
        ],
    )
    answer = h2.answer(2)
    assert (answer.status, answer.body, answer.ended) == (200, b"/style.css", True)
    assert answer.get(b"date")
    scope = app.scopes[1]
    assert (scope["method"], scope["path"], scope["query_string"]) == ("GET", "/style.css", b"v=1")
    assert scope["headers"] == [(b"host", b"a"), (b"accept", b"text/css")]
    assert "http.response.push" not in scope["extensions"]
    assert h2.connection.streams == {}
    assert h2.connection.pushes.open == 0
    assert h2.connection.requests == 1  # a promise is no request of the client's


def test_the_promise_comes_ahead_of_what_refers_to_it() -> None:
    h2 = H2(Pushes("/a"))
    h2.send(headers(1))
    kinds = [(each.kind, each.stream) for each in h2.reader.frames if each.kind in (0, 1, 5)]
    assert kinds.index((5, 1)) < kinds.index((0, 1))
    assert kinds.index((5, 1)) < kinds.index((1, 2))


def test_g10_a_client_that_wants_none() -> None:
    app = Pushes("/a")
    h2 = H2(app, start=NO_PUSH)
    h2.send(headers(1))
    assert "http.response.push" not in app.scopes[0]["extensions"]
    assert h2.reader.promised == {}


def test_a_client_that_changes_its_mind_in_between() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        while (await receive())["type"] != "http.disconnect":
            await send({"type": "http.response.push", "path": "/a"})

    h2 = H2(app)
    h2.send(headers(1, POST, False), data(1, b"a"))
    h2.send(settings((2, 0)), data(1, b"b"))
    assert h2.reader.promised == {}


@pytest.mark.parametrize(("allowed", "promised"), [(0, 0), (1, 1), (2, 2)])
def test_no_more_than_the_client_takes_at_once(allowed: int, promised: int) -> None:
    h2 = H2(Pushes("/slow1", "/slow2", "/slow3"), start=PREFACE + settings((3, allowed)) + SETTINGS_ACK)
    h2.send(headers(1))
    assert len(h2.reader.promised) == promised
    h2.advance(11)
    h2.send(headers(3))
    assert len(h2.reader.promised) == 2 * promised


def test_h2_18_pushes_do_not_take_the_clients_places() -> None:
    h2 = H2(Pushes("/slow1", "/slow2"), h2_max_concurrent_streams=2)
    h2.send(headers(1))
    assert h2.connection.pushes.open == 2
    h2.send(headers(3), headers(5))
    assert h2.answer(5).status == 200
    assert h2.connection.pushes.open == 2  # bounded by the server's own limit


def test_a_push_that_the_client_refuses() -> None:
    h2 = H2(Pushes("/slow"), h2_max_resets=1, h2_ping_interval=None)
    for number in range(1, 41, 2):
        h2.send(headers(number))
        h2.send(reset(max(h2.reader.promised)))
    assert h2.connection.pushes.open == 0
    h2.advance(1)
    assert not h2.server.runtime.tasks
    assert h2.goaway is None  # not the client's fault
    assert h2.client.errors == []


BAD = {
    "a pseudo field": ("/a", [(b":path", b"/b")]),
    "a line break": ("/a", [(b"x", b"a\r\nb")]),
    "te": ("/a", [(b"te", b"gzip")]),
    "a body": ("/a", [(b"content-length", b"5")]),
    "not a path": ("a", []),
    "a name that is none": ("/a", [(b"a b", b"c")]),
}


@pytest.mark.parametrize("bad", BAD)
def test_requests_that_no_client_could_make(bad: str) -> None:
    path, fields = BAD[bad]
    app = Pushes(path, fields=fields)
    h2 = H2(app)
    h2.send(headers(1))
    assert len(app.errors) == 1
    assert h2.reader.promised == {}
    assert h2.answer().status == 200


def test_a_path_is_escaped_once() -> None:
    h2 = H2(Pushes("/\u00e9 %20\r\n#"))
    h2.send(headers(1))
    assert dict(h2.reader.promised[2][1])[b":path"] == b"/%C3%A9%20%20%0D%0A%23"


def test_none_while_the_connection_drains() -> None:
    h2 = H2(Pushes("/a"), keep_alive_max_requests=1)
    h2.send(headers(1))
    assert h2.answer().status == 200
    assert h2.reader.promised == {}


def test_other_versions_have_none() -> None:
    app = Pushes("/a")
    h2 = H2(app, start=b"")
    h2.client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"200 OK" in h2.client.received()
    assert "http.response.push" not in app.scopes[0]["extensions"]


def test_a_promise_behind_the_response_is_out_of_place() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        try:
            await send({"type": "http.response.push", "path": "/a", "headers": []})
        except Exception as error:
            raised.append(type(error).__name__)

    raised: list[str] = []
    h2 = H2(app)
    h2.send(headers(1, GET))
    assert raised == ["UnexpectedMessageError"]
    assert h2.reader.promised == {}
