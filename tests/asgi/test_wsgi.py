"""WSGI applications served as ASGI ones (PEP 3333). Plain calls play the threads and the event loop."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

import hypercorn
from hypercorn.asgi.wsgi import InvalidPathError, WSGIWrapper, _build_environ
from hypercorn.asgi.wsgi_environ import build_environ
from hypercorn.asgi.wsgi_response import FileWrapper
from hypercorn.asgi.wsgi_threads import wsgi_settings
from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.protocol.limits import Limits

SCOPE: dict[str, Any] = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"a=b",
    "headers": [],
    "client": ("1.2.3.4", 80),
    "server": ("host", 8000),
    "extensions": {},
}


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def serve(
    app: Callable[..., Any],
    scope: dict[str, Any] | None = None,
    pieces: tuple[bytes, ...] = (b"",),
    limit: int = 2**16,
    disconnect: bool = False,
) -> list[dict[str, Any]]:
    """Everything that is sent. The request body comes in pieces, then perhaps a disconnect instead of its end."""
    received: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    received[-1]["more_body"] = disconnect
    received.append({"type": "http.disconnect"})
    source = iter(received)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(source)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def sync_spawn(function: Callable[..., Any], *args: Any) -> None:
        function(*args)

    def call_soon(function: Callable[..., Any], *args: Any) -> Any:
        return finish(function(*args))

    finish(WSGIWrapper(app, limit)({**SCOPE, **(scope or {})}, receive, send, sync_spawn, call_soon))
    return sent


def joined(sent: list[dict[str, Any]]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * (len(sent) - 1)
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    return sent[0]["status"], sent[0]["headers"], b"".join(message["body"] for message in sent[1:])


def body(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    output = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(output)))])
    return [output]


def answering(status: str, chunks: Iterable[bytes]) -> Callable[..., Iterable[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [("x-a", "b")])
        return chunks

    return app


def test_echo() -> None:
    status, headers, body = joined(serve(echo, pieces=(b"he", b"llo")))
    assert (status, body) == (200, b"hello")
    assert headers == [(b"content-type", b"text/plain"), (b"content-length", b"5")]


def test_the_standard_validator_is_content() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.input"].read(10)
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1")])
        return [b"x"]

    assert joined(serve(validator(app)))[2] == b"x"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "200 OK"])
@pytest.mark.parametrize("chunks", [[], [b""], (), iter(())])
def test_empty_bodies(status: str, chunks: Iterable[bytes]) -> None:
    """Q-WG-1."""
    sent = serve(answering(status, chunks))
    assert sent == [
        {"type": "http.response.start", "status": int(status[:3]), "headers": [(b"x-a", b"b")]},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


def test_headers_wait_for_the_first_byte() -> None:
    """Q-WG-1: until then the application may still change its mind."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oh", [("x-error", "yes")], sys.exc_info())
        yield b"sorry"

    assert joined(serve(app)) == (500, [(b"x-error", b"yes")], b"sorry")


def test_start_response_in_the_first_step_of_a_generator() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("201 Created", [])
        yield b"a"
        yield b"b"

    assert joined(serve(app)) == (201, [], b"ab")


@pytest.mark.parametrize("chunks", [[b"abc"], (b"abc",), [b"a", b"", b"bc"], [bytearray(b"abc")]])
def test_what_is_known_at_once_is_one_message(chunks: Any) -> None:
    """The connection then knows its length."""
    assert serve(answering("200 OK", chunks))[1:] == [body(b"abc")]
    assert serve(answering("200 OK", iter([b"abc"])))[1:] == [body(b"abc", True), body(b"")]


def test_a_body_ends_with_its_length() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"ab"
        yield b"cd"

    assert serve(app)[1:] == [body(b"ab", True), body(b"cd")]


def test_more_than_the_length() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"ab"
        yield b"c"

    with pytest.raises(ValueError, match="longer than the 2 bytes"):
        serve(app)


@pytest.mark.parametrize("chunks", [["a"], [97], iter(["a"]), [None]])
def test_what_is_no_bytes(chunks: Any) -> None:
    with pytest.raises(TypeError):
        serve(answering("200 OK", chunks))


def test_write() -> None:
    """Q-WG-2."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"")
        return [b"two"]

    assert joined(serve(app)) == (200, [], b"one two")


def test_an_error_after_the_headers_is_raised_again() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"part"
        try:
            raise KeyError("late")
        except KeyError:
            start_response("500 Oh", [], sys.exc_info())

    with pytest.raises(KeyError, match="late"):
        serve(app)


def test_two_calls_of_start_response() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="without exc_info"):
        serve(app)


@pytest.mark.parametrize("chunks", [[], [b"a"]])
def test_no_start_response(chunks: list[bytes]) -> None:
    with pytest.raises(RuntimeError, match="WSGI app did not call start_response"):
        serve(lambda environ, start_response: chunks)


def test_a_status_without_a_phrase() -> None:
    assert joined(serve(answering("299", [b"a"])))[0] == 299


class Closing:
    def __init__(self, *chunks: Any) -> None:
        self.chunks = iter(chunks)
        self.closed = 0

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        if isinstance(chunk, Exception):
            raise chunk
        return bytes(chunk)

    def close(self) -> None:
        self.closed += 1


def test_close_is_called_once_whatever_happens() -> None:
    good, bad = Closing(b"a"), Closing(b"a", ValueError("inside"))
    serve(answering("200 OK", good))
    with pytest.raises(ValueError, match="inside"):
        serve(answering("200 OK", bad))
    assert (good.closed, bad.closed) == (1, 1)


# --- files

TEXT = b"0123456789" * 3000


class Shouting(io.FileIO):
    """A file whose content is another than that of its descriptor."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size).upper()


def stored(path: Path) -> Any:
    """An entry of an archive, whose file is the archive."""
    archive = zipfile.ZipFile(path.with_suffix(".zip"), "w")
    archive.writestr("name", TEXT)
    archive.close()
    return zipfile.ZipFile(path.with_suffix(".zip")).open("name")


def written(path: Path) -> Any:
    """A file with bytes that were not flushed."""
    file = path.open("w+b")
    file.write(TEXT)
    file.seek(10)
    file.write(b"x")
    return file


FILES: dict[
    str, tuple[Callable[[Path], Any], bytes | None, bool]
] = {  # how they open, what they give, whether by the kernel
    "buffered": (lambda path: path.open("rb"), TEXT, True),
    "raw": (lambda path: path.open("rb", buffering=0), TEXT, True),
    "random": (lambda path: path.open("r+b"), TEXT, True),
    "written": (written, TEXT[11:], True),
    "gzip": (lambda path: gzip.GzipFile(path.with_suffix(".gz")), TEXT, False),
    "bz2": (lambda path: bz2.BZ2File(path.with_suffix(".bz2")), TEXT, False),
    "lzma": (lambda path: lzma.LZMAFile(path.with_suffix(".xz")), TEXT, False),  # noqa: SIM115
    "buffered gzip": (lambda path: io.BufferedReader(gzip.GzipFile(path.with_suffix(".gz"))), TEXT, False),
    "archive": (stored, TEXT, False),
    "own class": (lambda path: Shouting(path), TEXT.upper(), False),
    "buffered own class": (lambda path: io.BufferedReader(Shouting(path)), None, False),
    "memory": (lambda path: io.BytesIO(TEXT), TEXT, False),
    "spooled": (lambda path: spooled(), TEXT, False),
    "no size": (lambda path: Path("/proc/self/status").open("rb"), None, False),  # noqa: SIM115
}


def spooled() -> Any:
    """A file that is in memory until its descriptor is asked for."""
    file = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115  # the server closes it
    file.write(TEXT)
    file.seek(0)
    return file


@pytest.mark.parametrize("kind", FILES)
def test_a_file_gives_what_reading_it_gives(kind: str, tmp_path: Path) -> None:
    """PEP 3333. Only real files go by their descriptors."""
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    path.with_suffix(".gz").write_bytes(gzip.compress(TEXT))
    path.with_suffix(".bz2").write_bytes(bz2.compress(TEXT))
    path.with_suffix(".xz").write_bytes(lzma.compress(TEXT))
    opener, content, by_kernel = FILES[kind]

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](opener(path), 4096)

    sent = serve(app, {"extensions": {"http.response.zerocopysend": {}}})
    assert ("http.response.zerocopysend" in [message["type"] for message in sent]) is by_kernel
    if by_kernel:
        (_, message) = sent
        with open(message["file"].fileno(), "rb", closefd=False) as file:
            file.seek(message["offset"])
            assert file.read(message["count"]) == content
    elif content is not None:
        assert joined(sent)[2] == content
    else:
        assert len(joined(sent)[2]) > 100


def test_a_text_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open())

    with pytest.raises(TypeError, match="must yield bytes, not str"):
        serve(app, {"extensions": {"http.response.zerocopysend": {}}})


class Counted(io.BytesIO):
    """Counts the bytes that were read."""

    read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_a_file_can_be_positioned() -> None:
    file = Counted(TEXT)
    wrapper = FileWrapper(file, 100)
    assert wrapper.seekable()
    assert wrapper.seek(-10, 2) == wrapper.tell() == len(TEXT) - 10
    assert list(wrapper) == [TEXT[-10:]]
    assert file.read_bytes == 10
    assert not FileWrapper(iter(())).seekable()
    read, write = os.pipe()
    os.close(write)
    with open(read, "rb") as pipe:
        assert not FileWrapper(pipe).seekable()


def test_a_range_reads_nothing_but_the_range() -> None:
    """Werkzeug's, and so Flask's."""
    wsgi = pytest.importorskip("werkzeug.wsgi")
    wrappers = pytest.importorskip("werkzeug.wrappers")
    file = Counted(TEXT)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        response = wrappers.Response(wsgi.wrap_file(environ, file), direct_passthrough=True)
        response.make_conditional(environ, accept_ranges=True, complete_length=len(TEXT))
        return response(environ, start_response)

    status, _, content = joined(serve(app, {"headers": [(b"range", b"bytes=20000-20009")]}))
    assert (status, content) == (206, TEXT[20000:20010])
    assert file.read_bytes <= 8192


# --- the request body


def never(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    raise AssertionError("the application was called")


REFUSED = [
    {"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]},
    {"type": "http.response.body", "body": b"", "more_body": False},
]


def test_too_large_a_body() -> None:
    """Q-WG-4."""
    assert serve(never, pieces=(b"ab", b"cde"), limit=4) == REFUSED
    assert serve(never, {"headers": [(b"content-length", b"5")]}, limit=4) == REFUSED
    assert joined(serve(echo, pieces=(b"ab", b"cd"), limit=4))[2] == b"abcd"


def test_half_a_body_never_reaches_the_application() -> None:
    """Q-WG-4."""
    assert serve(never, pieces=(b"ab",), disconnect=True) == []


# --- environ


def environ_of(body: bytes = b"", **changes: Any) -> dict[str, Any]:
    return _build_environ({**SCOPE, **changes}, body)


def test_environ() -> None:
    environ = environ_of(b"hi", raw_path=b"/%61", path="/a", headers=[(b"content-type", b"text/x"), (b"x-y", b"\xe9")])
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a",
        "QUERY_STRING": "a=b",
        "REQUEST_URI": "/%61?a=b",
        "RAW_URI": "/%61?a=b",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "2",
        "SERVER_NAME": "host",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": f"hypercorn/{hypercorn.__version__}",
        "REMOTE_ADDR": "1.2.3.4",
        "REMOTE_PORT": "80",
        "HTTP_X_Y": "\xe9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.run_once": False,
    }
    assert {name: environ[name] for name in expected} == expected
    assert environ["wsgi.input"].read() == b"hi"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert all(type(value) is str for name, value in environ.items() if name.isupper())


def test_whether_other_processes_serve_too() -> None:
    limits = Limits(limits_of(Config()))
    for many in (False, True):
        settings = wsgi_settings(limits, 100, many)
        assert build_environ(SCOPE, None, settings.multiprocess)["wsgi.multiprocess"] is many


def test_no_body_has_no_length() -> None:
    assert "CONTENT_LENGTH" not in environ_of()


@pytest.mark.parametrize(
    ("root_path", "path", "script_name", "path_info"),
    [
        ("", "/a", "", "/a"),
        ("/", "/a", "", "/a"),
        ("/a", "/a", "/a", ""),
        ("/a/", "/a/b", "/a", "/b"),
        ("/\u4e2d", "/\u4e2d/\u6587", "/\xe4\xb8\xad", "/\xe6\x96\x87"),
    ],
)
def test_paths(root_path: str, path: str, script_name: str, path_info: str) -> None:
    environ = environ_of(root_path=root_path, path=path)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


@pytest.mark.parametrize(("root_path", "path"), [("/a", "/ab"), ("/a", "/b"), ("/\u4e2d\u56fd", "/\u4e2d\u6587")])
def test_paths_outside_of_root_path(root_path: str, path: str) -> None:
    with pytest.raises(InvalidPathError):
        environ_of(root_path=root_path, path=path)
    assert joined(serve(never, {"root_path": root_path, "path": path}))[0] == 404


def test_headers_that_could_stand_in_for_others_are_dropped() -> None:
    """Q-WG-7, and CVE-2016-5385."""
    environ = environ_of(
        headers=[
            (b"x_forwarded_for", b"evil"),
            (b"x-forwarded-for", b"1.1.1.1"),
            (b"x-forwarded-for", b"2.2.2.2"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"Proxy", b"http://evil"),
            (b"Transfer-Encoding", b"chunked"),
        ]
    )
    assert environ["HTTP_X_FORWARDED_FOR"] == "1.1.1.1,2.2.2.2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert "HTTP_PROXY" not in environ
    assert "HTTP_TRANSFER_ENCODING" not in environ


@pytest.mark.parametrize(
    ("changes", "name", "port"),
    [
        ({"server": None}, "localhost", "80"),
        ({"server": ("/run/a.sock", None), "scheme": "https"}, "localhost", "443"),
        ({"server": ("/run/a.sock", None), "headers": [(b"host", b"example.org")]}, "example.org", "80"),
        ({"server": ("/run/a.sock", None), "headers": [(b"host", b"example.org:81")]}, "example.org", "81"),
        ({"server": ("/run/a.sock", None), "headers": [(b"host", b"[::1]:81")]}, "[::1]", "81"),
        ({"server": ("/run/a.sock", None), "headers": [(b"host", b"[::1]")]}, "[::1]", "80"),
    ],
)
def test_unix_sockets(changes: dict[str, Any], name: str, port: str) -> None:
    """Q-WG-3."""
    environ = environ_of(client=None, **changes)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == (name, port, "")


# --- other scopes


def test_other_scopes() -> None:
    assert serve(never, {"type": "websocket"}) == [{"type": "websocket.close"}]
    start, body = serve(never, {"type": "websocket", "extensions": {"websocket.http.response": {}}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 501)
    assert b"WSGI has no WebSockets" in body["body"]
    assert serve(never, {"type": "lifespan"}) == []
    with pytest.raises(Exception, match="Unknown scope type, webhook"):
        serve(never, {"type": "webhook"})
