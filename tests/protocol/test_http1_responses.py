"""How responses look on the wire: framing, the fields that the server adds, interim responses, trailers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from tests.support.harness import EAGERNESS, GET, Answers, body, request, response, responses, serve, start

from hypercorn.testing import sleep

LENGTH = (b"content-length", b"5")


def answered(*messages: Any, method: str = "GET", version: str = "1.1", fields: Any = (), **options: Any) -> Any:
    """The response to one request, and its client."""
    client = serve(Answers(*messages), **options)
    client.send(request("/", *fields, method=method, version=version))
    return response(client, method), client


# -- framing


def test_a_whole_body_gets_its_length() -> None:
    found, client = answered(start(), body(b"hello"))
    assert (found.framing, found.body, found.complete) == ("length", b"hello", True)
    assert len(client.writes) == 1  # Q-H1-9


def test_an_announced_length_stays() -> None:
    found, _ = answered(start(headers=[LENGTH]), body(b"he", more=True), body(b"llo"))
    assert (found.framing, found.body) == ("length", b"hello")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([body(b"he", more=True), body(b"llo")], id="data-last"),
        pytest.param([body(b"hello", more=True), body()], id="empty-last"),
        pytest.param([body(more=True), body(b"hello", more=True), body(more=True), body()], id="H1-16-empty-first"),
    ],
)
def test_a_body_in_pieces_is_chunked(pieces: list[Any]) -> None:
    found, client = answered(start(), *pieces)
    assert (found.framing, found.body, found.complete) == ("chunked", b"hello", True)
    client.send(GET)
    assert response(client).body == b"hello"


def test_an_empty_piece_does_not_end_a_chunked_body() -> None:
    """H1-16."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for data in (b"a", b"", b"b", b""):
            await send(body(data, more=True))
            await sleep(1)
        await send(body())

    client = serve(app)
    client.send(GET)
    client.advance(3.5)
    data = client.received()
    assert data.endswith(b"1\r\na\r\n1\r\nb\r\n")
    client.advance(1)
    assert client.received() == b"0\r\n\r\n"


def test_http10_gets_no_chunks() -> None:
    """H1-16: raw until the close."""
    found, client = answered(start(), body(b"he", more=True), body(b"llo"), version="1.0")
    assert (found.framing, found.body, found.complete) == ("close", b"hello", True)
    assert found.get(b"connection") == b"close"
    assert client.closed
    assert not client.aborted


def test_http10_without_an_end_is_not_kept_alive() -> None:
    fields = ["connection: keep-alive"]
    found, client = answered(start(), body(b"he", more=True), body(b"llo"), version="1.0", fields=fields)
    assert (found.framing, found.get(b"connection")) == ("close", b"close")
    assert client.closed


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        pytest.param("HEAD", 200, b"5", id="H1-15-head"),
        pytest.param("GET", 304, b"5", id="H1-15-304"),
        pytest.param("GET", 204, None, id="H1-15-204"),
        pytest.param("HEAD", 204, None, id="head-204"),
    ],
)
@pytest.mark.parametrize("pieces", [[body(b"hello")], [body(b"he", more=True), body(b"llo")], [body()]])
@pytest.mark.parametrize("announced", [True, False])
def test_no_body_where_there_is_none(
    method: str, status: int, length: bytes | None, pieces: list[Any], announced: bool
) -> None:
    """N39: no byte of it, no coding; a length on HEAD and 304 alone; the next request is answered too."""
    found, client = answered(start(status, [LENGTH] if announced else []), *pieces, method=method)
    assert (found.status, found.body, found.framing) == (status, b"", "none")
    assert found.get(b"content-length") == (length if announced else None)
    assert found.get(b"transfer-encoding") is None
    client.send(request(method=method))
    assert response(client, method).status == status
    assert [entry.body_bytes for entry in client.access] == [0, 0]


@pytest.mark.parametrize(("method", "status", "warnings"), [("GET", 204, 1), ("GET", 304, 1), ("HEAD", 200, 0)])
def test_a_dropped_body_leaves_one_warning(method: str, status: int, warnings: int) -> None:
    """H1-15: HEAD is no mistake of the application."""
    _, client = answered(start(status), body(b"he", more=True), body(b"llo"), method=method)
    assert [entry.level for entry in client.errors] == ["warning"] * warnings


@pytest.mark.parametrize("status", [200, 201, 404, 205, 500])
def test_an_empty_body_has_a_length(status: int) -> None:
    found, _ = answered(start(status), body())
    assert found.get(b"content-length") == b"0"


def test_a_longer_body_than_announced_is_cut() -> None:
    """H1-18: only what was announced is sent, then the connection ends, and it is logged."""
    found, client = answered(start(headers=[LENGTH]), body(b"hello, world"))
    assert (found.body, found.get(b"connection")) == (b"hello", b"close")
    assert client.closed
    assert [entry.level for entry in client.errors] == ["error"]
    assert "longer" in str(client.errors[0].error)
    assert [(entry.status, entry.body_bytes) for entry in client.access] == [(200, 5)]


def test_an_application_may_swallow_that_it_sent_too_much() -> None:
    """H1-18: the response is over all the same; the return is then no second mistake."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=[LENGTH]))
        try:
            await send(body(b"hello, world", more=True))
        except ValueError:
            seen.append((await receive())["type"])

    client = serve(app)
    client.send(GET)
    assert response(client).body == b"hello"
    assert seen == ["http.disconnect"]
    assert client.closed
    assert client.errors == []


def test_a_body_that_outgrows_its_length_in_a_later_piece_is_cut() -> None:
    """H1-18."""
    found, client = answered(start(headers=[LENGTH]), body(b"hel", more=True), body(b"lo, world"))
    assert found.body == b"hello"
    assert client.closed
    assert len(client.errors) == 1


def test_a_shorter_body_than_announced_is_not_passed_off_as_whole() -> None:
    """H1-18: the end of the connection tells, and it is logged."""
    found, client = answered(start(headers=[LENGTH]), body(b"hel", more=True), body())
    assert (found.body, found.complete) == (b"hel", False)
    assert client.closed
    assert len(client.errors) == 1
    assert client.access[0].body_bytes == 3


def test_a_short_body_in_one_piece_becomes_an_error() -> None:
    found, client = answered(start(headers=[LENGTH]), body(b"hel"))
    assert (found.status, found.get(b"connection")) == (500, b"close")
    assert len(client.errors) == 1


def test_an_application_that_returns_early_is_cut_off() -> None:
    """H1-18: 5 announced, 3 sent, and gone."""
    found, client = answered(start(headers=[LENGTH]), body(b"hel", more=True))
    assert (found.body, found.complete) == (b"hel", False)
    assert client.closed
    assert "before its response was complete" in client.errors[0].text


# -- the fields of the server


@pytest.mark.parametrize("value", [b"chunked", b"gzip, chunked", b"identity"])
@pytest.mark.parametrize("pieces", [[body(b"hello")], [body(b"he", more=True), body(b"llo")]], ids=["one", "two"])
def test_the_coding_is_the_servers_affair(value: bytes, pieces: list[Any]) -> None:
    """H1-17: at most one such field, and never beside a length."""
    found, _ = answered(start(headers=[(b"Transfer-Encoding", value)]), *pieces)
    assert (found.framing, found.body) == ("length" if len(pieces) == 1 else "chunked", b"hello")


def test_a_coding_beside_a_length_of_the_application() -> None:
    found, _ = answered(start(headers=[LENGTH, (b"transfer-encoding", b"chunked")]), body(b"hello"))
    assert found.framing == "length"


@pytest.mark.parametrize(
    ("value", "sent"),
    [(b"close", b"close"), (b"Keep-Alive, CLOSE", b"close"), (b"keep-alive", None), (b"upgrade", None)],
)
def test_the_application_may_end_the_connection(value: bytes, sent: bytes | None) -> None:
    found, client = answered(start(headers=[(b"connection", value)]), body(b"hello"))
    assert found.get(b"connection") == sent
    assert client.closed is (sent is not None)


def test_date_and_server_are_added_once() -> None:
    """Q-H1-10: the application's own win."""
    found, _ = answered(start(headers=[(b"Date", b"today"), (b"SERVER", b"mine")]), body())
    assert (found.all(b"date"), found.all(b"server")) == ([b"today"], [b"mine"])
    found, _ = answered(start(), body())
    assert found.get(b"server") == b"hypercorn-h11"
    assert found.get(b"date").endswith(b" GMT")
    found, _ = answered(start(), body(), include_date_header=False, include_server_header=False)
    assert (found.get(b"date"), found.get(b"server")) == (None, None)


def test_alt_svc_is_added() -> None:
    found, _ = answered(start(), body(), alt_svc_headers=['h3=":443"; ma=3600', "clear"])
    assert found.all(b"alt-svc") == [b'h3=":443"; ma=3600', b"clear"]


def test_field_names_keep_their_case_and_order() -> None:
    """D8."""
    given = [(b"X-One", b"1"), (b"set-cookie", b"a"), (b"Set-Cookie", b"b"), (b"x-tab", b"a\tb"), (b"x-e", b"")]
    found, _ = answered(start(headers=given), body())
    assert found.headers[:5] == given


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(200, "OK", id="Q-H1-6-200"),
        pytest.param(HTTPStatus.NOT_FOUND, "Not Found", id="Q-H1-6-404"),
        pytest.param(418, "I'm a Teapot", id="Q-H1-6-418"),
        pytest.param(299, "", id="unknown"),
        pytest.param(799, "", id="beyond-the-classes"),
    ],
)
def test_reason_phrases(status: int, reason: str) -> None:
    found, client = answered(start(status), body(b"x"))
    assert (found.status, found.reason, found.body) == (int(status), reason, b"x")
    assert type(client.access[0].status) is int
    assert client.access[0].status == status


# -- interim responses


def hints(*links: bytes) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": links}


def test_early_hints_come_before_the_response() -> None:
    """Q-H1-12: without the server's fields."""
    client = serve(Answers(hints(b"</a.css>; rel=preload", b"</b.js>; rel=preload"), start(), body(b"x")))
    client.send(GET)
    interim, final = responses(client)
    assert (interim.status, interim.reason) == (103, "Early Hints")
    assert interim.headers == [(b"link", b"</a.css>; rel=preload"), (b"link", b"</b.js>; rel=preload")]
    assert (final.status, final.get(b"link")) == (200, None)
    assert len(client.access) == 1


def test_early_hints_leave_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(hints(b"</a>"))
        await sleep(1)
        await send(start())
        await send(body())

    client = serve(app)
    client.send(GET)
    assert response(client).status == 103
    client.advance(1)
    assert response(client).status == 200


def test_http10_gets_no_early_hints() -> None:
    app = Answers(hints(b"</a>"), start(), body())
    client = serve(app)
    client.send(request(version="1.0"))
    assert response(client).status == 200
    assert "http.response.early_hint" not in app.scopes[0]["extensions"]


def test_a_bad_hint_reaches_the_application_only() -> None:
    client = serve(Answers(hints(b"</a>\r\nx: y"), start(), body()))
    client.send(GET)
    assert response(client).status == 500
    assert len(client.errors) == 1


# -- trailers

TE = ["te: gzip, trailers;q=1"]


def trailing(*fields: tuple[bytes, bytes], more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.trailers", "headers": list(fields), "more_trailers": more}


@EAGERNESS
@pytest.mark.parametrize("headers", [[], [LENGTH]], ids=["free", "with-length"])
def test_trailers_end_a_response(eager: bool, headers: list[Any]) -> None:
    """A length of the application gives way to the chunked coding: both together would be an attack."""
    app = Answers(
        start(headers=headers, trailers=True), body(b"hello"), trailing((b"a", b"1"), more=True), trailing((b"b", b"2"))
    )
    client = serve(app, eager=eager)
    client.send(request("/", *TE) + request("/", *TE))
    for found in responses(client):
        assert (found.framing, found.body, found.complete) == ("chunked", b"hello", True)
        assert found.trailers == [(b"a", b"1"), (b"b", b"2")]
    assert len(client.access) == 2
    assert client.errors == []


@pytest.mark.parametrize(
    ("method", "version", "fields", "status"),
    [
        pytest.param("GET", "1.1", [], 200, id="Q-H1-18-without-te"),
        pytest.param("GET", "1.1", ["te: gzip"], 200, id="other-te"),
        pytest.param("GET", "1.0", TE, 200, id="http10"),
        pytest.param("HEAD", "1.1", TE, 200, id="head"),
        pytest.param("GET", "1.1", TE, 204, id="204"),
    ],
)
def test_trailers_are_dropped_where_they_cannot_be(method: str, version: str, fields: Any, status: int) -> None:
    app = Answers(start(status, trailers=True), body(), trailing((b"a", b"1")))
    client = serve(app)
    client.send(request("/", *fields, method=method, version=version))
    found = response(client, method)
    assert (found.status, found.trailers) == (status, [])
    assert found.framing in ("length", "none")
    assert client.errors == []
    assert len(client.access) == 1


def test_late_trailers_do_not_reach_the_next_response() -> None:
    """The first exchange, a HEAD, is over for the connection before its application sends trailers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(trailers=True))
        await send(body(b"x"))
        await sleep(1 if scope["method"] == "HEAD" else 2)
        await send(trailing((b"of", scope["method"].encode())))

    client = serve(app)
    client.send(request("/", *TE, method="HEAD") + request("/", *TE))
    client.advance(3)
    _, second = responses(client, "HEAD", "GET")
    assert second.trailers == [(b"of", b"GET")]
    assert second.complete


def test_trailers_may_end_the_body_themselves() -> None:
    """No last body message before them: they are the end."""
    messages = [start(trailers=True), body(b"hello", more=True), trailing((b"a", b"1"))]
    found, client = answered(*messages, fields=TE)
    assert (found.body, found.trailers, found.complete) == (b"hello", [(b"a", b"1")], True)
    found, client = answered(start(trailers=True), trailing((b"a", b"1")), fields=TE)
    assert (found.body, found.trailers, found.complete) == (b"", [(b"a", b"1")], True)
    found, client = answered(start(trailers=True), body(b"hello", more=True), trailing((b"a", b"1")))
    assert (found.body, found.trailers, found.complete) == (b"hello", [], True)
    assert client.errors == []


def test_trailers_after_the_end_raise() -> None:
    client = serve(Answers(start(trailers=True), body(b"x"), trailing(), trailing()))
    client.send(request("/", *TE))
    assert response(client).complete
    assert [type(entry.error).__name__ for entry in client.errors] == ["UnexpectedMessageError"]


def test_clients_can_be_told_how_long_a_connection_is_kept() -> None:
    """Q-H1-15: a client that knows does not send its next request into a closing connection."""
    client = serve(Answers(start(), body(b"x")), keep_alive_header=True, keep_alive_timeout=7.0)
    client.send(GET)
    assert client.received().count(b"keep-alive: timeout=7\r\n") == 1
    client.send(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    old = client.received()
    assert b"connection: keep-alive\r\nkeep-alive: timeout=7\r\n\r\n" in old
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert b"keep-alive" not in client.received()


def test_nobody_is_told_unless_asked_for() -> None:
    client = serve(Answers(start(), body(b"x")))
    client.send(GET)
    assert b"keep-alive" not in client.received()


def test_headers_of_the_configuration_are_added() -> None:
    more = ["X-One: 1, 2", "x-two: alt-svc: h3"]
    found, _ = answered(start(headers=[(b"x-one", b"mine")]), body(), headers=more, alt_svc_headers=["clear"])
    assert found.all(b"x-one") == [b"mine", b"1, 2"]
    assert found.all(b"x-two") == [b"alt-svc: h3"]
    found, _ = answered(start(headers=[(b"date", b"a"), (b"server", b"b")]), body(), headers=more)
    assert (found.get(b"date"), found.get(b"server"), found.get(b"x-one")) == (b"a", b"b", b"1, 2")
