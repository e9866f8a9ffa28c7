"""WSGI applications on every loop: Flask, Django, Bottle, and a plain one held to PEP 3333 by `wsgiref.validate`."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import bottle
import flask
import httpx
import pytest
from tests.frameworks import app_django
from tests.support.live import Live, eventually
from tests.support.peer import request
from werkzeug.wsgi import wrap_file

LARGE = 3 << 30
LAST = b"the last bytes"


def make_flask() -> flask.Flask:
    """An application of every kind of response."""
    app = flask.Flask(__name__, root_path=str(Path(__file__).parent))

    @app.get("/")
    def home() -> str:
        return f"hello {flask.request.args.get('name', '')}"

    @app.post("/json")
    def echo() -> Any:
        return flask.jsonify(got=flask.request.get_json())

    @app.get("/stream")
    def stream() -> Any:
        return flask.Response((f"{number} " for number in range(5)), mimetype="text/plain")

    @app.post("/upload")
    def upload() -> str:
        return str(len(flask.request.get_data()))

    @app.get("/error")
    def error() -> str:
        raise ValueError("broken")

    return app


def test_flask(serve_app: Any) -> None:
    live = serve_app(make_flask(), mode="wsgi", wsgi_max_body_size="16MiB")
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.get("/", params={"name": "é"}).text == "hello é"
        assert client.post("/json", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.get("/stream").text == "0 1 2 3 4 "
        assert client.post("/upload", content=iter([b"x" * 10_000] * 10)).text == "100000"
        assert client.get("/error").status_code == 500
        assert client.head("/").content == b""
        assert client.post("/upload", content=b"x" * (16 * 1024 * 1024 + 1)).status_code == 413
    too_large = "A request body of more than 16777216 bytes was refused (413) by the option wsgi_max_body_size"
    assert live.errors() == [too_large]


class Counted(io.FileIO):
    """A file that counts what is read, and which the kernel may not send, as it is no plain one."""

    count = 0

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        self.count += size
        return size

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.fixture
def large_file(tmp_path: Path) -> Iterator[Path]:
    """A file of 3 GiB, nearly all of it a hole."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        try:
            file.seek(LARGE - len(LAST))
            file.write(LAST)
        except OSError as error:
            pytest.skip(f"no file of 3 GiB here: {error}")
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("this file system makes no holes")
    yield path
    path.unlink()


@pytest.mark.parametrize("kind", ["path", "file"])
def test_flask_reads_nothing_but_a_range(serve_app: Any, large_file: Path, kind: str) -> None:
    """Werkzeug positions `wsgi.file_wrapper` where it can, and else reads all that is before the range."""
    app = flask.Flask(__name__)
    files: list[Counted] = []

    @app.get("/path")
    def by_path() -> Any:
        return flask.send_file(large_file, conditional=True)

    @app.get("/file")
    def by_file() -> Any:
        files.append(Counted(large_file))
        environ = flask.request.environ
        response = flask.Response(wrap_file(environ, files[-1]), direct_passthrough=True)  # type: ignore[arg-type]
        return response.make_conditional(environ, accept_ranges=True, complete_length=LARGE)

    live = serve_app(app, mode="wsgi")
    io_before = bytes_read()
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        for start in (LARGE - len(LAST), LARGE - 5):
            answer = client.get(f"/{kind}", headers={"Range": f"bytes={start}-"})
            assert (answer.status_code, answer.content) == (206, LAST[start - LARGE :])
            assert answer.headers["content-range"] == f"bytes {start}-{LARGE - 1}/{LARGE}"
    assert bytes_read() - io_before < 8 << 20  # by the whole process: code that is loaded, the client
    assert sum(file.count for file in files) < 1 << 18
    assert live.errors() == []


def bytes_read() -> int:
    """How many bytes this process has read, where the system tells."""
    path = Path("/proc/self/io")
    return int(path.read_text().split()[1]) if path.exists() else 0


def test_django(serve_app: Any, tmp_path: Path) -> None:
    """The views of the grid, over WSGI."""
    file = tmp_path / "file.bin"
    file.write_bytes(os.urandom(300_000))
    live = serve_app(app_django.make_wsgi(file), mode=None)
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.get("/hello", params={"name": "é"}).text == "hello é"
        assert client.post("/json", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.post("/upload", content=b"x" * 1_000_000).text == "1000000"
        assert client.get("/sync-stream").text == "0 1 2 3 4 "
        assert client.get("/file").content == file.read_bytes()  # by wsgi.file_wrapper
        assert client.get("/error").status_code == 500
        head = client.head("/hello", params={"name": "x"})
        assert (head.status_code, head.content) == (200, b"")
    assert live.errors() == []


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # Bottle closes no file of a body
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
def test_bottle(serve_app: Any, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"0123456789")
    app = bottle.Bottle()
    app.get("/hello/<name>", callback=lambda name: f"hello {name}")
    app.post("/json", callback=lambda: {"got": bottle.request.json})
    app.post("/upload", callback=lambda: str(len(bottle.request.body.read())))
    app.get("/stream", callback=lambda: (f"{number} ".encode() for number in range(5)))
    app.get("/file", callback=lambda: bottle.static_file("file.bin", root=str(tmp_path), download=True))
    live = serve_app(app, mode="wsgi", wsgi_max_body_size="16MiB")
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.get("/hello/é").text == "hello é"
        assert client.post("/json", json={"a": 1}).json() == {"got": {"a": 1}}
        assert client.post("/upload", content=iter([b"x" * 10_000] * 5)).text == "50000"
        assert client.post("/upload", content=b"x" * 200_000).text == "200000"
        assert client.get("/stream").text == "0 1 2 3 4 "
        assert client.get("/file").content == b"0123456789"
        assert client.get("/file", headers={"range": "bytes=2-4"}).content == b"234"
        assert client.get("/missing").status_code == 404
    assert live.errors() == []


def test_a_valid_application(serve_app: Any) -> None:
    """N41."""

    def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    live = serve_app(validator(plain), mode="wsgi")
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.post("/a%20b?c=d", content=b"body").text == "body"
        assert client.get("/").text == ""
    assert live.errors() == []


def test_calls_run_beside_each_other(serve_app: Any) -> None:
    barrier = threading.Barrier(3)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        barrier.wait(5)
        start_response("200 OK", [])
        return [b"together"]

    live: Live = serve_app(app, mode="wsgi")
    peers = [live.connect() for _ in range(3)]
    for peer in peers:
        peer.send(request())
    for peer in peers:
        assert peer.response().body == b"together"
        peer.close()


def test_a_client_that_leaves_closes_the_iterable(serve_app: Any) -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"tick"
                time.sleep(0.005)

        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return Endless()

    live: Live = serve_app(app, mode="wsgi")
    with live.connect() as peer:
        peer.send(request())
        peer.until(b"tick")
    assert closed.wait(5)
    eventually(lambda: not live.on_loop(lambda: live.running._worker.runtime.active_calls()))
    assert live.errors() == []
