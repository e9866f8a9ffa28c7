"""The life of a WebSocket as applications see it, in memory: the ASGI messages in every state, both ends of the close,
and what the server does in their place. Labels: WS-*, Q-WS-*, N9."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import EAGERNESS, Answers, config, responses, serve
from tests.support.websocket import ACCEPT, MemoryWebSocket, Script, upgrade, websocket
from tests.wire.websocket_frames import close, frame

from hypercorn.errors import ClientDisconnected, UnexpectedMessageError
from hypercorn.testing import Event, MemoryServer, sleep

ACCEPTED = {"type": "websocket.accept"}
START = {
    "type": "websocket.http.response.start",
    "status": 401,
    "headers": [(b"x-why", b"no"), (b"content-length", b"4")],
}
BODY = {"type": "websocket.http.response.body", "body": b"stop"}


@EAGERNESS
def test_messages_both_ways(eager: bool) -> None:
    app = Script(after=[{"type": "websocket.send", "text": "welcome"}])
    ws = websocket(app, eager=eager).opened()
    assert ws.header(b"sec-websocket-accept") == ACCEPT
    assert ws.messages() == ["welcome"]
    ws.text("é")
    ws.send(frame(2, b"\0\1"))
    ws.send(frame(1, b"a", fin=False), frame(9, b"p"), frame(0, b"b"))
    found = ws.frames()
    assert [(each.opcode, each.payload) for each in found] == [(1, "é".encode()), (2, b"\0\1"), (10, b"p"), (1, b"ab")]
    assert [set(each) for each in app.seen] == [{"type"}] + [{"type", "text", "bytes"}] * 3


def test_the_scope() -> None:
    app = Script()
    websocket(app, "sec-websocket-protocol: a, b", "x-other:  v ", root_path="/root").opened()
    (scope,) = app.scopes
    headers = scope.pop("headers")
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "root_path": "/root",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "subprotocols": ["a", "b"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    assert (b"x-other", b"v") in headers


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_names_and_values_of_every_kind_of_bytes(kind: Any) -> None:
    """In both answers to a handshake; what is the server's is refused in each kind."""
    fields = [(kind(b"X-Extra"), b"1"), (b"x-more", kind(b"2"))]
    ws = websocket(Script({"type": "websocket.accept", "headers": fields})).opened()
    assert (ws.header(b"x-extra"), ws.header(b"x-more")) == (b"1", b"2")
    denial = {"type": "websocket.http.response.start", "status": 403, "headers": fields}
    client = serve(Answers(denial, {"type": "websocket.http.response.body", "body": b"no"}))
    client.send(upgrade())
    (answer,) = responses(client)
    assert (answer.status, answer.get(b"x-extra"), answer.get(b"x-more")) == (403, b"1", b"2")
    client = serve(Answers({"type": "websocket.accept", "headers": [(kind(b"Upgrade"), b"x")]}))
    client.send(upgrade())
    (answer,) = responses(client)
    assert answer.status == 500
    assert isinstance(client.errors[0].error, ValueError)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "bye"), (1001, "going"), (3000, "é" * 61)])
def test_ws01_q_ws_1_the_peers_code_and_reason(code: int, reason: str) -> None:
    app = Script()
    ws = websocket(app).opened()
    ws.text("first")
    ws.send(close(code, reason.encode()))
    *_, last = ws.frames()
    assert (last.opcode, last.payload) == (8, code.to_bytes(2, "big"))
    assert app.messages == ["first"]
    assert app.end == (code, reason)
    assert ws.client.closed
    assert not ws.client.aborted


def test_an_empty_close_is_1005() -> None:
    app = Script()
    ws = websocket(app).opened()
    ws.send(frame(8))
    assert [each.payload for each in ws.frames()] == [b""]
    assert app.end == (1005, "")


@pytest.mark.parametrize("how", ["end", "disconnect"])
def test_ws02_ws22_a_lost_socket_is_1006_once(how: str) -> None:
    app = Script()
    ws = websocket(app).opened()
    getattr(ws.client, how)()
    assert app.end == (1006, "")
    assert ws.client.closed
    assert ws.client.errors == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_ws03_an_application_that_raises(when: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if when == "after":
            await send(ACCEPTED)
        raise RuntimeError("broken")

    ws = websocket(app)
    if when == "after":
        assert ws.opened().closing() == (1011, b"")
        ws.send(close(1011))
    else:
        (only,) = responses(ws.client)
        assert only.status == 500
    assert ws.client.closed
    assert [str(entry.error) for entry in ws.client.errors] == ["broken"]
    assert [entry.status for entry in ws.client.access] == [101 if when == "after" else 500]


def test_ws04_an_application_that_returns_without_closing() -> None:
    ws = websocket(Script(reads=1)).opened()
    ws.text("a")
    echo, last = ws.frames()
    assert echo.payload == b"a"
    assert last.payload == (1011).to_bytes(2, "big")
    assert len(ws.client.errors) == 1


def test_an_application_that_returns_without_an_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    ws = websocket(app)
    assert [each.status for each in responses(ws.client)] == [500]
    assert ws.client.closed


def test_ws05_q_ws_4_shutdown_is_1012() -> None:
    app = Script()
    ws = websocket(app).opened()
    ws.client.server.shutdown()
    assert ws.closing() == (1012, b"")
    assert app.end == (1012, "")
    assert not ws.client.closed
    ws.send(close(1012))
    assert ws.client.closed


def test_a_handshake_that_is_pending_at_shutdown_is_refused() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append(await receive())

    seen: list[Any] = []
    ws = websocket(app)
    ws.client.server.shutdown()
    assert [each.status for each in responses(ws.client)] == [503]
    assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    assert [entry.status for entry in ws.client.access] == [503]
    ws.client.server.runtime.advance(60)
    assert ws.client.closed


def test_a_denial_that_has_begun_before_shutdown_is_finished() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"short", "more_body": True})
        await gate.wait()
        await send({"type": "websocket.http.response.body", "body": b" and stout"})

    ws = websocket(app)
    ws.client.server.shutdown()
    gate.set()
    assert [(each.status, each.body) for each in responses(ws.client)] == [(418, b"short and stout")]


def test_a_handshake_that_comes_after_shutdown_is_refused() -> None:
    app = Script()
    client = serve(app)
    client.send(upgrade()[:20])
    client.server.shutdown()
    client.send(upgrade()[20:])
    assert [each.status for each in responses(client)] == [503]
    assert app.scopes == []


def test_ws06_ws07_the_applications_close() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPTED)
        await send({"type": "websocket.close", "code": 1008, "reason": "policy"})
        seen.append(await receive())
        seen.append(await receive())

    ws = websocket(app).opened()
    assert ws.closing() == (1008, b"policy")
    assert seen == [{"type": "websocket.disconnect", "code": 1008, "reason": "policy"}] * 2
    ws.send(frame(1, b"dropped"), frame(9, b"dropped too"))
    assert not ws.client.closed
    assert ws.frames() == []
    ws.send(close(1008))
    assert ws.client.closed
    assert not ws.client.aborted


def test_ws06_a_peer_that_never_answers_the_close() -> None:
    ws = websocket(Script(after=[{"type": "websocket.close"}]), websocket_close_timeout=7).opened()
    assert ws.closing() == (1000, b"")
    ws.client.advance(6.8)
    assert not ws.client.closed
    ws.client.advance(0.4)
    assert ws.client.closed


def test_ws08_q_ws_3_close_before_accept_is_403() -> None:
    app = Script({"type": "websocket.close"})
    ws = websocket(app, rest=frame(1, b"early"))
    (only,) = responses(ws.client)
    assert (only.status, only.body) == (403, b"")
    assert app.end == (1006, "")
    assert ws.client.half_closed
    assert [entry.status for entry in ws.client.access] == [403]


def test_ws09_a_denial_response() -> None:
    app = Script(START, {**BODY, "body": b"st", "more_body": True}, {**BODY, "body": b"op"})
    ws = websocket(app)
    (only,) = responses(ws.client)
    assert (only.status, only.body) == (401, b"stop")
    assert only.get(b"x-why") == b"no"
    assert only.get(b"content-length") == b"4"
    assert app.end == (1006, "")
    assert ws.client.closed
    assert [(entry.status, entry.body_bytes) for entry in ws.client.access] == [(401, 4)]


def test_a_denial_response_without_a_length_is_chunked() -> None:
    start = {"type": "websocket.http.response.start", "status": 503}
    ws = websocket(Script(start, {**BODY, "more_body": True}, {"type": "websocket.http.response.body"}))
    (only,) = responses(ws.client)
    assert (only.status, only.body, only.framing, only.complete) == (503, b"stop", "chunked", True)


@pytest.mark.parametrize("body", [b"stopped", b"s"])
def test_a_denial_response_of_another_length(body: bytes) -> None:
    app = Script(START, {**BODY, "body": body})
    ws = websocket(app)
    assert [type(error) for error in app.errors] == [ValueError]
    assert [each.status for each in responses(ws.client)] == [500]


# -- every message in every state

MESSAGES: dict[str, Any] = {
    "accept": ACCEPTED,
    "send": {"type": "websocket.send", "text": "x"},
    "close": {"type": "websocket.close"},
    "start": START,
    "body": BODY,
    "http start": {"type": "http.response.start", "status": 200},
    "http body": {"type": "http.response.body"},
    "unknown": {"type": "websocket.nothing"},
    "no type": {},
}
STATES: dict[str, tuple[list[Any], set[str]]] = {
    "connecting": ([], {"accept", "close", "start"}),
    "connected": ([ACCEPTED], {"send", "close"}),
    "denying": ([START], {"body"}),
    "closed": ([ACCEPTED, {"type": "websocket.close"}], set()),
    "refused": ([{"type": "websocket.close"}], set()),
    "denied": ([START, BODY], set()),
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("state", STATES)
def test_n9_q_ws_8_every_message_in_every_state(state: str, name: str) -> None:
    before, allowed = STATES[state]
    outcome: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in before:
            await send(message)
        try:
            await send(MESSAGES[name])
        except UnexpectedMessageError as error:
            outcome.append(error)
        else:
            outcome.append(None)

    websocket(app)
    assert (outcome[0] is None) == (name in allowed), outcome


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("state", ["connecting", "connected", "denying"])
@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
def test_ws10_ws11_whatever_is_sent_after_the_peer_is_gone(state: str, name: str, told: bool) -> None:
    gate = Event()
    outcome: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in STATES[state][0]:
            await send(message)
        await gate.wait()
        if told:
            assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send(MESSAGES[name])
        except OSError as error:
            outcome.append(error)
        assert (await receive())["type"] == "websocket.disconnect"
        raise outcome[0]

    ws = websocket(app)
    ws.client.disconnect()
    gate.set()
    ws.client.advance(0)
    assert [type(error) for error in outcome] == [ClientDisconnected]
    assert ws.client.errors == []


def test_ws10_gone_before_the_connect_was_read() -> None:
    gate = Event()
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        seen.extend([await receive(), await receive()])

    ws = websocket(app)
    ws.client.end()
    assert ws.client.closed
    gate.set()
    ws.client.advance(0)
    assert [each["type"] for each in seen] == ["websocket.connect", "websocket.disconnect"]
    assert [entry.status for entry in ws.client.access] == [None]


@pytest.mark.parametrize(
    "message",
    [
        {"text": "a"},
        {"text": "a", "bytes": None},
        {"text": None, "bytes": b"a"},
        {"bytes": b"a"},
        {"bytes": bytearray(b"a")},
        {"bytes": memoryview(b"a")},
    ],
)
def test_ws18_text_and_bytes_keys(message: Any) -> None:
    ws = websocket(Script(after=[{"type": "websocket.send", **message}])).opened()
    assert ws.messages() in (["a"], [b"a"])


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, ValueError),
        ({"text": None, "bytes": None}, ValueError),
        ({"text": "a", "bytes": b"a"}, ValueError),
        ({"text": b"a"}, TypeError),
        ({"bytes": "a"}, TypeError),
        ({"bytes": 5}, TypeError),
        ({"text": "\ud800"}, ValueError),
    ],
)
def test_q_ws_8_malformed_messages(message: Any, error: type[Exception]) -> None:
    app = Script(after=[{"type": "websocket.send", **message}])
    ws = websocket(app).opened()
    assert isinstance(app.errors[0], error)
    assert ws.closing()[0] == 1011


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, 70000, -1, "1000", 1000.0])
def test_close_codes_that_nobody_may_send(code: Any) -> None:
    app = Script(after=[{"type": "websocket.close", "code": code}])
    ws = websocket(app).opened()
    assert [type(error) for error in app.errors] == [ValueError]
    assert ws.closing()[0] == 1011


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_close_codes_that_an_application_may_send(code: int) -> None:
    app = Script(after=[{"type": "websocket.close", "code": code, "reason": "because"}])
    ws = websocket(app).opened()
    assert ws.closing() == (code, b"because")
    ws.send(close(code))
    assert ws.client.closed
    assert [entry.status for entry in ws.client.access] == [101]


def test_a_reason_is_cut_between_two_characters() -> None:
    """A control frame has room for 123 bytes of it (RFC 6455 section 5.5)."""
    app = Script(after=[{"type": "websocket.close", "code": 4000, "reason": "é" * 100}])
    assert websocket(app).opened().closing() == (4000, "é".encode() * 61)


def test_close_without_code_and_with_none() -> None:
    assert websocket(Script(after=[{"type": "websocket.close"}])).opened().closing() == (1000, b"")
    message = {"type": "websocket.close", "code": None, "reason": None}
    assert websocket(Script(after=[message])).opened().closing() == (1000, b"")


# -- accepting


def test_accept_with_subprotocol_and_headers() -> None:
    accept = {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"X-Extra", b"1"), (b"x-more", b" 2 ")]}
    ws = websocket(Script(accept), "sec-websocket-protocol: a, b").opened()
    assert ws.header(b"sec-websocket-protocol") == b"b"
    assert ws.header(b"x-extra") == b"1"
    assert ws.header(b"x-more") == b"2"
    assert ws.header(b"upgrade") == b"websocket"
    assert ws.header(b"connection") == b"upgrade"
    assert ws.header(b"server") is not None
    assert ws.header(b"date") is not None


@pytest.mark.parametrize(
    "accept",
    [
        {"subprotocol": "c"},
        {"subprotocol": ""},
        *(
            {"headers": [(name, b"x")]}
            for name in (b"sec-websocket-protocol", b"Sec-WebSocket-Accept", b"upgrade", b":status", b"a b", b"")
        ),
        {"headers": [(b"sec-websocket-extensions", b"permessage-deflate")]},
        {"headers": [(b"x-split", b"a\r\nb: c")]},
    ],
)
def test_accepts_that_are_refused(accept: Any) -> None:
    app = Script({"type": "websocket.accept", **accept})
    ws = websocket(app, "sec-websocket-protocol: a, b")
    assert [type(error) for error in app.errors] == [ValueError]
    assert [each.status for each in responses(ws.client)] == [500]


def test_q_ws_7_frames_beside_the_handshake_and_before_the_accept() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await gate.wait()
        await send(ACCEPTED)
        for _ in range(3):
            seen.append((await receive())["text"])

    seen: list[str] = []
    ws = websocket(app, rest=frame(1, b"one") + frame(1, b"t"))
    ws.send(frame(1, b"wo")[:3])
    ws.send(frame(1, b"wo")[3:])
    assert ws.client.received() == b""
    gate.set()
    ws.client.advance(0)
    assert seen == ["one", "t", "wo"]
    assert ws.client.received().startswith(b"HTTP/1.1 101 ")


def test_what_waits_for_the_accept_is_bounded() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(10)

    ws = websocket(app)
    ws.send(*[frame(2, b"x" * 60_000)] * 2)
    assert ws.client.paused


def test_a_handshake_without_an_answer_ends() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append(await receive())

    seen: list[Any] = []
    ws = websocket(app, websocket_handshake_timeout=4)
    ws.client.advance(4.2)
    assert [each.status for each in responses(ws.client)] == [504]
    assert seen == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]


# -- the record


def test_q_ws_10_one_access_record_at_the_end_with_the_duration() -> None:
    ws = websocket(Script()).opened()
    ws.text("abc")
    ws.client.advance(3)
    assert ws.client.access == []
    ws.send(close(1000))
    (entry,) = ws.client.access
    assert (entry.method, entry.path, entry.status) == ("GET", b"/ws", 101)
    assert entry.body_bytes == 5
    assert entry.duration == pytest.approx(3)


# -- the handshake


def refused(*fields: str, request: bytes = b"", **options: Any) -> int:
    """The status of a handshake that no application gets to see."""
    app = Script()
    ws = websocket(app, *fields, **options) if not request else None
    if ws is None:
        client = serve(app, **options)
        client.send(request)
    else:
        client = ws.client
    (only,) = responses(client)
    assert app.scopes == []
    assert client.closed or client.half_closed
    assert len(client.access) == 1
    return only.status


def test_ws20_q_ws_7_handshakes_that_are_none() -> None:
    good = upgrade()
    assert refused(request=upgrade(version="8")) == 426
    assert refused(request=good.replace(b"sec-websocket-version: 13\r\n", b"")) == 400
    assert refused(request=good.replace(b"GET", b"POST")) == 400
    assert refused(request=good.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\nab")) == 400
    assert refused(request=upgrade(key="")) == 400
    assert refused(request=upgrade(key="YWJj")) == 400
    assert refused(request=upgrade(key="!" * 22 + "==")) == 400
    assert refused("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==") == 400
    assert refused("sec-websocket-version: 13") == 426
    assert refused(server_names=["other"]) == 404


def test_ws20_another_version_is_told_the_right_one() -> None:
    client = serve(Script())
    client.send(upgrade(version="8"))
    (only,) = responses(client)
    assert (only.status, only.get(b"sec-websocket-version"), only.get(b"upgrade")) == (426, b"13", b"websocket")
    assert only.get(b"connection") == b"upgrade, close"


@pytest.mark.parametrize(
    "change",
    [
        (b"connection: Upgrade\r\n", b""),
        (b"connection: Upgrade\r\n", b"connection: keep-alive\r\n"),
        (b"upgrade: websocket\r\n", b"upgrade: foo\r\n"),
        (b"upgrade: websocket\r\n", b""),
    ],
)
def test_ws20_ws21_what_is_an_ordinary_request(change: tuple[bytes, bytes]) -> None:
    app = Answers()
    client = serve(app)
    client.send(upgrade().replace(*change))
    assert [each.status for each in responses(client)] == [200]
    assert [scope["type"] for scope in app.scopes] == ["http"]
    assert not client.closed


def test_switched_off_a_handshake_is_an_ordinary_request() -> None:
    app = Answers()
    client = serve(app, websockets=False)
    client.send(upgrade())
    assert [each.status for each in responses(client)] == [200]
    assert [scope["type"] for scope in app.scopes] == ["http"]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([], []),
        (["sec-websocket-protocol: a"], ["a"]),
        (["sec-websocket-protocol: a,b"], ["a", "b"]),
        (["sec-websocket-protocol:  a , b "], ["a", "b"]),
        (["Sec-WebSocket-Protocol: a", "SEC-WEBSOCKET-PROTOCOL: b,, c"], ["a", "b", "c"]),
    ],
)
def test_ws13_subprotocols(fields: list[str], wanted: list[str]) -> None:
    app = Script()
    websocket(app, *fields).opened()
    assert app.scopes[0]["subprotocols"] == wanted


@pytest.mark.parametrize("value", ["\x80\xff", "a b", "a, b/c", 'a"b', "é"])
def test_ws13_subprotocols_that_are_no_tokens(value: str) -> None:
    """CVE-2026-42544."""
    assert refused(f"sec-websocket-protocol: {value}") == 400


@pytest.mark.parametrize("byte", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85"])
def test_ws14_separators_of_str_stay_in_one_header(byte: str) -> None:
    """CVE-2026-44546."""
    if byte == "\x85":
        app = Script()
        websocket(app, f"x-value: a{byte}b: c").opened()
        assert (b"x-value", b"a\x85b: c") in app.scopes[0]["headers"]
    else:
        assert refused(f"x-value: a{byte}b: c") == 400


@pytest.mark.parametrize("name", ["key", "version", "protocol", "extensions"])
@pytest.mark.parametrize("byte", ["\x80", "\xff", "\xc3\xa9"])
def test_no_field_that_the_server_reads_crashes_it(name: str, byte: str) -> None:
    app = Script()
    ws = websocket(app, f"sec-websocket-{name}: {byte}")
    raw = ws.client.received()
    assert raw[9:12] in (b"101", b"400", b"426")
    assert ws.client.errors == []


def test_origins() -> None:
    options = {"websocket_origins": ["https://a.example", "http://localhost:8000"]}
    for good in ("https://a.example", "HTTPS://A.EXAMPLE", "http://localhost:8000"):
        websocket(Script(), f"origin: {good}", **options).opened()
    websocket(Script(), **options).opened()
    websocket(Script(), "origin: https://evil.example", websocket_origins=["*"]).opened()
    for bad in ("https://b.example", "https://a.example:444", "null", "", "https://a.example.evil"):
        assert refused(f"origin: {bad}", **options) == 403
    assert refused("origin: https://a.example", "origin: https://b.example", **options) == 403


def test_ws19_the_scheme_behind_tls() -> None:
    app = Script()
    MemoryWebSocket(MemoryServer(app, config()).connect(scheme="https")).opened()
    assert app.scopes[0]["scheme"] == "wss"
