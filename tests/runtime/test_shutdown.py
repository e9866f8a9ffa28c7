"""The end of a server with connections open: in time, politely where it can be, and with the lifespan's shutdown."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tests.runtime.serving import Served
from tests.support.live import eventually, hello, lifespan, pause, respond
from tests.support.peer import PATIENCE, Peer, request

from hypercorn.runtime.worker import Worker


async def busy_app(scope: Any, receive: Any, send: Any) -> None:
    """/stream never ends, /slow takes long."""
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await pause(0.02)
    if scope["path"] == "/slow":
        await pause(60)
    await respond(send)


@pytest.mark.parametrize("timeout", [0.3, 0.0])
def test_ends_in_time_whatever_is_open(backend: str, timeout: float) -> None:
    """N2: an idle connection, half a head, half a body, an endless stream, a slow response: it ends."""
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            events.append("shutdown")
        else:
            await busy_app(scope, receive, send)

    served = Served(app, backend, graceful_timeout=timeout)
    peers = [served.connect() for _ in range(6)]
    idle, half_head, half_body, stream, slow, silent = peers
    idle.get()
    half_head.send(b"GET / HTTP/1.1\r\nHost:")
    half_body.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    stream.send(request("/stream"))
    slow.send(request("/slow"))
    stream.until(b"tick")
    assert silent.buffer == b""
    began = time.monotonic()
    served.finish()
    assert timeout - 0.05 <= time.monotonic() - began < timeout + 1
    assert events == ["shutdown"]
    for peer in peers:
        with peer:
            rest = b""
            try:
                rest = peer.rest()
            except ConnectionError:
                pass
            assert b"0\r\n\r\n" not in rest  # the stream was cut, and cannot be taken for complete


def test_idle_connections_end_at_once(backend: str) -> None:
    served = Served(hello, backend, graceful_timeout=30.0, idle_grace=0.2)
    with served.connect() as peer:
        peer.get()
        time.sleep(0.3)
        began = time.monotonic()
        served.finish()
        assert time.monotonic() - began < 1
        assert peer.ended()


def refused(port: int) -> bool:
    """True where nobody listens any more."""
    try:
        Peer(("127.0.0.1", port)).close()
    except ConnectionError:
        return True
    return False


def test_a_connection_that_was_just_used_gets_its_next_answer(backend: str) -> None:
    """The request may be on its way: closing under its client's feet would fail it."""
    served = Served(hello, backend, graceful_timeout=30.0, idle_grace=20.0)
    with served.connect() as peer, served.connect() as fresh, served.connect() as half:
        assert peer.get().header("connection") is None
        half.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        assert served.trigger.waiting.wait(PATIENCE)
        served.trigger.set()
        eventually(lambda: refused(served.port))
        half.send(b"\r\n")
        for one, response in ((peer, peer.get()), (fresh, fresh.get()), (half, half.response())):
            assert response.status == 200
            assert response.header("connection") == "close"
            assert one.ended()
        served.finish()


def test_a_connection_that_was_just_used_ends_a_moment_later(backend: str) -> None:
    served = Served(hello, backend, graceful_timeout=30.0, idle_grace=0.3)
    with served.connect() as peer, served.connect() as fresh:
        peer.get()
        began = time.monotonic()
        served.finish()
        assert time.monotonic() - began < 5
        assert peer.ended()
        assert fresh.ended()


def test_a_slow_response_is_waited_for(backend: str) -> None:
    inside = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        await pause(0.2)
        await respond(send, b"late")

    served = Served(app, backend, lifespan="off", graceful_timeout=5.0)
    with served.connect() as peer:
        peer.send(request())
        assert inside.wait(10)
        served.finish()
        response = peer.response()
        assert response.body == b"late"
        assert response.header("connection") == "close"


def test_max_requests(backend: str) -> None:
    served = Served(hello, backend, max_requests=3)
    with served.connect() as peer:
        for _ in range(3):
            assert peer.get().body == b"hello"
        served.join()
        assert peer.ended()


def test_a_signal_that_comes_while_the_loop_ends(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervised worker's SIGTERM starts a timer, also when its tasks have ended."""
    log = []

    def close_listeners(worker: Worker) -> None:
        close(worker)
        if worker.stop_request:
            with monkeypatch.context() as patch:
                patch.setattr(worker.link, "supervised", True, raising=False)
                worker.terminated = False
                worker.on_terminate()
                log.append("a signal")

    close = Worker.close_listeners
    monkeypatch.setattr(Worker, "close_listeners", close_listeners)
    served = Served(hello, backend)
    with served.connect() as peer:
        assert peer.get().status == 200
    served.finish()
    assert log


@pytest.mark.parametrize(("delay", "told"), [(0.0, True), (None, False)])
def test_whether_streams_are_told_of_the_shutdown(backend: str, delay: float | None, told: bool) -> None:
    """`shutdown_notify_delay`: 0 tells the application at once, `none` never, and it is cut in the end."""
    grace = 3.0 if told else 0.3
    seen: list[str] = []
    streams = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        streams.set()
        seen.append((await receive())["type"])
        await send({"type": "http.response.body", "body": b"last"})

    served = Served(app, backend, graceful_timeout=grace, shutdown_notify_delay=delay)
    with served.connect() as peer:
        peer.send(request("/"))
        peer.until(b"tick")
        assert streams.wait(PATIENCE)
        began = time.monotonic()
        served.finish()
        if told:
            assert seen == ["http.disconnect"]
            assert time.monotonic() - began < grace
            assert peer.rest().endswith(b"4\r\nlast\r\n0\r\n\r\n")
        else:
            assert seen == []
            assert time.monotonic() - began >= grace
