"""Requests on one connection: which reach the application, in what order, and what the others are answered."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import EAGERNESS, GET, Answers, Reads, body, request, response, responses, serve, start

from hypercorn.protocol.turns import QUICK_STEPS
from hypercorn.testing import Event, sleep

UPGRADE = (
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def by_path(scope: Any, receive: Any, send: Any) -> None:
    """/slow takes a second; every answer is its path."""
    if scope["path"].startswith("/slow"):
        await sleep(1)
    await send(start())
    await send(body(scope["path"].encode()))


# -- order and pipelining


@EAGERNESS
def test_pipelined_answers_keep_their_order(eager: bool) -> None:
    """H1-09: /b is faster than /slow, and needs no further byte."""
    client = serve(by_path, eager=eager)
    client.send(request("/slow") + request("/b") + request("/c"))
    assert client.received() == b""
    client.advance(1)
    assert [found.body for found in responses(client)] == [b"/slow", b"/b", b"/c"]


@EAGERNESS
def test_a_batch_of_immediate_answers_leaves_in_one_write(eager: bool) -> None:
    client = serve(Answers(), eager=eager)
    client.runtime.quick_steps = QUICK_STEPS
    client.send(GET * 20)
    assert len(responses(client)) == 20
    assert len(client.writes) == (1 if eager else 20)


def test_an_answer_leaves_before_the_step_of_an_application_that_is_not_known_to_be_quick() -> None:
    client = serve(Answers())
    client.send(GET * 100)
    assert len(responses(client)) == 100
    assert len(client.writes) == QUICK_STEPS + 1  # from then on, the rest of the batch leaves when it ends


@pytest.mark.parametrize("quick_steps", [0, QUICK_STEPS])
def test_a_turn_is_bounded_in_time(quick_steps: int) -> None:
    """Pipelined requests whose steps take a millisecond each: the loop has its turn in between, and each answer leaves
    before the next step."""
    rounds: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        client.runtime.time += 0.0011
        rounds[-1] += 1
        sent.append(len(client.writes))
        await send(start())
        await send(body(b"x"))

    def tick() -> None:
        rounds.append(0)
        if sum(rounds) < 50:
            client.runtime.call_soon(tick)

    sent: list[int] = []
    client = serve(app)
    client.runtime.quick_steps = quick_steps
    tick()
    client.send(GET * 50)
    assert len(responses(client)) == 50
    assert sum(rounds) == 50
    assert max(rounds) <= 6
    assert sent == list(range(50))


@EAGERNESS
def test_five_hundred_pipelined_requests_without_recursion(eager: bool) -> None:
    depths: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        import sys

        depth, frame = 0, sys._getframe()
        while frame is not None:
            depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]  # mypy: the last one is None
        depths.append(depth)
        await sleep(0)
        await send(start())
        await send(body(b"x"))

    client = serve(app, eager=eager)
    client.send(GET * 500)
    assert len(responses(client)) == 500
    assert max(depths) - min(depths) < 20


def test_pipelined_requests_are_bounded() -> None:
    """H1-09: a client that sends on and on behind a slow answer is not read any more."""
    client = serve(by_path, keep_alive_max_requests=100_000)
    client.send(request("/slow"))
    sent = 0
    while not client.paused:
        client.send(GET * 100)
        sent += 100
        assert sent < 10_000
    assert client.transport.connection.parser.buffered() <= 2 * 65536  # type: ignore[union-attr]
    client.send(GET * 5)  # waits at the peer
    client.advance(1)
    assert len(responses(client)) == 1 + sent + 5
    assert not client.paused


@EAGERNESS
def test_a_request_behind_a_large_body_that_is_read_late(eager: bool) -> None:
    """H1-10."""
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, eager=eager)
    client.send(request(method="POST", body=b"x" * 200_000) + request("/second"), size=65536)
    go.set()
    assert [found.body for found in responses(client)] == [b"200000", b"0"]
    assert [len(reads.body(index)) for index in (0, 1)] == [200_000, 0]


def test_a_paused_connection_goes_on_when_its_body_is_read() -> None:
    """H1-10, beyond what waits for the application."""
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app)
    client.send(request(method="POST", body=b"x" * 1_000_000) + GET, size=65536)
    assert client.paused
    go.set()
    assert [found.body for found in responses(client)] == [b"1000000", b"0"]


# -- the end of a connection


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(request("/1", "connection: close"), id="H1-07-close"),
        pytest.param(request("/1", version="1.0"), id="H1-07-http10"),
        pytest.param(request("/1", "connection: keep-alive, close"), id="close-wins"),
    ],
)
def test_nothing_is_served_after_the_last_request(first: bytes) -> None:
    app = Answers()
    client = serve(app)
    client.send(first + request("/2"))
    assert response(client).get(b"connection") == b"close"
    assert [scope["path"] for scope in app.scopes] == ["/1"]
    assert client.half_closed
    client.end()
    assert client.closed
    assert not client.aborted


def test_a_body_that_comes_later_is_read_before_the_close() -> None:
    """H1-08."""
    reads = Reads()
    client = serve(reads)
    client.send(request("/", "connection: close", "content-length: 5", method="POST"))
    client.advance(0.1)
    client.send(b"hello")
    assert reads.body() == b"hello"
    assert response(client).body == b"5"
    assert client.closed


def test_http10_keep_alive_is_honoured() -> None:
    """Q-H1-7."""
    client = serve(Answers())
    client.send(request("/", "connection: keep-alive", version="1.0") * 2)
    for found in responses(client):
        assert found.get(b"connection") == b"keep-alive"
        assert found.framing == "length"
    assert not client.closed


def test_the_last_request_of_a_connection_is_announced() -> None:
    client = serve(Answers(), keep_alive_max_requests=3)
    client.send(GET * 4)
    assert [found.get(b"connection") for found in responses(client)] == [None, None, b"close"]
    assert client.half_closed


def test_a_shutdown_ends_idle_connections_and_lets_the_others_finish() -> None:
    client = serve(by_path)
    idle = client.server.connect()
    client.advance(2)
    client.send(request("/slow") + request("/b"))
    client.server.shutdown()
    assert idle.closed
    assert idle.received() == b""
    client.advance(1)
    assert response(client).get(b"connection") == b"close"
    assert client.half_closed or client.closed


@pytest.mark.parametrize("used", [True, False])
def test_a_shutdown_lets_a_connection_of_a_moment_ago_end_in_peace(used: bool) -> None:
    """Its next request may be on its way."""
    client = serve(by_path)
    other = client.server.connect()
    if used:
        client.send(request("/a"))
        response(client)
    client.server.shutdown()
    assert not client.closed
    client.send(request("/b"))
    assert response(client).get(b"connection") == b"close"
    assert client.closed
    assert not other.closed
    client.advance(1.2)
    assert other.closed


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("after", [0.0, 0.9])
def test_a_connection_that_is_told_of_a_shutdown_twice_stays_as_long(used: bool, after: float) -> None:
    client = serve(by_path, idle_grace=1)
    if used:
        client.send(request("/a"))
        response(client)
    client.server.shutdown()
    client.advance(after)
    client.server.shutdown()
    assert not client.closed
    client.send(request("/b"))
    assert response(client).status == 200


def test_a_connection_that_was_opened_at_a_shutdown_is_read_first() -> None:
    """Also without any `idle_grace`: its request came before."""
    client = serve(by_path, idle_grace=0)
    client.send(request("/a"))
    response(client)
    client.server.context.terminating = True
    fresh = client.server.connect()
    silent = client.server.connect()
    client.server.shutdown()
    assert client.closed
    fresh.send(request("/b"))
    assert response(fresh).get(b"connection") == b"close"
    client.advance(0.2)
    assert silent.closed


# -- unread bodies


@pytest.mark.parametrize(
    ("size", "kept"),
    [pytest.param(65536, True, id="at-the-limit"), pytest.param(65537, False, id="above-it")],
)
def test_an_unread_body_is_drained_within_the_limit(size: int, kept: bool) -> None:
    """H1-11, Q-H1-20: never parsed as a request; beyond the limit the close is announced and lingers."""
    app = Answers()
    client = serve(app, max_unread_body=65536)
    smuggled = request("/smuggled")
    client.send(request("/", f"content-length: {size}", method="POST"))
    content = smuggled * (size // len(smuggled)) + b"x" * (size % len(smuggled))
    client.send(content + request("/next") if kept else content[:65536], size=16384)
    paths = [scope["path"] for scope in app.scopes]
    found = responses(client)
    if kept:
        assert paths == ["/", "/next"]
        assert [one.get(b"connection") for one in found] == [None, None]
    else:
        assert paths == ["/"]
        assert [one.get(b"connection") for one in found] == [b"close"]
        assert client.half_closed
        assert not client.closed
        client.advance(2)
        assert client.closed


def test_an_unread_chunked_body_beyond_the_limit_ends_the_connection() -> None:
    app = Answers()
    client = serve(app, max_unread_body=1000)
    client.send(request("/", "transfer-encoding: chunked", method="POST"))
    assert response(client).status == 200
    for _ in range(3):
        client.send(b"190\r\n" + b"x" * 400 + b"\r\n")
    assert client.half_closed
    client.send(b"0\r\n\r\n" + GET)
    assert client.received() == b""
    assert len(app.scopes) == 1


def test_lingering_is_bounded_in_bytes() -> None:
    client = serve(Answers(), max_unread_body=1048576)
    client.send(request("/", f"content-length: {10**9}", method="POST"))
    assert client.half_closed
    for _ in range(16):
        client.send(b"x" * 65536)
        assert not client.closed
    client.send(b"x")
    assert client.closed


# -- Expect: 100-continue

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = ("expect: 100-continue", "content-length: 5")


@EAGERNESS
def test_continue_is_sent_when_the_application_first_reads(eager: bool) -> None:
    """H1-12, N38, Q-H1-8: once, bare, and not before."""
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, eager=eager)
    client.send(request("/", *EXPECT, method="PUT"))
    assert client.received() == b""
    go.set()
    assert client.received() == CONTINUE
    client.send(b"he")
    assert client.received() == b""
    client.send(b"llo")
    assert response(client).body == b"5"
    assert reads.body() == b"hello"
    client.send(GET)
    assert response(client).status == 200


def test_no_continue_when_the_body_is_already_there() -> None:
    """H1-12."""
    client = serve(Reads())
    client.send(request("/", "expect: 100-continue", method="PUT", body=b"hello"))
    assert response(client).body == b"5"


def test_no_continue_in_http10() -> None:
    """H1-14."""
    client = serve(Reads())
    client.send(request("/", *EXPECT, method="PUT", version="1.0"))
    assert client.received() == b""
    client.send(b"hello")
    assert response(client).body == b"5"


def test_no_continue_for_a_request_without_body() -> None:
    client = serve(Reads())
    client.send(request("/", "expect: 100-continue", "content-length: 0"))
    assert response(client).body == b"0"


def test_a_refusal_without_continue_ends_the_connection() -> None:
    """H1-13, N38: the client may send the body or not, so what follows is neither body nor request."""
    app = Answers(start(401), body(b"no"))
    client = serve(app)
    client.send(request("/", *EXPECT, method="PUT"))
    found = response(client)
    assert (found.status, found.get(b"connection")) == (401, b"close")
    client.send(request("/smuggled"))
    assert client.received() == b""
    assert len(app.scopes) == 1
    client.advance(2)
    assert client.closed


def test_no_continue_after_the_response_began() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await receive()

    client = serve(app)
    client.send(request("/", *EXPECT, method="PUT"))
    assert CONTINUE not in client.received()


def test_an_unknown_expectation_is_refused() -> None:
    """H1-14."""
    app = Answers()
    client = serve(app)
    client.send(request("/", "expect: 200-ok"))
    assert response(client).status == 417
    assert app.scopes == []


def test_a_client_that_waits_for_continue_is_not_late() -> None:
    """Q-H1-14: the body's deadline runs once the client may send."""
    go = Event()
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await reads(scope, receive, send)

    client = serve(app, body_timeout=30.0, min_receive_rate=0)
    client.send(request("/", *EXPECT, method="PUT"))
    client.advance(100)
    assert client.received() == b""
    go.set()
    client.advance(29)
    assert client.received() == CONTINUE
    client.advance(1)
    assert response(client).status == 408


# -- requests that are refused

REFUSED = [
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="H1-23-host-missing"),
    pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400, id="H1-23-host-twice"),
    pytest.param(b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400, id="H1-23-host-space"),
    pytest.param(b"GET / HTTP/1.1\r\nhost: a/b?x=\r\n\r\n", 400, id="H1-23-host-path"),
    pytest.param(b"GET / HTTP/1.1\r\nhost: user@host\r\n\r\n", 400, id="H1-23-host-userinfo"),
    pytest.param(b"\r\n" * 40 + GET, 400, id="H1-24-empty-lines"),
    pytest.param(b"GET / HTTP/1.1\nhost: a\n\n", 400, id="H1-24-bare-lf"),
    pytest.param(b"GET / HTTP/1.1\rhost: a\r\r", 400, id="H1-24-bare-cr"),
    pytest.param(b"GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n", 400, id="H1-24-nul"),
    pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", 400, id="H1-24-obs-fold"),
    pytest.param(b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400, id="H1-24-space-before-colon"),
    pytest.param(b"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, id="H1-24-tab"),
    pytest.param(b"GET / HTTP/1.10\r\nhost: a\r\n\r\n", 400, id="H1-24-version-1.10"),
    pytest.param(b"GET / http/1.1\r\nhost: a\r\n\r\n", 400, id="H1-24-version-case"),
    pytest.param(b"GET / HTTP/0.9\r\nhost: a\r\n\r\n", 505, id="H1-24-version-0.9"),
    pytest.param(b"GET /x\xe9 HTTP/1.1\r\nhost: a\r\n\r\n", 400, id="H1-22-raw-byte"),
    pytest.param(request("/", "transfer-encoding: chunked", body=b"abcde"), 400, id="Q-H1-1-two-framings"),
    pytest.param(b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 405, id="Q-H1-2-connect"),
    pytest.param(request("/", "content-length: 5", "content-length: 5"), 400, id="Q-H1-4-two-lengths"),
    pytest.param(request("/", "transfer-encoding: gzip, chunked"), 501, id="Q-H1-4-unknown-coding"),
    pytest.param(request("/", "transfer-encoding: chunked", version="1.0"), 400, id="coding-in-http10"),
    pytest.param(request("/", *UPGRADE, body=b"hello"), 400, id="H1-02-upgrade-with-body"),
]


@pytest.mark.parametrize(("data", "status"), REFUSED)
@pytest.mark.parametrize("size", [0, 1], ids=["whole", "bytewise"])
def test_a_bad_request_is_answered_and_ends_the_connection(data: bytes, status: int, size: int) -> None:
    """The client gets a whole answer, the application never hears of it, and nothing after it is read."""
    app = Answers()
    client = serve(app)
    client.send(data + request("/after"), size=size)
    found = response(client)
    assert (found.status, found.framing, found.complete) == (status, "length", True)
    assert found.get(b"connection") == b"close"
    assert app.scopes == []
    assert client.half_closed
    client.advance(2)
    assert client.closed
    assert [entry.status for entry in client.access] == [status]
    assert client.errors == []


def test_a_connection_that_was_good_until_then_answers_the_good_requests() -> None:
    app = Answers()
    client = serve(app)
    client.send(request("/1") + b"\x16\x03\x01 nonsense\r\n\r\n")
    assert [found.status for found in responses(client)] == [200, 400]


@pytest.mark.parametrize("gap", [b"\r\n", b"\r\n\r\n"], ids=["one", "two"])
def test_empty_lines_before_a_request_are_ignored(gap: bytes) -> None:
    """H1-24."""
    client = serve(Answers())
    client.send(gap + GET + gap + GET)
    assert [found.status for found in responses(client)] == [200, 200]


@pytest.mark.parametrize(
    ("target", "path", "raw"),
    [
        pytest.param("/x%ff", "/x\ufffd", b"/x%ff", id="H1-22-not-utf8"),
        pytest.param("/x%zz", "/x%zz", b"/x%zz", id="H1-22-no-escape"),
        pytest.param("/x%", "/x%", b"/x%", id="H1-22-cut"),
        pytest.param("/%2561", "/%61", b"/%2561", id="APP-12-decoded-once"),
        pytest.param("/%C3%A9?q=%20", "/\u00e9", b"/%C3%A9", id="query-apart"),
    ],
)
def test_escapes_in_the_target_never_fail(target: str, path: str, raw: bytes) -> None:
    app = Answers()
    client = serve(app)
    client.send(request(target))
    assert response(client).status == 200
    assert app.scopes[0]["path"] == path
    assert app.scopes[0]["raw_path"] == raw


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(b"zz\r\n", 400, id="bad-chunk"),
        pytest.param(b"5\r\nhello", 413, id="too-large"),
        pytest.param(b"0\r\nhost: x\r\n\r\n", 400, id="bad-trailer"),
    ],
)
def test_a_body_that_is_bad_from_the_start_never_reaches_the_application(content: bytes, status: int) -> None:
    """It came with its head, so the request is refused as one."""
    app = Answers()
    client = serve(app, max_body_size=4)
    client.send(request("/", "transfer-encoding: chunked", method="POST") + content + GET)
    assert response(client).status == status
    assert app.scopes == []
    assert [entry.status for entry in client.access] == [status]
    assert client.errors == []


def test_a_refused_upgrade_leaves_the_next_connection_alone() -> None:
    """H1-02."""
    app = Answers()
    client = serve(app)
    client.send(request("/", *UPGRADE, body=b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n") + request("/next"))
    assert [found.status for found in responses(client)] == [400]
    assert app.scopes == []


@pytest.mark.parametrize(
    ("host", "served"),
    [("a.example", True), ("A.Example:8000", True), ("b.example", False), ("xa.example", False)],
)
def test_other_hosts_are_refused(host: str, served: bool) -> None:
    """Q-H1-11: with the answer the connection ends, its body unread."""
    app = Answers()
    client = serve(app, server_names=["a.example"])
    client.send(f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\n\r\nabc".encode())
    assert response(client).status == (200 if served else 404)
    assert len(app.scopes) == served
    assert client.half_closed is not served
    client.advance(10)
    assert client.closed


@pytest.mark.parametrize("method", ["get", "Get", "PROPFIND", "X-y"])
def test_methods_reach_the_application_as_they_are(method: str) -> None:
    """Q-H1-3."""
    app = Answers()
    client = serve(app)
    client.send(request(method=method))
    assert response(client, method).status == 200
    assert app.scopes[0]["method"] == method


def test_other_upgrades_are_ignored() -> None:
    """Q-H1-13: h2c is one of them until it is offered."""
    app = Answers()
    client = serve(app)
    client.send(request("/", "upgrade: foo", "connection: upgrade"))
    assert response(client).status == 200


# -- however the bytes come


@pytest.mark.parametrize("size", [1, 2, 3, 7], ids=lambda size: f"H1-27-{size}")
def test_pieces_of_any_size_make_the_same_requests(size: int) -> None:
    reads = Reads()
    client = serve(reads)
    chunked = request("/a/long/path?with=query", "transfer-encoding: chunked", method="POST")
    client.send(chunked + b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nt: u\r\n\r\n" + GET, size=size)
    assert [found.body for found in responses(client)] == [b"15", b"0"]
    assert reads.body(0) == b"hello0123456789"


def test_one_byte_at_a_time_is_linear_work() -> None:
    """Nothing quadratic: a head of 16 KiB in single bytes; what is done for each byte does not grow."""
    app = Answers()
    client = serve(app)
    fields = [f"x-{index}: {'v' * 150}" for index in range(98)]
    head = request("/", *fields)
    assert len(head) > 15_000
    parser = client.transport.connection.parser  # type: ignore[union-attr]
    calls = 0
    for index in range(len(head)):
        client.send(head[index : index + 1])
        calls += 1
        assert parser.buffered() <= 200  # lines are taken as they come; nothing is scanned again
    assert calls == len(head)
    assert len(app.scopes) == 1


@pytest.mark.parametrize("kind", ["head", "field", "line"])
def test_the_work_for_a_byte_does_not_grow(kind: str) -> None:
    """Counted in calls, Python's and C's, of single bytes early and late in 16 KiB."""
    import sys

    client = serve(Answers(), max_request_line_size=20_000, max_header_size=20_000)
    data = {
        "head": b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 99,
        "field": b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 16_000,
        "line": b"GET /" + b"y" * 16_000,
    }[kind]
    calls = [0]

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            calls[0] += 1

    costs = []
    third = len(data) // 3
    for start_at in (0, third, 2 * third):
        calls[0] = 0
        sys.setprofile(count)
        try:
            client.send(data[start_at : start_at + third], size=1)
        finally:
            sys.setprofile(None)
        costs.append(calls[0])
    assert max(costs) <= 1.2 * min(costs)


def test_many_tiny_chunks_cost_one_message() -> None:
    """1e5 one-byte chunks in a few reads are a few pieces for the application, not 1e5."""
    reads = Reads()
    client = serve(reads)
    client.send(request("/", "transfer-encoding: chunked", method="POST"))
    client.send(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n", size=65536)
    assert response(client).body == b"100000"
    assert len(reads.seen[0]) <= 11


def test_an_empty_host_is_refused() -> None:
    """H1-23. HTTP/1.0 may leave the field away, and so may leave it empty."""
    app = Answers(start(), body(b"x"))
    client = serve(app)
    client.send(b"GET / HTTP/1.1\r\nhost:\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 400 ")
    client = serve(app)
    client.send(b"GET / HTTP/1.0\r\nhost:\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 200 ")
