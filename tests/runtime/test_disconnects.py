"""The application learns at once that its client has gone, and may stumble over it without a word in the log (N4)."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest
from tests.asgi.test_websocket_departures import as_a_cause, as_a_context, as_it_is, in_a_group
from tests.runtime.test_sockets import connections_of
from tests.support.live import Gate, Live, eventually, pause, respond
from tests.support.peer import Peer, request

from hypercorn.errors import ClientDisconnected

AT_ONCE = 0.1  # seconds within which `receive()` has to tell


class Watcher:
    """An application that waits for the end of its client and notes when it was told."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.told = threading.Event()
        self.messages: list[dict[str, Any]] = []
        self.after: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "http.disconnect":
                break
            self.waiting.set()
        self.told.set()
        self.after.append(await receive())  # again, and at once
        try:
            await respond(send)
        except OSError as error:
            self.after.append(error)
            raise

    def gone(self, leave: Any) -> None:
        """Lets the client go once the application waits, and holds that it is told in time."""
        assert self.waiting.wait(10)
        time.sleep(0.02)  # it now waits in its second `receive()`
        leave()
        assert self.told.wait(AT_ONCE), "receive() did not tell in time"


@pytest.mark.parametrize("way", ["close", "reset"])
def test_while_waiting(serve_app: Any, way: str) -> None:
    app = Watcher()
    live = serve_app(app, lifespan="off", access=True)
    peer = live.connect()
    peer.send(request())
    app.gone(getattr(peer, way))
    assert [message["type"] for message in app.messages] == ["http.request", "http.disconnect"]
    eventually(lambda: connections_of(live) == 0)
    eventually(lambda: live.access.texts())
    assert live.errors() == []
    assert app.after[0] == {"type": "http.disconnect"}
    assert len(live.access.texts()) == 1


@pytest.mark.parametrize("way", ["close", "reset"])
def test_inside_a_body(serve_app: Any, way: str) -> None:
    app = Watcher()
    live = serve_app(app, lifespan="off", access=True)
    peer = live.connect()
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    app.gone(getattr(peer, way))
    assert app.messages[:-1] == [{"type": "http.request", "body": b"half", "more_body": True}]
    eventually(lambda: connections_of(live) == 0)
    eventually(lambda: live.access.texts())
    assert live.errors() == []
    assert isinstance(app.after[1], OSError)
    assert len(live.access.texts()) == 1


def test_half_close_after_a_request(serve_app: Any) -> None:
    """H1-26: the client sends no more, but reads: the response is delivered, then the connection ends."""
    app = Watcher()
    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        peer.send(request())
        app.gone(peer.end)
        assert peer.response().body == b"ok"
        assert peer.ended()
    assert live.errors() == []


def test_half_close_while_the_application_works(serve_app: Any) -> None:
    """H1-26, where the application never asks."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
            await pause(0.01)
        await send({"type": "http.response.body"})

    with serve_app(app, lifespan="off").connect() as peer:
        peer.send(request())
        peer.end()
        assert peer.response().body == b"x" * 3000
        assert peer.ended()


def test_half_close_inside_a_body(serve_app: Any) -> None:
    """H1-26: it can never be completed."""
    app = Watcher()
    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        app.gone(peer.end)
        assert peer.response().status == 408
        assert peer.ended()
    assert live.errors() == []


def test_half_close_with_pipelined_requests(serve_app: Any) -> None:
    with serve_app(slow_ok, lifespan="off").connect() as peer:
        peer.send(request("/1") + request("/2") + request("/3"))
        peer.end()
        for _ in range(3):
            assert peer.response().body == b"ok"
        assert peer.ended()


async def slow_ok(scope: Any, receive: Any, send: Any) -> None:
    """Answers after a moment."""
    await pause(0.02)
    await respond(send)


def test_send_after_a_reset(serve_app: Any) -> None:
    """It raises an OSError, which the application may let through without being logged."""
    reset, raised = Gate(), threading.Event()
    errors: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await reset.wait()
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                await pause(0.001)
        except Exception as error:
            errors.append(error)
            raised.set()
            raise

    live = serve_app(app, lifespan="off", access=True)
    peer = live.connect()
    peer.send(request())
    peer.until(b"first")
    peer.reset()
    reset.set()
    assert raised.wait(5)
    assert isinstance(errors[0], OSError)
    eventually(lambda: connections_of(live) == 0)
    assert live.errors() == []
    (line,) = eventually(lambda: live.access.texts())
    assert '"GET / HTTP/1.1" 200' in line


def test_an_endless_stream_ends_with_its_client(serve_app: Any) -> None:
    """The generator's `finally` runs, though the application only sends."""
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                await pause(0.01)
        finally:
            ended.set()

    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    peer.until(b"tick")
    peer.close()
    assert ended.wait(2)
    eventually(lambda: connections_of(live) == 0)
    assert live.errors() == []


def test_gone_between_pipelined_requests(serve_app: Any) -> None:
    """H1-06 and N1: whoever sends many and goes disturbs nobody."""
    live: Live = serve_app(slow_ok, lifespan="off")
    for _ in range(20):
        peer = live.connect()
        peer.send(request() * 10)
        peer.reset()
    with live.connect() as peer:
        assert peer.get().body == b"ok"
    eventually(lambda: connections_of(live) == 0)
    assert live.errors() == []


def test_one_access_record_when_the_client_leaves_at_the_end(serve_app: Any) -> None:
    """H1-20: the FIN lands while the last chunk is on its way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 10, "more_body": True})
        await pause(0)
        await send({"type": "http.response.body", "body": b"b"})

    live = serve_app(app, lifespan="off", access=True)
    for _ in range(100):
        peer = live.connect()
        peer.send(request())
        peer.until(b"a" * 10)
        peer.close()
    eventually(lambda: connections_of(live) == 0)
    eventually(lambda: len(live.access.texts()) == 100)
    assert all('"GET / HTTP/1.1" 200' in line for line in live.access.texts())
    assert live.errors() == []


def test_drained_upload_after_an_early_answer(serve_app: Any) -> None:
    """H1-11: the application answers without reading; the client gets the answer, not a reset."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"no thanks", status=403)

    live = serve_app(app, lifespan="off", max_unread_body=65536)
    with live.connect() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
        peer.send(b"x" * 500000)
        response = peer.response()
        assert response.status == 403
        assert response.header("connection") == "close"
        assert peer.ended()
    with live.connect() as peer:  # a small one is read and forgotten, and the connection goes on
        peer.send(request("/", method="POST", body=b"y" * 1000) + request("/next"))
        assert [peer.response().status for _ in range(2)] == [403, 403]


def test_expect_continue(serve_app: Any) -> None:
    """H1-12 over a socket: 100 once, when the application first reads."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await respond(send, message["body"])

    peer: Peer
    with serve_app(app, lifespan="off").connect() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert peer.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"hello")
        assert peer.response().body == b"hello"


class Departure:
    """Waits for `http.disconnect`, sends a second start, and raises what `translate` makes of the error."""

    def __init__(self, translate: Any) -> None:
        self.translate = translate
        self.waiting = threading.Event()
        self.raised: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await receive()
        self.waiting.set()
        assert (await receive())["type"] == "http.disconnect"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except Exception as error:
            self.raised.append(error)
            self.translate(error)


@pytest.mark.parametrize("translate", [as_it_is, as_a_cause, as_a_context, in_a_group])
@pytest.mark.parametrize("way", ["end", "close"])
def test_an_ordinary_departure_is_no_error(serve_app: Any, way: str, translate: Any) -> None:
    app = Departure(translate)
    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    assert app.waiting.wait(10)
    getattr(peer, way)()
    eventually(lambda: [text for text in live.log.texts() if "The client left before" in text])
    assert [type(error) for error in app.raised] == [ClientDisconnected]
    assert live.errors() == []


def test_the_record_of_a_departure_keeps_nothing_of_the_request(serve_app: Any) -> None:
    """A handler that keeps records (of a test, a queue, a monitoring tool) must not keep the memory of each request."""

    class Large:
        pass

    kept: list[Any] = []
    waiting = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        large = Large()
        kept.append(weakref.ref(large))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        waiting.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", str(large).encode())]})

    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    assert waiting.wait(10)
    peer.close()
    (record,) = eventually(lambda: [one for one in live.log.records if "The client left before" in one.getMessage()])
    assert record.levelname == "DEBUG"
    assert record.exc_info is None
    assert "in app\n" in record.exc_text
    assert record.exc_text.endswith("ClientDisconnected: the client is gone")

    def collected() -> bool:
        gc.collect()
        return kept[0]() is None

    eventually(collected)


@pytest.mark.parametrize("way", ["end", "close"])
def test_an_error_that_has_nothing_to_do_with_a_departure(serve_app: Any, way: str) -> None:
    def forget(error: Exception) -> None:
        error = RuntimeError("a fault of the application")
        error.__cause__ = error  # a chain that goes round must not hold anything up
        forgotten.append(error)

    forgotten: list[Exception] = []
    app = Departure(forget)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        raise forgotten[0]

    live = serve_app(outer, lifespan="off")
    peer = live.connect()
    peer.send(request())
    assert app.waiting.wait(10)
    getattr(peer, way)()
    eventually(live.errors)
    assert "Error in the application" in live.errors()[0]


def test_a_disconnect_of_somebody_else_is_an_error(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ClientDisconnected("of an upstream, while this client waits")

    live = serve_app(app, lifespan="off")
    assert live.connect().get().status == 500
    assert len(live.errors()) == 1
