"""What an application may send, over every version of HTTP: early hints, trailers that it left out, kinds of bytes."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from tests.support.harness import Answers, body, config, http3_in_memory, read_responses, request, start
from tests.support.http2 import GET, H2, headers

from hypercorn.testing import MemoryServer

Fields = list[tuple[bytes, bytes]]
VERSIONS = pytest.mark.parametrize("version", ["1", "2", "3"], ids=["http1", "http2", "http3"])


class Seen(NamedTuple):
    """A response as the client saw it; `links` are those of its interim responses."""

    links: list[bytes]
    status: int
    headers: Fields
    body: bytes
    trailers: Fields | None
    complete: bool
    log: list[str]


def ask(version: str, *messages: dict[str, Any], times: int = 1) -> Seen:
    """The last of some responses of an application that sends these messages, to clients that take trailers."""
    app = Answers(*messages)
    if version == "1":
        client = MemoryServer(app, config()).connect()
        for _ in range(times):
            client.send(request("/", "te: trailers"))
            *interim, found = read_responses(client.received(), closed=client.closed)
        links = [value for one in interim for name, value in one.headers if name == b"link"]
        complete = found.complete and not client.closed
        log = [entry.text for entry in client.errors]
        return Seen(links, found.status, found.headers, found.body, found.trailers or None, complete, log)
    if version == "2":
        h2 = H2(app)
        for number in range(times):
            h2.send(headers(1 + 2 * number, [*GET, (b"te", b"trailers")]))
        answer = h2.answer(2 * times - 1)
        links = [value for one in answer.interim for name, value in one if name == b"link"]
        complete = answer.ended and answer.reset is None
        log = [entry.text for entry in h2.client.errors]
        return Seen(links, answer.status, answer.headers, answer.body, answer.trailers, complete, log)
    http3 = http3_in_memory()
    server = http3.Server(app)
    quic = server.client()
    for _ in range(times):
        three = quic.ask(http3.request(b"/", b"GET", (b"te", b"trailers")))
    links = [value for one in three.heads for name, value in one if name == b"link"]
    heads = [one for one in three.heads if dict(one).get(b":status") != b"103"]
    head = heads[0] if heads else []
    trailers = heads[1] if len(heads) > 1 else None
    status = int(dict(head).get(b":status", 0))
    complete = three.over and three.reset is None
    return Seen(links, status, head, bytes(three.body), trailers, complete, server.log.errors)


def hint(*links: Any) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": links}


@VERSIONS
def test_early_hints_are_taken_before_and_after_the_start(version: str) -> None:
    """They leave ahead of the response, whose head waits for its body."""
    seen = ask(
        version, hint(b"</a>"), start(headers=[(b"x-a", b"b")]), hint(b"</b>", b"</c>"), hint(b"</d>"), body(b"x")
    )
    assert seen.links == [b"</a>", b"</b>", b"</c>", b"</d>"]
    assert (seen.status, seen.body, seen.complete, seen.log) == (200, b"x", True, [])
    assert (b"x-a", b"b") in seen.headers


@VERSIONS
def test_early_hints_behind_the_body_are_refused(version: str) -> None:
    seen = ask(version, start(), body(b"x", True), hint(b"</a>"))
    assert (seen.links, seen.complete) == ([], False)
    assert len(seen.log) == 1


@VERSIONS
@pytest.mark.parametrize("fields", [[], [(b"content-length", b"5")]])
def test_trailers_that_are_left_out(version: str, fields: Fields) -> None:
    """The response was whole without them: it ends, and a warning tells of it once."""
    seen = ask(version, start(headers=fields, trailers=True), body(b"hello"), times=3)
    assert (seen.status, seen.body, seen.complete) == (200, b"hello", True)
    assert not seen.trailers
    (warning,) = seen.log
    assert warning.startswith("The application announced trailers and sent none, or not the last (GET /)")


@VERSIONS
def test_trailers_whose_last_part_is_left_out(version: str) -> None:
    some = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True}
    seen = ask(version, start(trailers=True), body(b"hello"), some)
    assert (seen.body, seen.trailers, seen.complete) == (b"hello", [(b"x-sum", b"1")], True)
    assert len(seen.log) == 1


@VERSIONS
def test_a_body_without_end_is_cut_where_trailers_were_announced_too(version: str) -> None:
    seen = ask(version, start(trailers=True), body(b"hello", True))
    assert not seen.complete
    assert len(seen.log) == 1


@VERSIONS
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_names_and_values_of_every_kind_of_bytes(version: str, kind: Any) -> None:
    """As earlier releases took them: in responses, early hints and trailers."""
    fields = [
        (kind(b"x-a"), kind(b"b")),
        (b"x-c", kind(b"d")),
        [kind(b"x-e"), b"f"],
        (kind(b"content-length"), kind(b"2")),
    ]
    sums = {"type": "http.response.trailers", "headers": [(kind(b"x-sum"), kind(b"1"))]}
    seen = ask(version, hint(kind(b"</a>")), start(headers=fields, trailers=True), body(b"ok"), sums, times=2)
    assert {(b"x-a", b"b"), (b"x-c", b"d"), (b"x-e", b"f")} <= set(seen.headers)
    assert (seen.links, seen.body, seen.trailers) == ([b"</a>"], b"ok", [(b"x-sum", b"1")])
    assert (seen.complete, seen.log) == (True, [])


@VERSIONS
def test_what_changes_later_is_not_remembered(version: str) -> None:
    """The bytes of a bytearray are those of the moment."""
    value = bytearray(b"one")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=[(b"x-a", memoryview(value))]))
        value[:] = b"two"
        await send(body(b"x"))

    if version == "1":
        client = MemoryServer(app, config()).connect()
        found = []
        for _ in range(2):
            client.send(request())
            (one,) = read_responses(client.received(), closed=False)
            found.append(one.get(b"x-a"))
    elif version == "2":
        h2 = H2(app)
        h2.send(headers(1, GET))
        h2.send(headers(3, GET))
        found = [h2.answer(1).get(b"x-a"), h2.answer(3).get(b"x-a")]
    else:
        quic = http3_in_memory().Server(app).client()
        found = [dict(quic.ask().heads[0])[b"x-a"] for _ in range(2)]
    assert found == [b"one", b"two"]


def test_headers_of_the_configuration_are_added_in_every_version() -> None:
    app = Answers(start(), body())
    more = {"headers": ["X-Added: yes"]}
    client = MemoryServer(app, config(**more)).connect()
    client.send(request("/"))
    assert (b"x-added", b"yes") in read_responses(client.received())[0].headers
    h2 = H2(app, **more)
    h2.send(headers(1, GET))
    assert (b"x-added", b"yes") in h2.answer(1).headers
    http3 = http3_in_memory()
    three = http3.Server(app, **more).client().ask(http3.request(b"/", b"GET"))
    assert (b"x-added", b"yes") in three.heads[0]
