"""HTTP/2 requests and responses (RFC 9113 section 8): what reaches an application, what is refused, what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import EAGERNESS, Answers, Reads, body, config, start
from tests.support.http2 import (
    GET,
    H2,
    INTERNAL_ERROR,
    NO_ERROR,
    POST,
    PROTOCOL_ERROR,
    SETTINGS_ACK,
    START,
    data,
    headers,
    ping,
    reset,
    settings,
    window_update,
)

from hypercorn.protocol.turns import GATHER_SECONDS, QUICK_STEPS, TURN_SECONDS
from hypercorn.testing import MemoryServer
from hypercorn.wire.tables import FORBIDDEN_TRAILERS

METHOD, SCHEME, PATH, AUTHORITY = GET


def with_path(path: bytes) -> list[tuple[bytes, bytes]]:
    return [METHOD, SCHEME, (b":path", path), AUTHORITY]


def test_scope() -> None:
    app = Answers()
    h2 = H2(app)
    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.b:80"), (b":path", b"/p%41/%ff?q=%20")]
    h2.send(headers(1, [*fields, (b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2"), (b"te", b"trailers")]))
    scope = app.scopes[0]
    assert (scope["http_version"], scope["method"], scope["scheme"]) == ("2", "GET", "http")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/pA/\ufffd", b"/p%41/%ff", b"q=%20")
    assert scope["headers"] == [
        (b"host", b"a.b:80"),
        (b"cookie", b"a=1; b=2"),
        (b"accept", b"*/*"),
        (b"te", b"trailers"),
    ]
    assert {"http.response.trailers", "http.response.early_hint"} <= scope["extensions"].keys()
    h2.send(headers(3))
    assert app.scopes[1]["headers"] is not scope["headers"]


def test_h2_17_host_in_place_of_authority() -> None:
    app = Answers()
    h2 = H2(app)
    h2.send(headers(1, [METHOD, SCHEME, PATH, (b"accept", b"*/*"), (b"host", b"a.b")]))
    assert app.scopes[0]["headers"] == [(b"host", b"a.b"), (b"accept", b"*/*")]


def test_host_that_says_the_same_as_authority() -> None:
    app = Answers()
    H2(app).send(headers(1, [*GET[:3], (b":authority", b"A.b"), (b"host", b"a.b:80")]))
    assert app.scopes[0]["headers"] == [(b"host", b"A.b")]


def nameless(app: Any, scheme: str, **options: Any) -> H2:
    """A client whose transport has that scheme."""
    h2 = H2(app, start=b"", **options)
    h2.client.transport.scheme = scheme
    h2.send(START, SETTINGS_ACK)
    return h2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_f10_neither_an_authority_nor_a_host(scheme: str) -> None:
    """Health checks of proxies have none (RFC 9113 section 8.3.1): answered as HTTP/1.0 without a Host is."""
    app = Answers()
    h2 = nameless(app, scheme)
    h2.send(headers(1, [METHOD, (b":scheme", scheme.encode()), PATH, (b"accept", b"*/*")]))
    assert h2.answer(1).status == 200
    assert app.scopes[0]["headers"] == [(b"accept", b"*/*")]
    assert app.scopes[0]["server"] is not None
    assert "http.response.push" not in app.scopes[0]["extensions"]  # a promise needs an authority


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_f10_no_host_is_none_of_the_server_names(scheme: str) -> None:
    app = Answers()
    h2 = nameless(app, scheme, server_names=["a"])
    h2.send(headers(1, [METHOD, (b":scheme", scheme.encode()), PATH]))
    assert h2.answer(1).status == 404
    assert app.scopes == []
    assert h2.alive()


MALFORMED = {
    "F01 CR in a value": [*GET, (b"a", b"1\r2")],
    "F01 LF in a value": [*GET, (b"a", b"1\n2")],
    "F01 NUL in a value": [*GET, (b"a", b"\x00")],
    "F02 an upper-case name": [*GET, (b"Ab", b"1")],
    "F02 a space in a name": [*GET, (b"a b", b"1")],
    "F02 a name of 0x80": [*GET, (b"\x80", b"1")],
    "F02 D06 an empty name": [*GET, (b"", b"")],
    "F03 a space ahead of a value": [*GET, (b"a", b" 1")],
    "F03 a tab behind a value": [*GET, (b"a", b"1\t")],
    "F04 a method that is a request line": [(b":method", b"GET /x HTTP/1.1"), *GET[1:]],
    "F04 an empty method": [(b":method", b""), *GET[1:]],
    "F05 a scheme that is a URL": [METHOD, (b":scheme", b"http://evil/?"), PATH, AUTHORITY],
    "F05 an empty scheme": [METHOD, (b":scheme", b""), PATH, AUTHORITY],
    "F06 an empty path": with_path(b""),
    "F07 an authority with userinfo": [*GET[:3], (b":authority", b"user@a")],
    "F07 an authority with a path": [*GET[:3], (b":authority", b"a/b")],
    "F07 an authority with a comma": [*GET[:3], (b":authority", b"a,b")],
    "F07 an authority with a bad port": [*GET[:3], (b":authority", b"a:99999")],
    "F08 an authority and another host": [*GET, (b"host", b"evil")],
    "F09 two hosts": [*GET[:3], (b"host", b"a"), (b"host", b"a")],
    "an authority and two hosts": [*GET, (b"host", b"a"), (b"host", b"a")],
    "F11 transfer-encoding": [*GET, (b"transfer-encoding", b"chunked")],
    "F11 connection": [*GET, (b"connection", b"close")],
    "F11 keep-alive": [*GET, (b"keep-alive", b"1")],
    "F11 proxy-connection": [*GET, (b"proxy-connection", b"close")],
    "F11 upgrade": [*GET, (b"upgrade", b"h2c")],
    "F12 te: gzip": [*GET, (b"te", b"gzip")],
    "F12 te: trailers, gzip": [*GET, (b"te", b"trailers, gzip")],
    "F14 content-length +5": [*GET, (b"content-length", b"+5")],
    "F14 content-length 5, 5": [*GET, (b"content-length", b"5, 5")],
    "F14 content-length 0x5": [*GET, (b"content-length", b"0x5")],
    "F14 content-length twice": [*GET, (b"content-length", b"0"), (b"content-length", b"0")],
    "F14 content-length 2^64+5": [*GET, (b"content-length", b"18446744073709551621")],
    "F15 a pseudo field behind a field": [METHOD, SCHEME, PATH, (b"a", b"b"), AUTHORITY],
    "F15 a method twice": [METHOD, *GET],
    "F15 a path twice": [*GET, PATH],
    "F15 an unknown pseudo field": [*GET, (b":unknown", b"1")],
    "F15 a pseudo field of responses": [*GET, (b":status", b"200")],
    "no method": GET[1:],
    "no scheme": [METHOD, PATH, AUTHORITY],
    "no path": [METHOD, SCHEME, AUTHORITY],
    "F18 CONNECT with a path": [(b":method", b"CONNECT"), *GET[1:]],
    "F18 CONNECT without an authority": [(b":method", b"CONNECT")],
    "F19 :protocol with GET": [*GET, (b":protocol", b"websocket")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED.keys())
def test_h2_16_malformed_requests(fields: list[tuple[bytes, bytes]]) -> None:
    """RFC 9113 section 8.1.1: the stream is reset, no application called, the connection goes on (Q-H2-6)."""
    app = Answers()
    h2 = H2(app)
    h2.send(headers(1, fields))
    assert h2.answer(1).reset == PROTOCOL_ERROR
    assert not h2.answer(1).headers
    assert app.scopes == []
    assert h2.goaway is None
    assert h2.alive()


ANSWERED = {
    "F06 a path without a slash": (with_path(b"x"), 400),
    "F06 an absolute URL": (with_path(b"http://a/"), 400),
    "F06 * with GET": (with_path(b"*"), 400),
    "F06 a fragment": (with_path(b"/a#b"), 400),
    "F06 a space": (with_path(b"/a b"), 400),
    "Q-H2-4 a path that is not ASCII": (with_path(b"/\xc3\xa9"), 400),
    "an empty host": ([*GET[:3], (b"host", b"")], 400),
    "an empty authority": ([*GET[:3], (b":authority", b"")], 400),
    "F05 another scheme": ([METHOD, (b":scheme", b"ftp"), PATH, AUTHORITY], 421),
    "F18 H2-15 Q-H2-3 CONNECT": ([(b":method", b"CONNECT"), AUTHORITY], 405),
    "F19 an unknown :protocol": ([(b":method", b"CONNECT"), *GET[1:], (b":protocol", b"x")], 501),
    "an expectation that nobody knows": ([*GET, (b"expect", b"more")], 417),
}


@pytest.mark.parametrize(("fields", "status"), ANSWERED.values(), ids=ANSWERED.keys())
def test_requests_that_are_refused(fields: list[tuple[bytes, bytes]], status: int) -> None:
    app = Answers()
    h2 = H2(app)
    h2.send(headers(1, fields))
    assert (h2.answer(1).status, h2.answer(1).ended) == (status, True)
    assert app.scopes == []
    assert [entry.status for entry in h2.client.access] == [status]
    assert h2.alive()


@pytest.mark.parametrize(("scheme", "status"), [("http", 404), ("https", 421)])
def test_q_h2_10_foreign_names(scheme: str, status: int) -> None:
    app = Answers()
    h2 = H2(app, start=b"", server_names=["a"])
    h2.client.transport.scheme = scheme
    h2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings(), headers(1, [*GET[:3], (b":authority", b"b")]), headers(3))
    assert h2.answer(1).status == status
    assert h2.answer(3).status == 200
    h2.advance(6)
    assert h2.client.closed  # idle: the refused stream is gone


def test_f24_escapes_in_a_path() -> None:
    app = Answers()
    h2 = H2(app)
    h2.send(headers(1, with_path(b"/%0d%0a%ff")))
    assert (app.scopes[0]["path"], app.scopes[0]["raw_path"]) == ("/\r\n\ufffd", b"/%0d%0a%ff")


def test_options_of_the_server() -> None:
    app = Answers()
    H2(app).send(headers(1, [(b":method", b"OPTIONS"), SCHEME, (b":path", b"*"), AUTHORITY]))
    assert app.scopes[0]["path"] == "*"


# -- bodies


@EAGERNESS
def test_a_body(eager: bool) -> None:
    app = Reads()
    h2 = H2(app, eager=eager)
    h2.send(headers(1, [*POST, (b"content-length", b"6")], end=False), data(1, b"abc"))
    h2.send(data(1, b"def", end=True))
    assert app.body() == b"abcdef"
    assert h2.answer().body == b"6"


def test_h2_05_the_application_is_called_on_the_head() -> None:
    app = Reads()
    h2 = H2(app)
    h2.send(headers(1, POST, end=False))
    assert app.seen == [[]]
    h2.send(data(1, b"x", end=True))
    assert app.body() == b"x"


def test_h2_14_q_h2_7_trailers_of_a_request() -> None:
    app = Reads()
    h2 = H2(app)
    h2.send(headers(1, POST, end=False), data(1, b"abc"), headers(1, [(b"x-sum", b"1")]))
    assert app.seen[0][-1]["trailers"] == [(b"x-sum", b"1")]
    assert h2.answer().body == b"3"


@pytest.mark.parametrize("name", [*sorted(FORBIDDEN_TRAILERS), b"proxy-authorization"])
def test_f17_trailers_that_would_change_the_request(name: bytes) -> None:
    """RFC 9110 section 6.5.1: no sender may put them there, and whoever merges trailers into the head is misled. The h2
    library lets them pass (it judges by RFC 9113 alone); here HTTP/2 is as strict as HTTP/1.1 and HTTP/3."""
    h2 = H2(Reads())
    h2.send(headers(1, POST, end=False), headers(1, [(name, b"1")]))
    assert h2.answer().reset == PROTOCOL_ERROR
    assert h2.alive()


@pytest.mark.parametrize("announced", [True, False])
def test_bodies_that_are_too_large(announced: bool) -> None:
    app = Reads()
    h2 = H2(app, max_body_size=10)
    length = [(b"content-length", b"11")] if announced else []
    h2.send(headers(1, [*POST, *length], end=False), data(1, b"x" * 11))
    assert h2.answer().status == 413
    assert h2.answer().reset is None
    h2.advance(2.1)
    assert h2.answer().reset == NO_ERROR
    assert h2.goaway is None


def test_f22_q_h2_8_expect_continue() -> None:
    app = Reads()
    h2 = H2(app)
    h2.send(headers(1, [*POST, (b"expect", b"100-continue")], end=False))
    assert [dict(fields)[b":status"] for fields in h2.answer().interim] == [b"100"]
    assert h2.answer().interim == [[(b":status", b"100")]]  # Q-H2-20: no date, no server
    h2.send(data(1, b"x", end=True))
    assert h2.answer().body == b"1"


def test_f22_an_application_that_does_not_read_asks_for_nothing() -> None:
    h2 = H2(Answers())
    h2.send(headers(1, [*POST, (b"expect", b"100-continue")], end=False))
    assert h2.answer().interim == []
    assert (h2.answer().status, h2.answer().reset) == (200, None)


# -- responses


@EAGERNESS
def test_head_and_first_data_in_one_write(eager: bool) -> None:
    """So do the answers of one round of the loop, where the applications' steps are known to be short."""
    h2 = H2(Answers(start(), body(b"hello")), eager=eager)
    h2.client.runtime.quick_steps = QUICK_STEPS
    before = len(h2.client.writes)
    h2.send(headers(1), headers(3), headers(5))
    assert len(h2.client.writes) == before + 1
    assert [h2.answer(stream).body for stream in (1, 3, 5)] == [b"hello"] * 3


@pytest.mark.parametrize(("quick_steps", "writes"), [(QUICK_STEPS, 1), (0, 3)])
def test_answers_of_calls_that_wake_together_leave_together(quick_steps: int, writes: int) -> None:
    """A call that waited ends in a step of its own, whose answer leaves with those of the same round of the loop."""
    waiters: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiters.append(h2.client.runtime.waiter())
        await waiters[-1]
        await send(start())
        await send(body(b"hello"))

    h2 = H2(app)
    h2.send(headers(1), headers(3), headers(5))
    h2.client.runtime.quick_steps = quick_steps
    before = len(h2.client.writes)
    for waiter in waiters:
        h2.client.runtime.wake(waiter)
    h2.client.runtime.run()
    h2.send()
    assert len(h2.client.writes) == before + writes
    assert [h2.answer(stream).body for stream in (1, 3, 5)] == [b"hello"] * 3


def test_a_long_step_after_an_answer_ends_the_trust_in_short_steps() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiter = h2.client.runtime.waiter()
        waiters.append(waiter)
        await waiter
        if scope["path"] == "/slow":
            h2.client.runtime.time += 0.5
        await send(start())
        await send(body(b""))

    waiters: list[Any] = []
    h2 = H2(app)
    h2.send(headers(1), headers(3, with_path(b"/slow")))
    h2.client.runtime.quick_steps = QUICK_STEPS
    for waiter in waiters:
        h2.client.runtime.wake(waiter)
    h2.client.runtime.run()
    assert h2.client.runtime.quick_steps < QUICK_STEPS


def test_a_long_round_of_short_steps_sends_answers_together() -> None:
    """Many calls wake in one round of the loop, each for a short step: an answer waits for those after it, of all
    connections, but for TURN_SECONDS at the most."""
    step_seconds = 0.0004
    waiters: list[Any] = []
    waiting_since: dict[int, float] = {}
    written = [0] * 4
    waits: list[float] = []

    def look() -> None:
        for number, peer in enumerate(peers):
            if len(peer.client.writes) > written[number]:
                written[number] = len(peer.client.writes)
                if number in waiting_since:
                    waits.append(runtime.now() - waiting_since.pop(number))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiter = runtime.waiter()
        waiters.append(waiter)
        await waiter
        runtime.time += step_seconds
        await send(start())
        await send(body(b"hello"))
        waiting_since.setdefault(int(scope["path"][1:]), runtime.now())
        look()

    server = MemoryServer(app, config())
    peers = [H2(None, server=server) for _ in written]
    runtime = peers[0].client.runtime
    for number, peer in enumerate(peers):
        peer.send(*(headers(stream, with_path(b"/%d" % number)) for stream in range(1, 41, 2)))
    runtime.quick_steps = QUICK_STEPS
    written = before = [len(peer.client.writes) for peer in peers]
    written = list(before)
    for first in range(20):  # the connections take turns
        for waiter in waiters[first::20]:
            runtime.wake(waiter)
    runtime.run()
    look()
    for peer in peers:
        peer.send()
        assert [peer.answer(stream).body for stream in range(1, 41, 2)] == [b"hello"] * 20
    assert not waiting_since
    assert max(waits) <= TURN_SECONDS + 2 * step_seconds
    rounds = 80 * step_seconds / TURN_SECONDS
    assert max(now - then for now, then in zip(written, before, strict=True)) <= rounds + 1
    assert runtime.quick_steps >= QUICK_STEPS


def test_an_answer_leaves_after_one_long_step_of_another_call() -> None:
    """What waits leaves with what that call sends first, not at the end of the round. The next answers do not wait."""
    waiters: list[Any] = []
    writes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiter = runtime.waiter()
        waiters.append(waiter)
        await waiter
        writes.append(len(h2.client.writes))
        if scope["path"] == "/slow":
            runtime.time += 2 * GATHER_SECONDS
        await send(start())
        await send(body(b"hello"))

    h2 = H2(app)
    runtime = h2.client.runtime
    h2.send(headers(1), headers(3, with_path(b"/slow")), headers(5), headers(7))
    runtime.quick_steps = QUICK_STEPS
    for waiter in waiters:
        runtime.wake(waiter)
    runtime.run()
    assert [one - writes[0] for one in writes] == [0, 0, 2, 3]


def test_q_h2_15_end_stream_stands_on_the_last_data() -> None:
    h2 = H2(Answers(start(), body(b"a", True), body(b"b")))
    h2.send(headers(1))
    assert h2.answer().pieces == [1, 1]
    assert h2.answer().ended


SIZES = [0, 1, 16383, 16384, 16385, 65535, 65536, 200000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("empty_end", [False, True])
def test_h2_02_every_body_ends_once(size: int, empty_end: bool) -> None:
    content = bytes(number % 251 for number in range(size))
    messages = [start(), body(content, True), body(b"")] if empty_end else [start(), body(content)]
    h2 = H2(Answers(*messages))
    h2.send(headers(1))
    for _ in range(20):
        if not h2.answer().ended:
            h2.send(window_update(0, 20000), window_update(1, 20000))
    assert h2.answer().body == content
    assert h2.answer().ended
    assert h2.alive()


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_h2_23_responses_without_a_body(method: bytes, status: int) -> None:
    h2 = H2(Answers(start(status, [(b"content-length", b"5")]), body(b"hello")))
    h2.send(headers(1, [(b":method", method), *GET[1:]]))
    answer = h2.answer()
    assert (answer.status, answer.body, answer.ended) == (status, b"", True)
    assert answer.get(b"content-length") == (None if status == 204 else b"5")


def test_f23_bodies_of_get_and_head() -> None:
    for method in (b"GET", b"HEAD"):
        h2 = H2(Reads())
        for stream in range(1, 60, 2):
            h2.send(headers(stream, [(b":method", method), *GET[1:]], end=False), data(stream, bytes(10000), end=True))
            assert h2.answer(stream).ended


def test_trailers_of_a_response() -> None:
    messages = [
        {**start(), "trailers": True},
        body(b"data", True),
        body(b""),
        {"type": "http.response.trailers", "headers": [(b"Grpc-Status", b"0")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"x", b"y")]},
    ]
    h2 = H2(Answers(*messages))
    h2.send(headers(1, [*GET, (b"te", b"trailers")]))
    answer = h2.answer()
    assert (answer.body, answer.trailers, answer.ended) == (b"data", [(b"grpc-status", b"0"), (b"x", b"y")], True)


def test_trailers_wait_for_the_body() -> None:
    messages = [
        {**start(), "trailers": True},
        body(b"x" * 70000),
        {"type": "http.response.trailers", "headers": [(b"a", b"b")]},
    ]
    h2 = H2(Answers(*messages))
    h2.send(headers(1, [*GET, (b"te", b"trailers")]))
    assert h2.answer().trailers is None
    h2.send(window_update(0, 70000), window_update(1, 70000))
    assert (len(h2.answer().body), h2.answer().trailers) == (70000, [(b"a", b"b")])


def test_trailers_that_the_client_does_not_take() -> None:
    messages = [
        {**start(), "trailers": True},
        body(b"x"),
        {"type": "http.response.trailers", "headers": [(b"a", b"b")]},
    ]
    h2 = H2(Answers(*messages))
    h2.send(headers(1))
    assert (h2.answer().body, h2.answer().trailers, h2.answer().ended) == (b"x", None, True)


def test_a_turn_is_bounded_in_time() -> None:
    """Streams whose steps take a millisecond each: the loop has its turn in between, answers leave before the next
    step, and frames that wait are used in their order."""
    rounds: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        h2.client.runtime.time += 0.0011
        rounds[-1] += 1
        sent.append(len(h2.client.writes))
        await send(start())
        await send(body(scope["path"].encode()))

    def tick() -> None:
        rounds.append(0)
        if sum(rounds) < 50:
            h2.client.runtime.call_soon(tick)

    sent: list[int] = []
    h2 = H2(app)
    h2.client.runtime.quick_steps = QUICK_STEPS
    tick()
    frames = h2.send(*(headers(stream) for stream in range(1, 101, 2)), ping(b"12345678"))
    assert [h2.answer(stream).status for stream in range(1, 101, 2)] == [200] * 50
    assert max(rounds) <= 6
    assert sent == list(range(sent[0], sent[0] + 50))
    assert [frame.payload for frame in frames if frame.kind == 6] == [b"12345678"]


def test_q_h2_17_te_in_any_case() -> None:
    app = Answers(start(trailers=True), body(b"a"), {"type": "http.response.trailers", "headers": [(b"x", b"y")]})
    h2 = H2(app)
    h2.send(headers(1, [*GET, (b"te", b"Trailers")]))
    assert h2.answer().trailers == [(b"x", b"y")]


def test_early_hints() -> None:
    h2 = H2(Answers({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}, start(), body(b"x")))
    h2.send(headers(1))
    assert h2.answer().interim == [[(b":status", b"103"), (b"link", b"</a.css>; rel=preload")]]
    assert h2.answer().status == 200


def test_e10_h2_07_an_answer_ahead_of_the_body() -> None:
    """Without lingering, RST_STREAM(NO_ERROR) follows the response; what still comes is dropped and given back
    (Q-H2-2)."""
    h2 = H2(Answers(start(), body(b"no")), max_unread_body=0)
    for stream in range(1, 401, 2):
        h2.send(headers(stream, POST, end=False))
        assert (h2.answer(stream).body, h2.answer(stream).reset) == (b"no", NO_ERROR)
        h2.send(data(stream, bytes(16384)) * 3)
    assert h2.goaway is None
    assert h2.reader.windows[0] >= 4194304 - 65535 + 200 * 3 * 16384 - 4194304
    assert h2.alive()


def test_h2_06_g12_q_h2_5_an_application_that_fails_behind_its_head() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        if scope["path"] == "/":
            await send(body(b"x", True))
            raise ValueError("broken")
        await send(body(b"fine"))

    h2 = H2(app)
    h2.send(headers(1), headers(3, with_path(b"/fine")))
    assert h2.answer(1).reset == INTERNAL_ERROR
    assert h2.answer(3).body == b"fine"
    assert h2.goaway is None
    assert len(h2.client.errors) == 1


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [start()],
        [start(headers=[(b"a", b"1\r\nb: 2")])],
        [start(99)],
        [start(headers=[(b"content-length", b"x")])],
        [start(headers=[(b":status", b"200")])],
    ],
)
def test_g11_an_application_that_fails_ahead_of_its_body(messages: list[Any]) -> None:
    h2 = H2(Answers(*messages) if messages else nothing)
    h2.send(headers(1), headers(3))
    assert (h2.answer(1).status, h2.answer(3).status) == (500, 500)
    assert len(h2.client.errors) == 2
    assert h2.goaway is None


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


def test_g11_a_body_that_is_not_as_long_as_announced() -> None:
    h2 = H2(Answers(start(headers=[(b"content-length", b"5")]), body(b"123")))
    h2.send(headers(1))
    assert h2.answer().reset == INTERNAL_ERROR or h2.answer().status == 500
    h2 = H2(Answers(start(headers=[(b"content-length", b"2")]), body(b"123")))
    h2.send(headers(1))
    assert (h2.answer().body, h2.answer().ended) == (b"12", True)


def test_access_records() -> None:
    h2 = H2(Answers(start(), body(b"hello")))
    h2.send(headers(1, with_path(b"/x?y")))
    assert [(entry.method, entry.path, entry.status, entry.body_bytes) for entry in h2.client.access] == [
        ("GET", b"/x?y", 200, 5)
    ]


# -- ends of streams


def test_h2_01_a_stream_that_is_reset_while_the_application_sends() -> None:
    errors: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 10000, True))
        except OSError as error:
            errors.append(error)
            raise

    h2 = H2(app, keep_alive_max_requests=1000000)
    for stream in range(1, 4001, 2):
        h2.send(window_update(0, 65535), headers(stream))
        h2.send(reset(stream))
    assert len(errors) == 2000
    assert h2.goaway is None
    assert h2.connection.streams == {}
    assert h2.connection.orphans.count == 0
    assert not h2.server.runtime.tasks
    assert h2.client.errors == []


def test_h2_21_a_silent_stream_is_cancelled() -> None:
    ended: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        from hypercorn.testing import sleep

        try:
            await send(start())
            await send(body(b"x", True))
            await sleep(1000)
        finally:
            ended.append(h2.server.runtime.time)

    h2 = H2(app)
    h2.send(headers(1))
    began = h2.server.runtime.time
    h2.send(reset(1))
    h2.advance(0.1)
    assert ended
    assert ended[0] - began < 0.1
    assert h2.connection.orphans.count == 0
    assert h2.alive()


def test_push_is_never_sent_to_those_who_do_not_want_it() -> None:
    h2 = H2(Answers(), start=b"")
    h2.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings((2, 0), (3, 0), (6, 1)), headers(1))
    assert h2.answer().status == 200
    assert h2.reader.promised == {}
