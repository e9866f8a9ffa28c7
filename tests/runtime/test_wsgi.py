"""WSGI applications in their threads, over sockets: bodies as they are read, responses as they are yielded, ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.support.live import Live, eventually
from tests.support.peer import request
from tests.support.websocket import upgrade

StartResponse = Callable[..., Any]
PIECE = b"x" * 65536


def wsgi(
    live_app: Callable[[dict[str, Any], StartResponse], Any], serve_app: Callable[..., Live], **options: Any
) -> Live:
    return serve_app(live_app, mode="wsgi", **options)


def reading(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """Reads its input in every way that PEP 3333 names, and says what it saw."""
    stream = environ["wsgi.input"]
    way = environ["PATH_INFO"]
    if way == "/all":
        body = stream.read()
    elif way == "/some":
        body = b"".join(iter(lambda: stream.read(1000), b""))
    elif way == "/line":
        body = b"".join(iter(stream.readline, b""))
    elif way == "/lines":
        body = b"".join(stream.readlines())
    elif way == "/iter":
        body = b"".join(stream)
    else:
        body = b""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d " % (len(body), body.count(b"\n")), environ.get("CONTENT_LENGTH", "none").encode()]


def test_bodies_are_read_in_every_way(serve_app: Callable[..., Live]) -> None:
    """Small ones from memory, long ones from disk; with a length and in chunks."""
    live = wsgi(validator(reading), serve_app)
    small, long = b"one\ntwo\n", b"0123456\n" * 25_000
    with live.connect() as peer:
        for way in ("/some", "/line", "/lines", "/iter"):
            for body in (small, long):
                lines = body.count(b"\n")
                peer.send(request(way, method="POST", body=body))
                assert peer.response().body == b"%d %d %d" % (len(body), lines, len(body)), way
                peer.send(request(way, "Transfer-Encoding: chunked", method="POST"))
                for start in range(0, len(body), 50_000):
                    piece = body[start : start + 50_000]
                    peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                peer.send(b"0\r\n\r\n")
                got = peer.response().body.split()
                assert got[:2] == [b"%d" % len(body), b"%d" % lines], way
                assert got[2] == b"%d" % len(body)
    assert live.errors() == []


def test_an_unread_body_is_no_harm(serve_app: Callable[..., Live]) -> None:
    live = wsgi(reading, serve_app)
    with live.connect() as peer:
        peer.send(request("/all", method="POST", body=PIECE * 3))
        assert peer.response().body.startswith(b"%d 0" % (len(PIECE) * 3))
        peer.send(request("/none", method="POST", body=b"little"))
        assert peer.response().body == b"0 0 6"
        peer.send(request("/none", method="POST", body=PIECE * 3))
        assert peer.response().body.startswith(b"0 0")
    assert live.errors() == []


def test_a_body_that_is_too_long(serve_app: Callable[..., Live]) -> None:
    """Whatever its framing and size, no application is called for it."""
    calls: list[str] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    live = wsgi(app, serve_app, wsgi_max_body_size=100_000)
    for expect in ((), ("Expect: 100-continue",)):
        with live.connect() as peer:
            peer.send(request("/", "Content-Length: 100001", *expect, method="POST"))
            assert peer.response().status == 413
    with live.connect() as peer:
        chunk = b"10000\r\n%b\r\n" % PIECE
        peer.send(request("/", "Transfer-Encoding: chunked", method="POST") + chunk + chunk)
        assert peer.response().status == 413
    with live.connect() as peer:
        peer.send(request("/whole", method="POST", body=b"x" * 100_000))
        assert peer.response().status == 200
    assert calls == ["/whole"]
    assert live.errors() == [
        "A request body of more than 100000 bytes was refused (413) by the option wsgi_max_body_size"
    ]


def test_a_short_body_that_is_too_long(serve_app: Callable[..., Live]) -> None:
    """One that says no length, and would stay in memory."""
    calls: list[str] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    live = wsgi(app, serve_app, wsgi_max_body_size=100)
    for size, status in ((50, 200), (51, 413)):
        with live.connect() as peer:
            peer.send(request(f"/{size}", "Transfer-Encoding: chunked", method="POST"))
            peer.send(b"%x\r\n%b\r\n" % (size, b"x" * size) + b"32\r\n%b\r\n0\r\n\r\n" % (b"x" * 50))
            assert peer.response().status == status
    assert calls == ["/50"]
    assert len(live.errors()) == 1


def test_the_bound_without_a_limit_is_the_disks(serve_app: Callable[..., Live]) -> None:
    """No limit by default, as gunicorn has none; 413 where a body could never fit."""
    live = wsgi(reading, serve_app, wsgi_spool_size=100_000)
    with live.connect() as peer:
        peer.send(request("/all", method="POST", body=b"x" * 90_000))
        assert peer.response().status == 200
        peer.send(request("/all", "Content-Length: 100001", method="POST"))
        assert peer.response().status == 413
    assert live.errors() == ["A request body of more than 100000 bytes was refused (413) by the option wsgi_spool_size"]


def test_a_body_of_more_than_earlier_releases_took(serve_app: Callable[..., Live]) -> None:
    live = wsgi(reading, serve_app)
    with live.connect() as peer:
        peer.send(request("/all", method="POST", body=b"x" * (17 * 1024 * 1024)))
        assert peer.response().body == b"17825792 0 17825792"
    assert live.errors() == []


def test_a_websocket_is_answered_in_words(serve_app: Callable[..., Live]) -> None:
    live = wsgi(reading, serve_app)
    with live.connect() as peer:
        peer.send(upgrade())
        response = peer.response()
        assert response.status == 501
        assert b"WSGI has no WebSockets" in response.body
    assert live.errors() == []


def test_a_client_that_leaves_in_its_upload(serve_app: Callable[..., Live]) -> None:
    """Q-WG-4. There is no call for half a body."""
    calls: list[str] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"fine"]

    live = wsgi(app, serve_app, wsgi_threads=1)

    def active() -> int:
        return int(live.on_loop(lambda: live.running._worker.runtime.active_calls()))

    for size in (10, 200_000):
        peer = live.connect()
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * size)
        eventually(lambda: active() == 1)
        peer.reset()
        eventually(lambda: active() == 0)
    with live.connect() as peer:
        assert peer.get("/good").body == b"fine"
    assert calls == ["/good"]
    assert live.errors() == []


def test_expect_is_answered_before_the_call(serve_app: Callable[..., Live]) -> None:
    live = wsgi(reading, serve_app)
    with live.connect() as peer:
        for way, read in ((b"/all", b"3"), (b"/none", b"0")):
            peer.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n" % way)
            assert peer.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
            peer.send(b"abc")
            assert peer.response().body == b"%b 0 3" % read
    assert live.errors() == []


def test_what_is_yielded_leaves_before_the_next(serve_app: Callable[..., Live]) -> None:
    """PEP 3333, "Buffering and Streaming": the first piece is not held back for the second."""
    go_on = threading.Event()

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"zero ")
        yield b"one "
        assert go_on.wait(10)
        yield b"two"

    live = wsgi(app, serve_app)
    with live.connect() as peer:
        peer.send(request())
        assert b"one" in peer.until(b"one ")
        go_on.set()
        assert b"two" in peer.until(b"0\r\n\r\n")
    assert live.errors() == []


def test_a_slow_client_holds_the_application_back(serve_app: Callable[..., Live]) -> None:
    yielded = [0]
    pieces = 1000

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(len(PIECE) * pieces))])
        for _ in range(pieces):
            yielded[0] += 1
            yield PIECE

    live = wsgi(app, serve_app)
    with live.connect(receive_buffer=65536) as peer:
        peer.send(request())
        peer.head()
        eventually(lambda: still(lambda: yielded[0]))
        assert yielded[0] < pieces / 2
        left = len(PIECE) * pieces - len(peer.buffer)
        while left:
            left -= len(peer.sock.recv(1_000_000))
    assert yielded[0] == pieces
    assert live.errors() == []


def still(value: Callable[[], int]) -> bool:
    """True when a count stands still."""
    before = value()
    time.sleep(0.05)
    return value() == before


class Closing:
    """An iterable that tells when it is closed."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = iter(pieces)
        self.closed = threading.Event()

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> bytes:
        piece = next(self.pieces)
        if isinstance(piece, Exception):
            raise piece
        time.sleep(0.002)
        return bytes(piece)

    def close(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()


def test_errors_and_ends(serve_app: Callable[..., Live]) -> None:
    """One record for each failure; what was closed, is closed once."""
    iterables = {
        "/early": Closing(ValueError("early")),
        "/late": Closing(b"some", ValueError("late")),
        "/whole": Closing(b"all of it"),
        "/gone": Closing(*[b"tick"] * 5000),
        "/head": Closing(b"x"),
    }

    def app(environ: dict[str, Any], start_response: StartResponse) -> Any:
        path = environ["PATH_INFO"]
        if path == "/call":
            raise ValueError("in the call")
        if path == "/exit":
            raise SystemExit(1)
        headers = [("X-Bad", "a\r\nb: c")] if path == "/head" else []
        if path != "/nothing":
            start_response("200 OK", headers)
        return iterables.get(path, [])

    live = wsgi(app, serve_app)
    for path, status in (("/call", 500), ("/exit", 500), ("/early", 500), ("/head", 500), ("/nothing", 500)):
        with live.connect() as peer:
            assert peer.get(path).status == status, path
    with live.connect() as peer:
        peer.send(request("/late"))
        assert not peer.rest().endswith(b"0\r\n\r\n")
    with live.connect() as peer:
        assert peer.get("/whole").body == b"all of it"
        assert peer.get("/empty").body == b""
    with live.connect() as peer:
        peer.send(request("/gone"))
        peer.until(b"tick")
        peer.reset()
    for iterable in iterables.values():
        assert iterable.closed.wait(10)
    eventually(lambda: not live.on_loop(lambda: live.running._worker.runtime.active_calls()))
    assert len(live.errors()) == 6, live.errors()


def test_files(serve_app: Callable[..., Live], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    data = path.read_bytes()
    files: list[Any] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> Any:
        kind = environ["PATH_INFO"]
        file: Any = BytesIO(data) if kind == "/memory" else path.open("rb")
        files.append(file)
        headers = []
        if kind == "/part":
            file.seek(1000)
            headers = [("Content-Length", "5000")]
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file, 8192)

    live = wsgi(app, serve_app)
    with live.connect() as peer:
        response = peer.get("/file")
        assert response.header("content-length") == str(len(data))
        assert response.body == data
        # A close does not hold its response up, so the next request, in another thread, may overtake it.
        eventually(lambda: files[-1].closed)
        assert peer.get("/memory").body == data
        assert peer.get("/part").body == data[1000:6000]
        assert peer.get("/file", method="HEAD").body == b""
        eventually(lambda: len(files) == 4 and all(file.closed for file in files))
    assert live.errors() == []


def test_a_close_that_takes_long_holds_up_neither_response_nor_connection(serve_app: Callable[..., Live]) -> None:
    go_on = threading.Event()
    closed: list[str] = []

    class Slow:
        """Yields one piece, and is long in closing."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[bytes]:
            yield self.name.encode()

        def close(self) -> None:
            if self.name == "/first":
                assert go_on.wait(10)
            closed.append(self.name)

    def app(environ: dict[str, Any], start_response: StartResponse) -> Any:
        name = environ["PATH_INFO"]
        start_response("200 OK", [("Content-Length", str(len(name)))])
        return Slow(name)

    live = wsgi(app, serve_app, wsgi_threads=2)
    with live.connect() as peer:
        assert peer.get("/first").body == b"/first"
        assert peer.get("/second").body == b"/second"
        eventually(lambda: closed == ["/second"])
        go_on.set()
        eventually(lambda: closed == ["/second", "/first"])
    assert live.errors() == []


def test_early_hints_and_environ(serve_app: Callable[..., Live]) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="fresh")

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if "wsgi.early_hints" in environ:
            environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload"), ("X-Other", "no")])
        assert not environ["wsgi.multiprocess"]  # there is one worker
        seen = variable.get()
        variable.set("used")
        start_response("200 OK", [("X-Port", environ["REMOTE_PORT"]), ("X-Uri", environ["RAW_URI"])])
        return [seen.encode()]

    live = wsgi(app, serve_app, wsgi_threads=1)
    with live.connect() as peer:
        for _ in range(2):
            peer.send(request("/%61?b"))
            assert b"HTTP/1.1 103" in peer.until(b"link: </a.css>; rel=preload\r\n\r\n")
            response = peer.response()
            assert (response.header("x-port"), response.header("x-uri")) == (str(peer.port), "/%61?b")
            assert response.body == b"fresh"
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert peer.head()[0] == 200


@pytest.mark.parametrize("patience", [0.2, 30.0])
def test_too_many_requests(serve_app: Callable[..., Live], patience: float) -> None:
    """One thread, one place to wait: the third request is refused at once, and the second after a while."""
    go_on = threading.Event()

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            assert go_on.wait(10)
        start_response("200 OK", [])
        return [b"done"]

    live = wsgi(app, serve_app, wsgi_threads=1, wsgi_queue_size=1, wsgi_queue_timeout=patience)
    threads = live.running._worker.threads.threads
    first, second, third = live.connect(), live.connect(), live.connect()
    first.send(request("/slow"))
    eventually(lambda: threads.running == 1)
    second.send(request())
    eventually(lambda: len(threads.waiting) == 1)
    refused = third.get()
    assert (refused.status, refused.header("retry-after")) == (503, "1")
    if patience < 1:
        assert second.response().status == 503
    go_on.set()
    assert first.response().body == b"done"
    if patience > 1:
        assert second.response().body == b"done"
    eventually(lambda: threads.running == 0)
    assert second.get().body == b"done"
    for peer in (first, second, third):
        peer.close()
    assert live.errors() == []


def test_threads_end_with_the_server(serve_app: Callable[..., Live]) -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [str(threading.get_ident()).encode()]

    live = wsgi(app, serve_app)
    with live.connect() as peer:
        number = int(peer.get().body)
    live.stop()
    eventually(lambda: number not in [thread.ident for thread in threading.enumerate()])


def test_a_thread_that_hangs_does_not_hold_the_shutdown(serve_app: Callable[..., Live]) -> None:
    go_on = threading.Event()
    begun = threading.Event()

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        begun.set()
        go_on.wait(30)
        start_response("200 OK", [])
        return [b"x"]

    live = wsgi(app, serve_app, graceful_timeout=0.1)
    with live.connect() as peer:
        peer.send(request())
        assert begun.wait(10)
        live.stop()
        go_on.set()
        assert peer.ended()
