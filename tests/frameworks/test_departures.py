"""Clients that leave in the middle of a stream of events are no errors, whatever the framework makes of it: Litestar's
SSE, `sse_app` of mcp, and a2wsgi both ways, over HTTP/1.1, HTTP/2 and HTTP/3."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import anyio
import pytest
from aioquic.quic.events import PingAcknowledged
from tests.runtime.test_tls import Certificates, certificates
from tests.support import http2
from tests.support.http3 import LiveClient, request
from tests.support.live import DRIVERS, Live, eventually
from tests.support.peer import PATIENCE

from hypercorn.wire.http3 import H3_REQUEST_CANCELLED

__all__ = ("certificates",)  # a fixture

EVENT = b"data: "


class Calls:
    """An application, how many of its calls run, and what those that ended have raised."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.started = 0
        self.open = 0
        self.threads: list[None] = []  # one for each that works for a call
        self.raised: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        self.started += 1
        self.open += 1
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            self.raised.append(error)
            raise
        finally:
            self.open -= 1


class WSGICalls(Calls):
    """The same for WSGI: a call ends with the `close` of its response. `end` is called at the end of the test."""

    end: Callable[[], None]

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:  # type: ignore[override]
        self.started += 1
        self.open += 1
        return self.pieces(self.app(environ, start_response))

    def pieces(self, inner: Any) -> Iterator[bytes]:
        try:
            yield from inner
        except Exception as error:
            self.raised.append(error)
            raise
        finally:
            if hasattr(inner, "close"):
                inner.close()
            self.open -= 1


def litestar_events() -> Any:
    litestar = pytest.importorskip("litestar", reason="Litestar is not installed")
    from litestar.response import ServerSentEvent

    async def events() -> ServerSentEvent:
        async def numbers() -> AsyncIterator[str]:
            for number in range(100_000):
                yield str(number)
                await anyio.sleep(0.002)

        return ServerSentEvent(numbers())

    events.__annotations__["return"] = ServerSentEvent
    return Calls(litestar.Litestar([litestar.get("/events")(events)]))


def mcp_events() -> Any:
    """It sends where to post, and then nothing until it is asked."""
    pytest.importorskip("mcp", reason="mcp is not installed")
    from mcp.server.mcpserver import MCPServer
    from mcp.server.transport_security import TransportSecuritySettings

    any_host = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    return Calls(MCPServer("test").sse_app(sse_path="/events", transport_security=any_host))


def wsgi_in_asgi() -> Any:
    """A WSGI application behind a2wsgi. Its response is short: a2wsgi queues ten pieces for a task that has ended with
    the client, and the thread that has an eleventh waits for ever, under every server that keeps to ASGI 2.4."""
    a2wsgi = pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("content-type", "text/event-stream")])
        calls.threads.append(None)
        try:
            for number in range(8):
                yield b"data: %d\n\n" % number
                time.sleep(0.05)
        finally:
            calls.threads.pop()

    calls = Calls(a2wsgi.WSGIMiddleware(app))
    return calls


def asgi_in_wsgi() -> Any:
    """An ASGI application behind a2wsgi, which the server runs in its threads."""
    a2wsgi = pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        for number in range(100_000):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await anyio.sleep(0.002)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def cancel() -> None:  # a2wsgi leaves a call behind whose client has gone
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def end() -> None:
        asyncio.run_coroutine_threadsafe(cancel(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()

    calls = WSGICalls(a2wsgi.ASGIMiddleware(app, loop=loop))
    calls.end = end
    return calls


def over_http1(live: Live, leave: bool) -> None:
    with live.connect() as peer:
        peer.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        peer.until(EVENT)
        if leave:
            peer.reset()


def over_http2(live: Live, leave: bool) -> None:
    fields = [*http2.GET[:2], (b":path", b"/events"), (b":authority", b"localhost")]
    with live.connect() as peer:
        peer.send(http2.START + http2.headers(1, fields))
        peer.until(EVENT)
        if not leave:
            peer.send(http2.reset(1))
            peer.send(http2.ping())
            peer.until(b"12345678")


def over_http3(live: Live, leave: bool) -> None:
    with LiveClient(live.port) as client:
        stream = client.send(request(b"/events"))
        client.wire.settle(lambda: EVENT in client.answer(stream).body)
        if not leave:
            client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
            client.quic.send_ping(1)
            client.wire.settle(lambda: any(isinstance(event, PingAcknowledged) for event in client.events))


APPS: dict[str, Callable[[], Any]] = {
    "litestar": litestar_events,
    "mcp": mcp_events,
    "wsgi in asgi": wsgi_in_asgi,
    "asgi in wsgi": asgi_in_wsgi,
}
WAYS = {"HTTP/1.1": over_http1, "HTTP/2": over_http2, "HTTP/3": over_http3}


@pytest.fixture
def start(backend: str, driver: str) -> Iterator[Callable[..., Live]]:
    """`serve_app` without its look at tasks: sse_starlette, which mcp uses, leaves one of its own."""
    started: list[Live] = []

    def start(app: Any, **options: Any) -> Live:
        started.append(Live(app, backend, runtime=driver, **options))
        return started[-1]

    yield start
    for live in started:
        if isinstance(live.app, WSGICalls):
            live.app.end()
        live.wake()
        live.thread.join(PATIENCE)
        assert not live.thread.is_alive()
        assert live.failure is None


@pytest.mark.parametrize("leave", [False, True], ids=["the stream", "the connection"])
@pytest.mark.parametrize("version", WAYS)
@pytest.mark.parametrize("name", APPS)
def test_a_client_leaves(
    start: Any, backend: str, driver: str, certificates: Certificates, name: str, version: str, leave: bool
) -> None:
    if name == "wsgi in asgi" and backend == "trio":
        pytest.skip("a2wsgi needs asyncio")
    if version == "HTTP/3" and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    options: dict[str, Any] = {"lifespan": "off"}
    if version == "HTTP/3":
        options |= {"http3": True, "certfile": certificates.certfile, "keyfile": certificates.keyfile}
    app = APPS[name]()
    live = start(app, mode="wsgi" if isinstance(app, WSGICalls) else None, **options)
    for _ in range(3):
        WAYS[version](live, leave)
    eventually(lambda: app.started >= 3 and app.open == 0 and not app.threads)
    eventually(lambda: live.on_loop(lambda: live.running._worker.runtime.active_calls()) == 0)
    raised = [error for error in app.raised if isinstance(error, Exception)]
    expected = 3 if isinstance(app, WSGICalls) else len(raised)  # the server closes a WSGI call

    def departures() -> list[logging.LogRecord]:
        return [record for record in live.log.records if "The client left before" in record.getMessage()]

    eventually(lambda: len(departures()) >= expected)
    assert len(departures()) == expected, raised
    assert live.errors() == []
    assert {record.levelname for record in departures()} <= {"DEBUG"}
