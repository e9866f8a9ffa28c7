"""WSGI applications on every loop: Flask, Django, Bottle, and a plain one held to PEP 3333 by `wsgiref.validate`."""

from __future__ import annotations

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
from tests.live import Live, eventually
from tests.peer import request


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
