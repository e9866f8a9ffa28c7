"""Clients of WSGI applications that leave before they are answered, or send slowly: what they may cost others."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import CANCEL, GET, SETTINGS_ACK, START, headers, reset
from tests.support.http3 import LiveClient
from tests.support.http3 import request as request3
from tests.support.live import Live, eventually
from tests.support.peer import request

from hypercorn.asgi.wsgi_body import Body, BodyTooLargeError, Spool, SpoolFullError
from hypercorn.asgi.wsgi_threads import Call
from hypercorn.protocol.mux.budgets import CANCEL_AFTER_SECONDS
from hypercorn.wire.http3 import H3_REQUEST_CANCELLED

__all__ = ("certificates",)  # a fixture

StartResponse = Callable[..., Any]


class Application:
    """Counts its calls by path; those of /hold last until `go_on` is set. Answers with what it read."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.go_on = threading.Event()
        self.files: list[bool] = []  # whether each body was on disk

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        self.calls.append(environ["PATH_INFO"])
        stream = environ["wsgi.input"]
        with suppress(OSError):
            stream.fileno()
            self.files.append(True)
        size = sum(map(len, iter(lambda: stream.read(10_000), b"")))
        if environ["PATH_INFO"] == "/hold":
            assert self.go_on.wait(20)
        start_response("200 OK", [])
        return [b"%d %b" % (size, environ.get("CONTENT_LENGTH", "-").encode())]


@pytest.fixture
def app() -> Iterator[Application]:
    """The application, which ends with the test."""
    application = Application()
    yield application
    application.go_on.set()


def bridge(live: Live) -> Any:
    """What runs the application."""
    return live.running._worker.threads


def open_calls(live: Live) -> int:
    """Requests that go on, as the figures of the server say it."""
    counters = live.running._worker.context.records.counters
    return int(live.on_loop(lambda: counters.requests_started - counters.requests_ended))


class Clients:
    """Requests of one version of HTTP that are left alone."""

    def __init__(self, live: Live, version: str) -> None:
        self.live = live
        self.version = version
        self.leave: list[Callable[[], Any]] = []
        self.number = 1
        self.connection: Any = None

    def send(self, path: str) -> None:
        """Sends a request."""
        if self.version == "1":
            peer = self.live.connect()
            peer.send(request(path))
            self.leave.append(peer.close)
        elif self.version == "2":
            if self.connection is None:
                self.connection = self.live.connect()
                self.connection.send(START + SETTINGS_ACK)
            stream, self.number = self.number, self.number + 2
            fields = [(name, path.encode() if name == b":path" else value) for name, value in GET]
            self.connection.send(headers(stream, fields))
            self.leave.append(lambda: self.connection.send(reset(stream, CANCEL)))
        else:
            if self.connection is None:
                self.connection = LiveClient(self.live.port).start()
            client = self.connection
            stream = client.send(request3(path.encode()))
            client.wire.flush()

            def cancel() -> None:
                client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
                client.wire.flush()

            self.leave.append(cancel)

    def leave_all(self) -> None:
        """Takes every request back."""
        for leave in self.leave:
            leave()
        self.leave.clear()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


@pytest.fixture(params=["1", "2", "3"], ids=["http1", "http2", "http3"])
def serve_version(
    request: pytest.FixtureRequest, serve_app: Callable[..., Live], certificates: Certificates
) -> Iterator[Callable[..., tuple[Live, Clients]]]:
    """Starts a server, and clients of each version in turn."""
    made: list[Clients] = []

    def start(app: Any, **options: Any) -> tuple[Live, Clients]:
        if request.param == "3":
            files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
            options = {"http3": True, **files, **options}
        live = serve_app(app, mode="wsgi", **options)
        made.append(Clients(live, request.param))
        return live, made[0]

    yield start
    for clients in made:
        clients.close()


def honest(live: Live, certificates: Certificates) -> Any:
    """The answer to another client."""
    with live.connect(tls=certificates.client if live.config.certfile else None) as peer:
        return peer.get("/honest")


def calls_in_memory() -> int:
    """How many calls there are, those included that nobody can reach."""
    return sum(isinstance(one, Call) for one in gc.get_objects())


@contextmanager
def without_collections() -> Iterator[None]:
    """A block in which cycles stay."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def with_waiting_calls(serve_version: Any, app: Application) -> tuple[Live, Clients, Any]:
    """A server whose only thread runs one call, and twenty that wait for it."""
    live, clients = serve_version(app, wsgi_threads=1, limit_concurrency=1000)
    threads = bridge(live).threads
    clients.send("/hold")
    eventually(lambda: app.calls == ["/hold"])
    for _ in range(20):
        clients.send("/gone")
    eventually(lambda: live.on_loop(lambda: len(threads.waiting)) == 20)
    return live, clients, threads


def test_a_call_that_waits_is_not_run_once_its_client_has_left(
    serve_version: Any, app: Application, certificates: Certificates
) -> None:
    live, clients, threads = with_waiting_calls(serve_version, app)
    clients.leave_all()
    eventually(lambda: not live.on_loop(lambda: threads.waiting))
    assert open_calls(live) == 1  # the one that runs
    app.go_on.set()
    assert honest(live, certificates).status == 200
    assert app.calls == ["/hold", "/honest"]
    eventually(lambda: open_calls(live) == 0)
    assert live.on_loop(lambda: threads.running) == 0
    assert live.errors() == []


def test_a_call_that_never_runs_is_freed_at_once(serve_version: Any, app: Application) -> None:
    """It is part of no cycle that waits for a collection: clients that leave would pile them up."""
    live, clients, threads = with_waiting_calls(serve_version, app)
    with without_collections():
        assert calls_in_memory() == 21
        clients.leave_all()
        eventually(lambda: not live.on_loop(lambda: threads.waiting))
        eventually(lambda: calls_in_memory() == 1)  # the one that runs
    app.go_on.set()
    eventually(lambda: live.on_loop(lambda: threads.running) == 0)


@pytest.mark.parametrize("raises", [False, True])
def test_a_call_whose_client_leaves_inside_the_answer_is_freed_at_once(serve_version: Any, raises: bool) -> None:
    """What could not be sent is raised with a traceback, which must not lead back to itself."""
    left = threading.Event()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert left.wait(20)
        for _ in range(10):
            time.sleep(0.01)
            yield b"more"
        if raises:
            raise ValueError("behind the departure")

    live, clients = serve_version(app, wsgi_threads=5, limit_concurrency=1000)
    threads = bridge(live).threads
    for _ in range(5):
        clients.send("/")
    eventually(lambda: live.on_loop(lambda: threads.running) == 5)
    with without_collections():
        assert calls_in_memory() == 5
        clients.leave_all()
        left.set()
        eventually(lambda: live.on_loop(lambda: threads.running) == 0)
        eventually(lambda: calls_in_memory() == 0)
    assert open_calls(live) == 0


def test_the_turn_of_a_call_whose_client_has_left_is_the_next_ones(serve_version: Any, app: Application) -> None:
    """The thread is free before anybody looked for those that left."""
    live, clients = serve_version(app, wsgi_threads=1, limit_concurrency=1000)
    threads = bridge(live).threads
    live.on_loop(lambda: setattr(bridge(live), "check_scheduled", True))  # no timer looks
    clients.send("/hold")
    eventually(lambda: app.calls == ["/hold"])
    clients.send("/gone")
    eventually(lambda: live.on_loop(lambda: len(threads.waiting)) == 1)
    leave = clients.leave.pop()
    for _ in range(3):
        clients.send("/stays")
    eventually(lambda: live.on_loop(lambda: len(threads.waiting)) == 4)
    counters, now = live.running._worker.context.records.counters, live.running._worker.runtime.now
    began = live.on_loop(now)
    leave()
    # The call is told at its turn. Where its stream was reset it is cancelled, `CANCEL_AFTER_SECONDS` later.
    if clients.version == "1":
        threading.Event().wait(2 * CANCEL_AFTER_SECONDS)
        waiting, after = live.on_loop(lambda: len(threads.waiting)), 0.0
    else:
        waiting, after = eventually(
            lambda: live.on_loop(lambda: counters.requests_aborted == 1 and (len(threads.waiting), now() - began))
        )
    app.go_on.set()
    assert waiting == 4 or (waiting == 3 and after >= CANCEL_AFTER_SECONDS)
    eventually(lambda: app.calls.count("/stays") == 3)
    assert "/gone" not in app.calls
    eventually(lambda: live.on_loop(lambda: threads.running) == 0)
    assert live.errors() == []


def test_a_call_counts_as_open_until_it_ends(serve_version: Any, app: Application, certificates: Certificates) -> None:
    """... for `limit_concurrency` and in the figures, though its client has left long ago."""
    live, clients = serve_version(app, wsgi_threads=2, limit_concurrency=1)
    clients.send("/hold")
    eventually(lambda: app.calls == ["/hold"])
    clients.leave_all()
    threading.Event().wait(0.15)  # longer than a call has that was reset, before it is cancelled
    assert open_calls(live) == 1
    assert honest(live, certificates).status == 503
    app.go_on.set()
    eventually(lambda: open_calls(live) == 0)
    assert honest(live, certificates).status == 200
    assert app.calls == ["/hold", "/honest"]
    assert live.errors() == []


def test_a_shutdown_waits_for_a_call_whose_client_has_left(serve_version: Any, app: Application) -> None:
    live, clients = serve_version(app)
    clients.send("/hold")
    eventually(lambda: app.calls == ["/hold"])
    clients.leave_all()
    threading.Event().wait(0.15)
    clients.close()
    clients.connection = None
    live.wake()
    live.thread.join(0.3)
    assert live.thread.is_alive()
    app.go_on.set()
    live.stop()
    assert live.errors() == []


def test_a_shutdown_waits_no_longer_than_it_may(serve_version: Any, app: Application) -> None:
    live, clients = serve_version(app, graceful_timeout=0.1)
    clients.send("/hold")
    eventually(lambda: app.calls == ["/hold"])
    clients.leave_all()
    threading.Event().wait(0.15)
    live.stop()
    assert not app.go_on.is_set()
    assert live.errors() == []


def test_a_client_that_closed_its_half_is_told_when_it_is_not_served(
    serve_app: Callable[..., Live], app: Application
) -> None:
    """A FIN is all that there is to see of most clients that leave."""
    live = serve_app(app, mode="wsgi", wsgi_threads=1)
    with live.connect() as first, live.connect() as second:
        first.send(request("/hold"))
        eventually(lambda: app.calls == ["/hold"])
        second.send(request("/half"))
        second.sock.shutdown(socket.SHUT_WR)
        assert second.response().status == 503
        app.go_on.set()
        assert first.response().status == 200
    assert app.calls == ["/hold"]
    assert live.errors() == []


# --- bodies


@pytest.mark.parametrize("size", [300, 100_000])
@pytest.mark.parametrize("expect", [False, True])
def test_a_slow_body_holds_no_thread(serve_app: Callable[..., Live], app: Application, size: int, expect: bool) -> None:
    live = serve_app(app, mode="wsgi", wsgi_threads=1)
    bodies = bridge(live)
    field = ("Expect: 100-continue",) if expect else ()
    slow = [live.connect() for _ in range(5)]
    for peer in slow:
        peer.send(request("/slow", f"Content-Length: {size}", *field, method="POST"))
        if expect:
            assert peer.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        peer.send(b"x" * (size - 1))
    on_disk = 5 * (size - 1) if size > 65536 else 0
    eventually(lambda: live.on_loop(lambda: bodies.spool.used) == on_disk)
    with live.connect() as peer:
        assert peer.get().status == 200
    assert app.calls == ["/"]
    for peer in slow:
        peer.send(b"x")
        assert peer.response().body == b"%d %d" % (size, size)
        peer.close()
    assert app.files == [True] * 5 * (size > 65536)
    eventually(lambda: live.on_loop(lambda: bodies.spool.used) == 0)
    assert live.errors() == []


def test_a_long_body_in_chunks_has_a_length(serve_app: Callable[..., Live], app: Application) -> None:
    live = serve_app(app, mode="wsgi", wsgi_buffer_size=10)
    with live.connect() as peer:
        for pieces in ([b"x" * 11], [b"x"] * 11, [b"x" * 10, b"y"], [b"x" * 5, b"y" * 5]):
            peer.send(request("/", "Transfer-Encoding: chunked", method="POST"))
            for piece in pieces:
                peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            peer.send(b"0\r\n\r\n")
            size = len(b"".join(pieces))
            assert peer.response().body == b"%d %d" % (size, size)
    assert live.errors() == []


TOO_LARGE = "A request body of more than %d bytes was refused (413) by the option wsgi_spool_size"


@pytest.mark.parametrize("size", [1_000_000, None])
def test_the_room_on_disk_is_shared(serve_app: Callable[..., Live], app: Application, size: int | None) -> None:
    """Where others have it, the answer is 503; a body for which there never is enough gets 413."""
    live = serve_app(app, mode="wsgi", wsgi_spool_size=size)
    spool = bridge(live).spool
    first = live.connect()
    first.send(request("/", "Content-Length: 900000", method="POST") + b"x" * 899_999)
    eventually(lambda: live.on_loop(lambda: spool.used) == 899_999)
    with live.connect() as second:
        second.send(request("/", "Content-Length: 200000", method="POST") + b"x" * 100_000)
        eventually(lambda: live.on_loop(lambda: spool.used) == 999_999)
        second.send(b"x" * 100_000)
        assert second.response().status == (503 if size else 200)
    with live.connect() as third:
        third.send(request("/", method="POST", body=b"x" * 1_000_001))
        assert third.response().status == (413 if size else 200)
    first.send(b"x")
    assert first.response().status == 200
    eventually(lambda: live.on_loop(lambda: spool.used) == 0)
    with live.connect() as fourth:
        fourth.send(request("/", method="POST", body=b"x" * 200_000))
        assert fourth.response().status == 200
    first.close()
    assert live.errors() == ([TOO_LARGE % size] if size else [])


def test_nothing_goes_to_disk_where_there_is_no_room(serve_app: Callable[..., Live], app: Application) -> None:
    live = serve_app(app, mode="wsgi", wsgi_spool_size=0)
    for size, status in ((65536, 200), (65537, 413)):  # as much as memory takes
        with live.connect() as peer:
            peer.send(request("/", method="POST", body=b"x" * size))
            assert peer.response().status == status
    assert live.errors() == [TOO_LARGE % 65536]


def test_a_client_that_leaves_in_its_upload_leaves_no_file(serve_app: Callable[..., Live], app: Application) -> None:
    live = serve_app(app, mode="wsgi")
    spool = bridge(live).spool
    files = open_files()
    peer = live.connect()
    peer.send(request("/", "Content-Length: 200000", method="POST") + b"x" * 100_000)
    eventually(lambda: live.on_loop(lambda: spool.used) == 100_000)
    assert [name for name in open_files() if "deleted" in name and name not in files]
    peer.reset()
    eventually(lambda: live.on_loop(lambda: spool.used) == 0)
    eventually(lambda: not [name for name in open_files() if "deleted" in name and name not in files])
    assert app.calls == []
    assert live.errors() == []


def open_files() -> list[str]:
    """What the descriptors of this process lead to."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def test_a_full_disk(serve_app: Callable[..., Live], app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told, and so is the log."""

    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    live = serve_app(app, mode="wsgi")
    with live.connect() as peer:
        peer.send(request("/", "Content-Length: 100000", method="POST") + b"x" * 99_999)
        assert peer.response().status == 503
    eventually(live.errors)
    (record,) = live.log.records[-1:]
    assert record.exc_info is not None
    assert "could not be written to disk" in str(record.exc_info[1])
    assert bridge(live).spool.used == 0
    assert app.calls == []


def test_body_limits() -> None:
    spool = Spool(10)
    first, second = Body(spool, 3, 8), Body(spool, 3, 100)
    first.write(b"abc")
    assert spool.used == 0
    first.write(b"d")
    assert spool.used == 4
    with pytest.raises(BodyTooLargeError):
        first.write(b"efghi")
    second.write(b"abcdef")
    assert spool.used == 10
    with pytest.raises(SpoolFullError):
        second.write(b"g")
    assert second.rewind().read() == b"abcdef"
    for body in (first, second):
        body.close()
        body.give_back()
    assert spool.used == 0
