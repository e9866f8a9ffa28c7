"""0 is zero and `none` is no limit, for every limit that the protocols keep to, on the wire."""

from __future__ import annotations

import subprocess
import sys
from math import inf
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import GET, Answers, Reads, body, http3_in_memory, response, responses, serve, start
from tests.support.http2 import GET as GET2
from tests.support.http2 import H2, NO_ERROR, POST, data, headers
from tests.support.live import echo, hello
from tests.support.websocket import frame, upgrade, websocket

from hypercorn.config import Config
from hypercorn.config.options import BY_NAME, OPTIONS, limits_of
from hypercorn.config.options.option import LARGEST
from hypercorn.protocol.limits import NAMES, Limits
from hypercorn.testing import sleep

LONG = 10.0**6  # seconds
TREE = Path(__file__).resolve().parents[2]
NO_LIMIT = [option for option in OPTIONS if option.limits and option.kind.expected.endswith("or none")]


def limits(**options: Any) -> Limits:
    return Limits(limits_of(Config.from_mapping(options)))


def test_the_generated_files_are_fresh() -> None:
    made = subprocess.run(
        [sys.executable, "csrc/make_limits.py", "--check"], cwd=TREE, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr


def test_the_limits_are_frozen() -> None:
    one = limits(keep_alive_timeout=3)
    for name in (*NAMES, "unheard_of"):
        with pytest.raises(AttributeError):
            setattr(one, name, 1)
    other = one.changed(keep_alive_timeout=4.0)
    assert (one.keep_alive_timeout, other.keep_alive_timeout) == (3.0, 4.0)
    assert other.idle_grace == one.idle_grace


def test_the_limits_have_the_names_and_values_of_the_options() -> None:
    one = limits()
    assert set(NAMES) == {option.name for option in OPTIONS if option.limits}
    for name in NAMES:
        assert getattr(one, name) == BY_NAME[name].number(BY_NAME[name].default), name
    assert limits(read_timeout=7).body_timeout == 7.0  # it takes that one's place


@pytest.mark.parametrize("option", NO_LIMIT, ids=lambda option: option.name)
def test_none_is_a_number_beyond_all_others(option: Any) -> None:
    expected = 0 if option.name.startswith("min_") else inf if option.is_time else LARGEST
    if not option.replaces:
        assert getattr(limits(**{option.name: "none"}), option.name) == expected


# -- keep_alive_timeout


def test_http1_keeps_no_connection_for_0_seconds() -> None:
    client = serve(Answers(start(), body(b"ok")), keep_alive_timeout=0)
    client.send(GET)
    found = response(client)
    assert (found.status, found.body) == (200, b"ok")
    assert found.get(b"connection") == b"close"
    assert client.closed
    assert not client.aborted


def test_http1_waits_for_a_first_request_all_the_same() -> None:
    client = serve(Answers(), keep_alive_timeout=0, header_timeout=10)
    client.advance(9.9)
    assert not client.closed
    client.send(GET)
    assert response(client).status == 200


def test_http1_keeps_a_connection_for_ever() -> None:
    client = serve(Answers(), keep_alive_timeout=None, keep_alive_header=True)
    client.send(GET)
    assert response(client).get(b"keep-alive") is None  # there is no time to tell of
    client.advance(LONG)
    assert not client.closed
    client.server.shutdown()
    client.advance(2)
    assert client.closed


def test_http2_keeps_no_connection_for_0_seconds() -> None:
    h2 = H2(Answers(start(), body(b"ok")), keep_alive_timeout=0, header_timeout=10)
    h2.advance(9)
    assert not h2.client.closed  # no request came yet
    h2.send(headers(1, GET2))
    assert h2.answer(1).body == b"ok"
    h2.advance(0.01)
    assert h2.goaway == NO_ERROR
    assert h2.client.closed


def test_http2_keeps_a_connection_for_ever() -> None:
    h2 = H2(Answers(), keep_alive_timeout=None, h2_ping_interval=None)
    h2.send(headers(1, GET2))
    h2.advance(LONG)
    assert not h2.client.closed


def test_http3_keeps_no_connection_for_0_seconds() -> None:
    http3 = http3_in_memory()
    server = http3.Server(hello, keep_alive_timeout=0, header_timeout=10)
    client = server.client()
    server.settle(5)
    assert client.closed is None
    assert client.ask().status == 200
    server.settle(1)
    assert client.closed is not None


# -- linger_timeout


@pytest.mark.parametrize(("seconds", "closed"), [(0, True), (None, False)])
def test_http1_lingers(seconds: float | None, closed: bool) -> None:
    client = serve(Answers(), linger_timeout=seconds)
    client.send(b"nonsense\r\n\r\n")
    assert response(client).status == 400
    client.advance(0.01 if closed else LONG)
    assert client.closed == closed


@pytest.mark.parametrize(("seconds", "closed"), [(0, True), (None, False)])
def test_http2_lingers(seconds: float | None, closed: bool) -> None:
    h2 = H2(Answers(), linger_timeout=seconds)
    h2.send(data(3))  # a stream that nobody opened
    assert h2.goaway not in (None, NO_ERROR)
    h2.advance(0.01 if closed else LONG)
    assert h2.client.closed == closed


# -- max_body_size


@pytest.mark.parametrize("framing", [b"content-length: 1\r\n\r\nx", b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"])
def test_http1_takes_no_body_of_more_than_0_bytes(framing: bytes) -> None:
    client = serve(Reads(), max_body_size=0)
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\n" + framing)
    assert response(client).status == 413


def test_http1_takes_requests_without_a_body() -> None:
    client = serve(Reads(), max_body_size=0)
    client.send(GET + b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
    assert [found.status for found in responses(client)] == [200, 200]


@pytest.mark.parametrize("length", [[(b"content-length", b"1")], []])
def test_http2_takes_no_body_of_more_than_0_bytes(length: list[tuple[bytes, bytes]]) -> None:
    h2 = H2(Reads(), max_body_size=0)
    h2.send(headers(1, [*POST, *length], end=False) + data(1, b"x"))
    assert h2.answer(1).status == 413


def test_http3_takes_no_body_of_more_than_0_bytes() -> None:
    http3 = http3_in_memory()
    server = http3.Server(echo, max_body_size=0)
    client = server.client()
    assert client.ask(http3.request(b"/", b"POST"), b"x").status == 413
    assert client.ask().status == 200


# -- times of WebSockets, heads, bodies, output: `none`


def test_no_limits_of_time_at_all() -> None:
    """Nothing ends an exchange that goes on, nor one whose client does not."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await sleep(LONG)
        await send(start())
        await send(body(b"ok"))

    names = ("header_timeout", "body_timeout", "write_timeout", "keep_alive_timeout", "min_receive_rate")
    client = serve(slow, **dict.fromkeys((*names, "min_send_rate")))
    client.send(b"POST / HTTP/1.1\r\nhost:")
    client.advance(LONG)
    client.send(b" a\r\ncontent-length: 2\r\n\r\nx")
    client.advance(LONG)
    client.send(b"x")
    client.advance(LONG + 1)
    assert response(client).status == 200
    client.advance(LONG)
    assert not client.closed


def test_a_websocket_without_limits() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(LONG)
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    times = [option.name for option in NO_LIMIT if option.name.startswith("websocket_")]
    assert len(times) >= 7
    client = serve(app, **dict.fromkeys(times))
    client.send(upgrade())
    client.advance(LONG + 1)
    assert client.received().startswith(b"HTTP/1.1 101 ")
    client.advance(LONG)
    assert not client.closed
    assert client.received() == b""


@pytest.mark.parametrize("number", [1 << 31, 1 << 32, 1 << 40])
@pytest.mark.parametrize("option", ["max_request_line_size", "max_header_size", "max_header_count", "max_body_size"])
def test_numbers_that_are_more_than_a_word_says_in_32_bits(option: str, number: int) -> None:
    client = serve(echo, **{option: number})
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
    assert response(client).body == b"ab"


@pytest.mark.parametrize("number", [1 << 31, 1 << 32, 1 << 40])
@pytest.mark.parametrize("option", ["websocket_max_queue", "websocket_max_message_size", "websocket_max_frame_size"])
def test_numbers_for_websockets_that_are_more_than_a_word_says_in_32_bits(option: str, number: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    ws = websocket(app, **{option: number}).opened()
    ws.send(frame(1, b"one"))
    assert ws.messages()[0] == "one"
