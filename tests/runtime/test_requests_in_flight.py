"""The list of requests in flight: what each waits for, and where in the application's code it stands."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sniffio
import trio
from tests.support.live import BACKENDS, eventually

from hypercorn.runtime.requests import MAX_FRAMES, MAX_PATH, is_address, requests_in_flight, stack_of
from hypercorn.testing import TestServer
from hypercorn.testing.clients import HTTP2Client, WebSocketClient

pytestmark = pytest.mark.live


LINES = Path(__file__).read_text().splitlines()


async def pause() -> None:
    if sniffio.current_async_library() == "trio":
        await trio.sleep(60)
    else:
        await asyncio.sleep(60)


async def deep(depth: int) -> None:
    if depth:
        await deep(depth - 1)
    await pause()


class Awaits:
    """An awaitable that is a generator."""

    def __await__(self) -> Any:
        yield from pause().__await__()


async def app(scope: Any, receive: Any, send: Any) -> None:
    path = scope["path"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    elif path == "/sleep":
        await pause()
    elif path == "/deep":
        await deep(40)
    elif path == "/generator":
        await Awaits()
    elif path == "/strange":
        scope["client"] = [object()]
        await pause()
    elif path == "/body":
        await receive()
        await receive()
    elif path == "/gone":
        while (await receive())["type"] != "http.disconnect":
            pass
        await pause()
    elif path.startswith("/poll"):
        await receive()
        await receive()
    elif path == "/large":
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
    elif path == "/after":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        await pause()


def listed(server: TestServer, limit: int = 1000) -> dict[str, Any]:
    """The list, made on the server's loop."""
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    running = server.running
    assert running is not None
    running._call_threadsafe(lambda: answers.put(requests_in_flight(running._worker.runtime, limit)))
    return answers.get(timeout=10)


@pytest.fixture(name="server", params=BACKENDS)
def _server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    server = TestServer(
        app,
        backend=request.param,
        lifespan="off",
        log_level="CRITICAL",
        graceful_timeout=0.1,
        access_log="/dev/null",
        validate_app=False,
    )
    with server:
        yield server


@contextlib.contextmanager
def asked(server: TestServer, head: str, body: bytes = b"") -> Iterator[socket.socket]:
    """A client that sends a request, and reads nothing."""
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(f"{head} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n".encode() + body)
        yield sock


def the_one(server: TestServer, done: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
    """The only request in flight, once it is as wanted."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = listed(server)["requests"]
        return len(found) == 1 and done(found[0])

    assert eventually(look), found
    return found[0]


WHOLE = bytes(100)


@pytest.mark.parametrize(
    ("path", "body", "state", "function"),
    [
        ("/sleep", WHOLE, "in the application", "pause"),
        ("/deep", WHOLE, "in the application", "pause"),
        ("/generator", WHOLE, "in the application", "__await__"),
        ("/strange", WHOLE, "in the application", "pause"),
        ("/body", b"x", "reading body", "app"),
        ("/poll", WHOLE, "waiting for a disconnect", "app"),
        ("/large", WHOLE, "waiting for the client", "app"),
        ("/after", WHOLE, "after the response", "pause"),
    ],
)
def test_states(server: TestServer, path: str, body: bytes, state: str, function: str) -> None:
    with asked(server, f"POST {path}?secret=1", body) as sock:
        found = the_one(server, lambda one: one["state"] == state)
        assert (found["method"], found["path"], found["protocol"]) == ("POST", path, "HTTP/1.1")
        assert tuple(found["client"]) == sock.getsockname()
        assert 0 <= found["age"] < 10
        file, _, name = found["at"].partition(" in ")
        assert name.endswith(function)
        name, _, line = file.rpartition(":")
        assert name == "tests/runtime/test_requests_in_flight.py"
        assert re.search("await|yield from", LINES[int(line) - 1])
        assert len(found["stack"]) <= MAX_FRAMES
        assert found["id"] == the_one(server)["id"]
    assert eventually(lambda: path != "/body" or listed(server)["requests"] == [])


def test_a_client_that_left(server: TestServer) -> None:
    with asked(server, "POST /gone", WHOLE) as sock:
        the_one(server)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no mere FIN
    assert the_one(server, lambda one: one["state"] == "after the client left" and one["at"].endswith("in pause"))


def test_websockets(server: TestServer) -> None:
    with WebSocketClient(f"ws://127.0.0.1:{server.port}", "/chat"):
        found = the_one(server, lambda one: one["state"] == "waiting for a message")
        assert (found["protocol"], found["method"], found["path"]) == ("WebSocket", "WebSocket", "/chat")
        assert found["at"].endswith("in app")


def test_many(server: TestServer) -> None:
    """The oldest first, no more than asked for, and the others are counted."""
    with HTTP2Client(f"http://127.0.0.1:{server.port}") as client:
        for number in range(30):
            client.start("GET", f"/poll?{number}")
        assert eventually(lambda: len(listed(server)["requests"]) == 30)
        found = listed(server, 10)
        assert (len(found["requests"]), found["more"]) == (10, 20)
        assert {one["protocol"] for one in found["requests"]} == {"HTTP/2"}
        ages = [one["age"] for one in found["requests"]]
        assert ages == sorted(ages, reverse=True)


def test_long_paths_are_cut(server: TestServer) -> None:
    with asked(server, f"GET /poll{'x' * 1000}", WHOLE):
        assert the_one(server)["path"] == ("/poll" + "x" * 1000)[:MAX_PATH]


def wsgi(environ: Any, start_response: Any) -> Any:
    wait_in_thread()
    start_response("200 OK", [])
    return [b"x"]


RELEASED = threading.Event()


def wait_in_thread() -> None:
    RELEASED.wait(20)


@pytest.mark.parametrize("backend", BACKENDS)
def test_wsgi_calls_stand_in_their_thread(backend: Any) -> None:
    RELEASED.clear()
    server = TestServer(wsgi, backend=backend, log_level="CRITICAL", wsgi_threads=1, validate_app=False)
    with server, HTTP2Client(f"http://127.0.0.1:{server.port}") as client:
        try:
            first, second = client.start("GET", "/first"), client.start("GET", "/second")

            def by_state() -> dict[str, str]:
                return {one["state"]: re.split(r"[ .]", str(one["at"]))[-1] for one in listed(server)["requests"]}

            # Which of them comes first, trio decides by lot.
            expected = {"in the application": "wait_in_thread", "waiting for a thread": "wait_for_thread"}
            assert eventually(lambda: by_state() == expected), by_state()
            assert {one["age"] for one in listed(server)["requests"]} == {None}
        finally:
            RELEASED.set()
        assert client.response(first).status == client.response(second).status == 200


class Raises:
    """An object whose attributes cannot be looked at."""

    def __getattr__(self, name: str) -> object:
        raise ValueError(name)


def test_stacks_of_what_is_no_coroutine() -> None:
    for awaited in (None, object(), Raises()):
        assert stack_of(awaited).frames == []


@pytest.mark.parametrize("value", [None, (), ("a",), ("a", "b"), (1, 2), ["a", 1], "ab"])
def test_no_addresses(value: object) -> None:
    assert not is_address(value)


def test_it_takes_little_of_the_loops_time(server: TestServer) -> None:
    """A list of many requests takes less than a tenth of a second."""
    with HTTP2Client(f"http://127.0.0.1:{server.port}") as client:
        for _ in range(100):
            client.start("GET", "/poll")
        assert eventually(lambda: len(listed(server)["requests"]) == 100)
        begin = time.perf_counter()
        for _ in range(10):
            listed(server)
        assert time.perf_counter() - begin < 1.0
