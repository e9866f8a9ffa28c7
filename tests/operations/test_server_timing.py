"""The Server-Timing field: on every protocol and loop, for whom it is meant, and what its figures are."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from tests.runtime.test_http3 import serve
from tests.runtime.test_tls import Certificates, certificates
from tests.support.harness import GET, Answers, body, config, response, start
from tests.support.http2 import H2, headers
from tests.support.http3 import LiveClient
from tests.support.live import Live, hello, pause, respond
from tests.support.websocket import upgrade

from hypercorn.asgi.observed import ObservedContext
from hypercorn.asgi.streams import StreamContext
from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.testing import Event, MemoryServer

__all__ = ("certificates", "serve")  # fixtures

FORM = re.compile(rb"queue;dur=(\d+\.\d), app;dur=(\d+\.\d)")


def times(value: bytes | str | None) -> tuple[float, float]:
    """Milliseconds of the queue and of the application."""
    match = FORM.fullmatch(value.encode() if isinstance(value, str) else value or b"")
    assert match is not None, value
    return float(match[1]), float(match[2])


@pytest.mark.parametrize("mode", ["off", "trusted", "on"])
def test_whose_responses_have_the_field(mode: str) -> None:
    server = MemoryServer(Answers(), config(server_timing=mode, trusted_proxies=["10.0.0.1"]))
    for host in ("10.0.0.1", "192.0.2.1"):
        client = server.connect(client=(host, 1))
        client.send(GET)
        wanted = mode == "on" or (mode == "trusted" and host == "10.0.0.1")
        assert (response(client).get(b"server-timing") is not None) is wanted
        h2 = H2(None, server=server)
        h2.client.transport.trusted = host == "10.0.0.1"
        h2.send(headers(1))
        assert (h2.answer().get(b"server-timing") is not None) is wanted
    # What is off is not there at all.
    assert type(server.context) is (StreamContext if mode == "off" else ObservedContext)


def test_the_figures_are_milliseconds() -> None:
    """The queue: from the turn that brought the head to the call. The application: from there to its start message."""
    go_on = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await send(start())
        await send(body(b"late"))

    client = MemoryServer(app, config(server_timing="on"), eager=False).connect()
    client.transport.turn = 1  # a turn that has other calls to begin first
    client.transport.turn_at = client.server.runtime.now()
    client.advance(0.0125)
    client.transport.connection.data_received(GET)
    client.transport.turn = 0
    client.advance(0.0)
    client.advance(1.5)
    go_on.set()
    client.advance(0.0)
    assert times(response(client).get(b"server-timing")) == (12.5, 1500.0)


def test_the_application_keeps_its_own_field_and_its_message() -> None:
    given = start(200, [(b"server-timing", b"db;dur=53"), (b"content-length", b"2")])
    before = {**given, "headers": list(given["headers"])}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(given)
        await send(body(b"ok"))

    client = MemoryServer(app, config(server_timing="on")).connect()
    for _ in range(2):
        client.send(GET)
        fields = response(client).all(b"server-timing")
        assert fields[0] == b"db;dur=53"
        times(fields[1])
        assert len(fields) == 2
        assert given == before


def test_headers_of_any_kind() -> None:
    for kind in (tuple, iter, list):

        async def app(scope: Any, receive: Any, send: Any, kind: Any = kind) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": kind([(b"x", b"1")])})
            await send({"type": "http.response.body"})

        client = MemoryServer(app, config(server_timing="on")).connect()
        client.send(GET)
        answer = response(client)
        assert answer.get(b"x") == b"1"
        times(answer.get(b"server-timing"))


def test_the_servers_own_refusals_have_none() -> None:
    client = MemoryServer(Answers(), config(server_timing="on")).connect()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    answer = response(client)
    assert (answer.status, answer.get(b"server-timing")) == (400, None)


def test_over_sockets(serve_app: Any) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await pause(0.05)
        await respond(send)

    live: Live = serve_app(slow, lifespan="off", server_timing="on")
    with live.connect() as peer:
        fields = dict(peer.get().headers)
    assert times(fields["server-timing"])[1] >= 49


def test_over_http3(serve: Any, certificates: Certificates) -> None:
    live = serve(hello, server_timing="on")
    with LiveClient(live.port) as client:
        times(client.ask().headers[b"server-timing"])


def test_the_wait_for_a_thread_is_queueing(serve_app: Any) -> None:
    """A WSGI application with one thread: the second request waits for the first."""
    entered = threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        entered.set()
        time.sleep(0.2)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    live: Live = serve_app(app, mode="wsgi", server_timing="on", wsgi_threads=1)
    with live.connect() as one, live.connect() as other:
        one.send(GET)
        assert entered.wait(10)
        other.send(GET)
        queue, app_time = times(dict(one.response().headers)["server-timing"])
        assert queue < 150 <= app_time
        queue, app_time = times(dict(other.response().headers)["server-timing"])
        assert queue > 50
        assert app_time >= 190


async def accept(scope: Any, receive: Any, send: Any) -> None:
    """Accepts a WebSocket and closes it."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})


def test_websockets_have_none(serve_app: Any) -> None:
    live: Live = serve_app(accept, lifespan="off", server_timing="on")
    with live.connect() as peer:
        peer.send(upgrade())
        head = peer.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"server-timing" not in head


def test_values() -> None:
    with pytest.raises(ConfigError, match=r"server_timing = 'yes' .*expected one of off, trusted, on"):
        Config(server_timing="yes")
