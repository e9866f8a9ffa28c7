"""An application observes what it would observe in a plain task: event by event, whatever serves its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.equivalence.carriers import http3_options
from tests.equivalence.driver import drive
from tests.equivalence.programs import ACTIONS, application, settle
from tests.runtime.test_http2 import Client
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import GET, headers
from tests.support.http3 import LiveClient
from tests.support.http3 import request as http3_request
from tests.support.live import BACKENDS, DRIVERS, Live, eventually, pause
from tests.support.peer import request
from tests.support.websocket import LiveWebSocket

__all__ = ("certificates",)  # a fixture

PATHS = ["/one", "/two", "/three"]


def over_http1(live: Live) -> None:
    with live.connect() as peer:
        for path in PATHS:
            assert peer.get(path).body == path.encode()


def pipelined(live: Live) -> None:
    with live.connect() as peer:
        peer.send(b"".join(map(request, PATHS)))
        assert [peer.response().body for _ in PATHS] == [path.encode() for path in PATHS]


def over_http2(live: Live) -> None:
    with live.connect() as peer:
        client = Client(peer)
        for number, path in enumerate(PATHS):
            stream = 2 * number + 1
            client.send(headers(stream, [GET[0], GET[1], (b":path", path.encode()), GET[3]]))
            assert client.answer(stream).body == path.encode()


def over_http3(live: Live) -> None:
    with LiveClient(live.port) as client:
        for path in PATHS:
            assert client.ask(http3_request(path.encode())).body == path.encode()


def over_websocket(live: Live) -> None:
    for _ in PATHS:
        ws = LiveWebSocket(live.connect())
        ws.send(1, b"text")
        while ws.read().opcode != 8:
            pass
        ws.peer.close()


HTTP: list[Callable[[Live], None]] = [over_http1, pipelined, over_http2, over_http3]
CARRIERS = [*HTTP, over_websocket]


def expected(backend: str, kind: str, names: list[str], **more: Any) -> list[list[str]]:
    """What the calls observe in plain tasks."""
    settle()
    events: list[list[str]] = []
    exchanges = drive(backend, application(names, events, **more), kind, [(path, ["text"]) for path in PATHS])
    assert all(exchange.error is None for exchange in exchanges)
    return events


@pytest.fixture
def observe(serve_app: Any, certificates: Certificates) -> Any:
    """Runs a program under the server. Gives what its calls observed."""

    def observe(carrier: Callable[[Live], None], names: list[str], **more: Any) -> list[list[str]]:
        settle()
        events: list[list[str]] = []
        options: dict[str, Any] = {}
        if carrier is over_http3:
            options = http3_options(certificates)
        live = serve_app(application(names, events, **more), lifespan="off", graceful_timeout=0.1, **options)
        carrier(live)
        live.stop()
        assert live.errors() == []
        return events

    return observe


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.__name__)
def test_every_action(observe: Any, backend: str, driver: str, carrier: Callable[[Live], None], late: bool) -> None:
    if carrier is over_http3 and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    kind = "websocket" if carrier is over_websocket else "http"
    names = list(ACTIONS)
    assert observe(carrier, names, late=late) == expected(backend, kind, names, late=late)


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("carrier", HTTP[:3], ids=lambda carrier: carrier.__name__)
def test_answers_in_an_exception_handler(
    observe: Any, backend: str, carrier: Callable[[Live], None], late: bool
) -> None:
    """As frameworks answer. The next request begins where this one's answer is sent, and knows nothing of that."""
    names = ["exceptions", "context", "identity"]
    expects = expected(backend, "http", names, late=late, handling=True)
    assert observe(carrier, names, late=late, handling=True) == expects


def statuses_over_http2(live: Live) -> list[int]:
    with live.connect() as peer:
        client = Client(peer)
        client.send(*map(headers, (1, 3, 5)))
        return [client.answer(stream).status for stream in (1, 3, 5)]


def statuses_over_http3(live: Live) -> list[int]:
    with LiveClient(live.port) as client:
        streams = [client.send(http3_request(path.encode())) for path in PATHS]
        client.wire.settle(lambda: all(client.answer(stream).over for stream in streams))
        return [client.answer(stream).status for stream in streams]


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("ask", [statuses_over_http2, statuses_over_http3], ids=lambda one: one.__name__)
def test_a_failure_is_no_context_of_the_next_calls(
    serve_app: Any,
    backend: str,
    driver: str,
    certificates: Certificates,
    ask: Callable[[Live], list[int]],
    late: bool,
) -> None:
    """All calls fail, and may begin where the one before ends. HTTP/1.1 closes the connection after the first."""
    if ask is statuses_over_http3 and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    events: list[list[str]] = []
    options = http3_options(certificates) if ask is statuses_over_http3 else {}
    live = serve_app(application(["exceptions"], events, late=late, fails="error"), lifespan="off", **options)
    assert ask(live) == [500] * len(PATHS)
    settle()
    plain: list[list[str]] = []
    exchanges = drive(backend, application(["exceptions"], plain, late=late, fails="error"), "http", [("/", [""])] * 3)
    assert [repr(exchange.error) for exchange in exchanges] == ["ValueError('broken')"] * len(PATHS)
    assert events == plain
    eventually(lambda: len(live.errors()) == len(PATHS))


@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("fails", ["error", "cancelled"])
def test_a_failure_is_answered_and_logged_once(serve_app: Any, backend: str, fails: str, late: bool) -> None:
    """A cancellation that the server has not caused is an error of the application as any other."""
    if backend == "trio" and fails == "cancelled":
        pytest.skip("asyncio's exception")
    events: list[list[str]] = []
    live = serve_app(application(["race"], events, late=late, fails=fails), lifespan="off", access=True)
    with live.connect() as peer:
        assert peer.get("/one").status == 500
    eventually(lambda: len(live.errors()) == 1)
    assert live.errors() == ["Error in the application (GET /one)"]
    assert len(eventually(live.access.texts)) == 1


@pytest.mark.parametrize("when", ["at-once", "late"])
@pytest.mark.parametrize("change", ["remove", "change"])
def test_a_call_that_spoils_its_scope_and_fails(serve_app: Any, change: str, when: str) -> None:
    """The 500 and both records come from what the server knows itself."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if when == "late":
            await pause(0.001)
        for name in list(scope):
            if change == "remove":
                del scope[name]
            else:
                scope[name] = object()
        raise ValueError("broken")

    live = serve_app(app, lifespan="off", access=True)
    with live.connect() as peer:
        assert peer.get("/path").status == 500
    eventually(lambda: len(live.errors()) == 1)
    assert live.errors() == ["Error in the application (GET /path)"]
    (line,) = eventually(live.access.texts)
    assert "GET /path" in line
    assert " 500 " in line


def test_the_twin_is_what_it_is_compared_with() -> None:
    """All backends' twins agree on what does not depend on the loop."""
    names = ["exceptions", "timeout", "unsent", "marks"]
    assert len({str(expected(backend, "http", names)) for backend in BACKENDS}) == 1
