"""Access records: exactly one for every request, of what was really sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import GET, Answers, Reads, body, config, request, response, responses, serve, start

from hypercorn.logs.logger import access_writer
from hypercorn.testing import Client, sleep

POST = request("/upload?x", "content-length: 10", method="POST")


def records(client: Client) -> list[tuple[str, bytes, int | None, int]]:
    return [(entry.method, entry.path, entry.status, entry.body_bytes) for entry in client.access]


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        pytest.param([start(), body(b"hello")], 5, id="whole"),
        pytest.param([start(), body(b"he", more=True), body(b"llo")], 5, id="pieces"),
        pytest.param([start(headers=[(b"content-length", b"5")]), body(b"hello")], 5, id="length"),
        pytest.param([start(headers=[(b"content-length", b"3")]), body(b"hello")], 3, id="too-long"),
        pytest.param([start(headers=[(b"content-length", b"500")]), body(b"hello", more=True)], 5, id="too-short"),
        pytest.param([start(204), body(b"hello")], 0, id="no-content"),
        pytest.param([start(), body()], 0, id="empty"),
    ],
)
def test_true_bytes(messages: list[Any], sent: int) -> None:
    """What went out, not what was announced."""
    client = serve(Answers(*messages))
    client.send(request("/p?q"))
    assert records(client) == [("GET", b"/p?q", messages[0]["status"], sent)]


def test_one_record_for_each_pipelined_request() -> None:
    client = serve(Answers())
    client.send(request("/1") + request("/2") + b"nonsense\r\n\r\n")
    assert [entry[1:3] for entry in records(client)] == [(b"/1", 200), (b"/2", 200), (b"", 400)]


def test_a_record_is_written_when_the_response_was_sent() -> None:
    """Its duration is that of the exchange; the application's task may go on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(2)
        await send(start())
        await send(body(b"a", more=True))
        await sleep(1)
        assert client.access == []
        await send(body(b"b"))
        assert len(client.access) == 1
        await sleep(100)

    client = serve(app)
    client.send(GET)
    client.advance(200)
    assert client.errors == []
    assert [entry.duration for entry in client.access] == [3.0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"nonsense\r\n\r\n", ("nonsense", b"", 400), id="no-request"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n", ("-", b"", 400), id="tls"),
        pytest.param(b"GET /long" + b"x" * 9000 + b" HTTP/1.1\r\n", ("GET", b"", 414), id="H1-21-line"),
        pytest.param(b"GET /p?q HTTP/1.1\r\n" + b"x: y\r\n" * 101, ("GET", b"/p?q", 431), id="H1-21-count"),
        pytest.param(b"GET /p?q HTTP/1.1\r\n\r\n", ("GET", b"/p?q", 400), id="no-host"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", ("CONNECT", b"a:1", 405), id="connect"),
    ],
)
def test_refused_requests_are_recorded(data: bytes, expected: tuple[str, bytes, int]) -> None:
    """Q-H1-16: with what is known of them, and the bytes of the refusal."""
    client = serve(Answers())
    client.send(data)
    (found,) = responses(client)
    ((method, path, status, sent),) = records(client)
    assert status == found.status == expected[2]
    assert sent == len(found.body) > 0
    assert (method, path) == expected[:2] or method == "-"
    assert [entry.level for entry in client.log.entries] == ["debug"]  # nothing that fills a disk


def test_a_head_that_never_ended_is_recorded() -> None:
    client = serve(Answers())
    client.send(b"GET /slow HTTP/1.1\r\nhost:")
    client.advance(10)
    assert [entry[:3] for entry in records(client)] == [("GET", b"/slow", 408)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([start(201)], None, id="head-kept"),
        pytest.param([start(201), body(b"abc", more=True)], 201, id="half"),
    ],
)
def test_aborted_requests_are_recorded(sent: list[Any], status: int | None) -> None:
    """With the status that left, or none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)
        while (await receive())["type"] != "http.disconnect":
            pass

    client = serve(app)
    client.send(GET)
    client.disconnect()
    assert records(client) == [("GET", b"/", status, 3 if len(sent) == 2 else 0)]
    assert client.errors == []


def test_a_request_refused_inside_its_body_is_recorded_once() -> None:
    client = serve(Reads())
    client.send(request("/upload?x", "transfer-encoding: chunked", method="POST") + b"3\r\nabc\r\nnonsense\r\n")
    (found,) = responses(client)
    assert records(client) == [("POST", b"/upload?x", 400, len(found.body))]


def test_a_response_that_breaks_off_for_its_request_is_recorded_as_sent() -> None:
    """The head was out when the body went wrong."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(202))
        await send(body(b"abc", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass

    client = serve(app)
    client.send(request("/", "transfer-encoding: chunked", method="POST") + b"3\r\nabc\r\n")
    client.send(b"nonsense\r\n")
    assert records(client) == [("POST", b"/", 202, 3)]
    assert client.closed
    assert b"0\r\n\r\n" not in client.received()


def test_a_timeout_inside_the_body_is_recorded_once() -> None:
    client = serve(Reads())
    client.send(POST + b"abc")
    client.advance(30)
    (found,) = responses(client)
    assert records(client) == [("POST", b"/upload?x", 408, len(found.body))]


def test_headers_of_the_response_are_there_for_the_record() -> None:
    headers = [(b"x-a", b"1")]
    client = serve(Answers(start(headers=headers), body()))
    client.send(GET)
    assert client.access[0].headers == headers


def test_headers_that_were_not_sent_are_not() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(headers=[(b"x-a", b"1")]))
        raise ValueError

    client = serve(app)
    client.send(GET)
    assert list(client.access[0].headers) == []


def test_no_records_cost_nothing() -> None:
    """Off: no clock is asked for them."""
    client = serve(Answers())
    client.server.context.records.keep(None, None)
    client.send(GET + b"nonsense\r\n\r\n")
    assert len(responses(client)) == 2
    assert client.access == []


def test_control_characters_cannot_forge_a_line(tmp_path: Any) -> None:
    """APP-13, through the real logger: escapes of a target stay escapes, other bytes become some."""
    log = tmp_path / "access.log"
    settings = config(access_log=str(log), access_log_format='"%(R)s" %(s)s %(U)s "%({user-agent}i)s"')
    logger = settings.log.access_logger
    assert logger is not None
    client = serve(Answers())
    client.server.context.records.access = access_writer(settings.log, lambda coroutine: None)
    client.send(request('/a%0aFAKE%22"?b=%0d', 'user-agent: x\x80\t\\y"'))
    client.send(b"GET /\x1b[31m HTTP/1.1\r\nhost: a\r\n\r\n")
    assert [found.status for found in responses(client)] == [200, 400]
    settings.log.flush()
    lines = log.read_text().splitlines()
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    assert len(lines) == 2
    assert '"GET /a%0aFAKE%22\\"?b=%0d HTTP/1.1" 200 ' in lines[0]
    assert lines[0].endswith('"x\\x80\\x09\\\\y\\""')
    assert '"GET  HTTP/1.1" 400' in lines[1]
    assert all(character.isprintable() for line in lines for character in line)


def test_the_start_is_timed_only_for_a_record() -> None:
    found: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(send.__self__.started_at)
        await Answers()(scope, receive, send)

    for kept in (False, True):
        client = serve(app)
        client.runtime.time = 5.0
        client.transport.connection.context.records.kept = kept
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert found == [0.0, 5.0]


def test_the_record_of_a_refused_request_has_its_own_fields() -> None:
    """Not those of the request before it on the connection."""
    for rest, status in ((b"y y: 2\r\n\r\n", 400), (b"", 408)):
        client = serve(Answers())
        client.send(request("/1", "User-Agent: first"))
        assert response(client).status == 200
        client.send(b"GET /2 HTTP/1.1\r\nhost: b\r\nuser-agent: second\r\n" + rest)
        client.advance(1000)
        assert response(client).status == status
        assert client.access[1].scope["headers"] == [(b"host", b"b"), (b"user-agent", b"second")]


@pytest.mark.parametrize("garbage", [b"\r\n" * 20, b"\rx"], ids=["too many", "half a line"])
def test_a_request_refused_before_its_line_is_recorded_without_one(garbage: bytes) -> None:
    """Empty lines that go wrong are no request of the kind before them."""
    client = serve(Answers())
    client.send(request("/1", "User-Agent: first"))
    assert response(client).status == 200
    client.send(garbage)
    assert response(client).status == 400
    scope = client.access[1].scope
    assert (scope["method"], scope["raw_path"], scope["headers"]) == ("-", b"", [])
