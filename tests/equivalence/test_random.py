"""Random programs of what applications do observe under the server what they observe in plain tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from tests.equivalence.carriers import http3_options
from tests.equivalence.driver import drive
from tests.equivalence.steps import Runner, Step, programs
from tests.runtime.test_http2 import Client
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import GET, headers
from tests.support.http3 import LiveClient
from tests.support.http3 import request as http3_request
from tests.support.live import DRIVERS, Live
from tests.support.websocket import LiveWebSocket

__all__ = ("certificates",)  # a fixture

Ask = Callable[[], object]
Later = Callable[[Callable[[], None]], None]


def ask_http1(live: Live, at_end: Later) -> Ask:
    peer = live.connect()
    return lambda: peer.get("/path").body


def ask_http2(live: Live, at_end: Later) -> Ask:
    client = Client(live.connect())
    streams = iter(range(1, 1 << 20, 2))

    def ask() -> bytes:
        stream = next(streams)
        client.send(headers(stream, [GET[0], GET[1], (b":path", b"/path"), GET[3]]))
        return client.answer(stream).body

    return ask


def ask_websocket(live: Live, at_end: Later) -> Ask:
    def ask() -> list[str]:
        ws = LiveWebSocket(live.connect())
        ws.send(1, b"text")
        texts: list[str] = []
        while (frame := ws.read()).opcode != 8:
            texts.append(frame.payload.decode())
        ws.peer.close()
        return sorted(texts)

    return ask


def ask_http3(live: Live, at_end: Later) -> Ask:
    client = LiveClient(live.port).start()
    at_end(client.close)

    def ask() -> bytes:
        return bytes(client.ask(http3_request(b"/path")).body)

    return ask


CARRIERS = [ask_http1, ask_http2, ask_http3, ask_websocket]


@pytest.fixture(params=CARRIERS, ids=lambda carrier: carrier.__name__[4:])
def compare(
    request: pytest.FixtureRequest, serve_app: Any, backend: str, driver: str, certificates: Certificates
) -> Callable[[list[Step]], None]:
    """Runs a program in a plain task and under one server, which all of a test's programs share."""
    options: dict[str, Any] = {"lifespan": "off", "graceful_timeout": 0.1}
    if request.param is ask_http3:
        if driver != DRIVERS[0]:
            pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
        options.update(http3_options(certificates))
    runner, plain = Runner(), Runner()
    live: Live = serve_app(runner, **options)
    ask = request.param(live, request.addfinalizer)
    kind = "websocket" if request.param is ask_websocket else "http"

    def compare(steps: list[Step]) -> None:
        plain.give(steps)
        runner.give(steps)
        (exchange,) = drive(backend, plain, kind, [("/path", ["text"])])
        assert exchange.error is None
        sent = [message for message in exchange.sent if message["type"] != "websocket.accept"]
        expected = sorted(one["text"] for one in sent[:-1]) if kind == "websocket" else exchange.answer()[1]
        assert ask() == expected
        assert runner.calls == plain.calls
        assert live.errors() == []

    return compare


SHARED = [HealthCheck.function_scoped_fixture]
# Each step once: inside of others, and in a later step of the call.
ALL_STEPS: list[Step] = [
    ("look",),
    ("set", 1),
    ("together", [("look",), ("set", 2), ("receive",)], [("sleep",), ("look",), ("raise",)]),
    ("catch", [("wrong",), ("send",), ("raise",)]),
    ("cancelled", [("send",), ("receive elsewhere",)]),
    ("timeout", [("never awaited",), ("cancel",)]),
    ("scope", [("cancel the task",), ("callback",)]),
    ("shield", [("thread",), ("pass",)]),
]


@settings(max_examples=8, suppress_health_check=SHARED)
@given(steps=programs)
@example(steps=ALL_STEPS)
def test_random_programs(compare: Callable[[list[Step]], None], steps: list[Step]) -> None:
    compare(steps)


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=SHARED, derandomize=False)
@given(steps=programs)
def test_many_random_programs(compare: Callable[[list[Step]], None], steps: list[Step]) -> None:
    compare(steps)
