"""`slow_request`: which requests a worker remembers, and where their time went."""

from __future__ import annotations

import inspect
import queue
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.answers import pause
from tests.support.live import BACKENDS, eventually

from hypercorn.asgi.slow import KEPT, SlowRequests
from hypercorn.runtime.memory import MemoryRuntime
from hypercorn.testing import TestServer
from hypercorn.testing.clients import HTTP1Client, HTTP2Client, WebSocketClient

pytestmark = pytest.mark.live
names: list[str] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    path = scope["path"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await pause(0.3)
        await send({"type": "websocket.close"})
        return
    scope["method"] = scope["path"] = scope["client"] = None
    if path == "/fast":
        pass
    elif path == "/application":
        await pause(0.3)
    elif path == "/body":
        while (await receive())["more_body"]:
            pass
    elif path == "/fails":
        await pause(0.3)
        raise ValueError("no")
    await send({"type": "http.response.early_hint", "links": []})
    await send({"type": "http.response.start", "status": 203})
    if path == "/large":
        await send({"type": "http.response.body", "body": bytes(30_000_000), "more_body": True})
    if path == "/later":
        await send({"type": "http.response.body"})
        await pause(0.4)
        return
    await send({"type": "http.response.body"})


@contextmanager
def serving(backend: Any, application: Any = app, **options: Any) -> Iterator[TestServer]:
    server = TestServer(
        application,
        backend=backend,
        lifespan="off",
        log_level="CRITICAL",
        validate_app=False,
        access_log="/dev/null",
        **{"slow_request": 0.2, **options},
    )
    with server:
        yield server


def remembered(server: TestServer) -> list[dict[str, Any]]:
    """The last first, as the server's loop sees it."""
    running = server.running
    assert running is not None
    answers: queue.Queue[Any] = queue.Queue()
    running._call_threadsafe(lambda: answers.put(running._worker.slow.listed()))  # type: ignore[union-attr]
    found = answers.get(timeout=10)
    assert found["threshold"] == server.config.slow_request
    listed: list[dict[str, Any]] = found["requests"]
    return listed


@pytest.mark.parametrize("client", [HTTP1Client, HTTP2Client])
@pytest.mark.parametrize("backend", BACKENDS)
def test_where_the_time_went(backend: Any, client: Any) -> None:
    with serving(backend) as server:
        with client(server.url) as peer:
            begin = time.time()
            assert peer.request("GET", "/fast?x=secret").status == 203
            assert peer.request("PUT", "/application?x=secret", body=b"x").status == 203
        assert eventually(lambda: len(remembered(server)) == 1)
        (one,) = remembered(server)
        assert (one["method"], one["path"], one["status"]) == ("PUT", "/application", 203)
        assert one["protocol"] == ("HTTP/2" if client is HTTP2Client else "HTTP/1.1")
        assert one["client"][0] == "127.0.0.1"
        assert 0.25 < one["application"] <= one["first_byte"] <= one["total"] < 3
        assert one["queue"] + one["receiving"] + one["sending"] < 0.2
        assert begin < one["ended"] < time.time() + 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_slow_clients(backend: Any) -> None:
    """One that sends its body slowly, and one that takes the response slowly."""
    with serving(backend) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(b"PUT /body HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx")
            time.sleep(0.4)
            sock.sendall(b"y")
            sock.recv(65536)
        assert eventually(lambda: len(remembered(server)) == 1)
        (one,) = remembered(server)
        assert one["receiving"] > 0.25
        assert one["application"] < 0.2
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            time.sleep(0.4)
            while sock.recv(1 << 20):
                pass
        assert eventually(lambda: len(remembered(server)) == 2)
        one = remembered(server)[0]
        assert (one["path"], one["status"]) == ("/large", 203)
        assert one["sending"] > 0.25


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_ends_early_late_or_is_no_request(backend: Any) -> None:
    with serving(backend) as server:
        with HTTP1Client(server.url) as peer:
            assert peer.request("GET", "/later").status == 203
            assert peer.request("GET", "/fast").status == 203
        with (
            WebSocketClient(server.url.replace("http", "ws"), "/chat") as socket_client,
            pytest.raises(ConnectionError),
        ):
            socket_client.receive()
        with HTTP1Client(server.url) as peer:
            assert peer.request("GET", "/fails").status == 500
        assert eventually(lambda: len(remembered(server)) == 1)
        (one,) = remembered(server)  # neither what goes on after its response, nor the WebSocket
        assert (one["path"], one["status"], one["first_byte"]) == ("/fails", None, None)


def wsgi(environ: Any, start_response: Any) -> Any:
    time.sleep(0.3)
    start_response("200 OK", [])
    return [b"x"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_wsgi_calls_wait_for_threads(backend: Any) -> None:
    with serving(backend, wsgi, wsgi_threads=1) as server:
        with HTTP2Client(server.url) as peer:
            streams = [peer.start("GET", "/") for _ in range(2)]
            assert [peer.response(stream).status for stream in streams] == [200, 200]
        assert eventually(lambda: len(remembered(server)) == 2)
        second, first = remembered(server)
        assert first["queue"] < 0.2 < second["queue"]
        assert first["application"] > 0.25


@pytest.mark.parametrize("backend", BACKENDS)
def test_server_timing_goes_on(backend: Any) -> None:
    """It looks for the exchange of a WSGI call's `receive`."""
    with serving(backend, wsgi, wsgi_threads=1, server_timing="on") as server, HTTP2Client(server.url) as peer:
        streams = [peer.start("GET", "/") for _ in range(2)]
        fields = [peer.response(stream).header("server-timing") or "" for stream in streams]
        queued = [float(match[1]) for match in (re.search(r"queue;dur=([\d.]+)", field) for field in fields) if match]
        assert max(queued) > 200, fields  # milliseconds


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_time_is_too_short_for_zero_and_few_are_kept(backend: Any) -> None:
    with serving(backend, slow_request=0) as server, HTTP1Client(server.url) as peer:
        for number in range(KEPT + 5):
            peer.request("GET", f"/fast/{number}" + "x" * 300)
        assert eventually(lambda: remembered(server)[0]["path"].startswith(f"/fast/{KEPT + 4}x"))
        assert len(remembered(server)) == KEPT
        assert len(remembered(server)[0]["path"]) == 200


async def other(scope: Any, receive: Any, send: Any) -> None:
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    names.append(getattr(task.get_coro(), "__qualname__", ""))
    await app(scope, receive, send)


def test_tasks_keep_their_names_and_nothing_stands_between_without_it() -> None:
    for options in ({}, {"slow_request": None}):
        with serving("asyncio", other, **options) as server, HTTP1Client(server.url) as peer:
            peer.request("GET", "/fast")
            running = server.running
            assert running is not None
            assert (running._worker.app is other) == bool(options)
            assert (running._worker.slow is None) == bool(options)
    assert names[-2:] == ["other", "other"]


def test_the_wrapper_is_a_coroutine_function() -> None:
    wrapped = SlowRequests(MemoryRuntime(), 1.0).around(app)
    assert inspect.iscoroutinefunction(wrapped)
