"""Files as bodies: pathsend and zerocopysend, sent by the kernel where it can and in bounded pieces elsewhere."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.live import Live, eventually, lifespan

SIZE = 3_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "body.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture(name="serve_app")
def _serve_app(serve_app: Callable[..., Live]) -> Callable[..., Live]:
    return functools.partial(serve_app, pathsend=True)


def sending(*messages: dict[str, Any], headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    """An application that sends a head and then these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        assert "http.response.pathsend" in scope["extensions"]
        assert "http.response.zerocopysend" in scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": headers or []})
        for message in messages:
            await send(message)
        return None

    return app


def fetch(live: Live) -> Any:
    with live.connect() as peer:
        return peer.get("/")


def test_a_path_is_sent_whole_with_its_length(serve_app: Callable[..., Live], file: Path) -> None:
    live = serve_app(sending({"type": "http.response.pathsend", "path": str(file)}))
    response = fetch(live)
    assert response.status == 200
    assert response.header("content-length") == str(SIZE)
    assert response.body == file.read_bytes()
    assert live.errors() == []


def test_a_path_after_the_application_s_own_length(serve_app: Callable[..., Live], file: Path) -> None:
    headers = [(b"content-length", b"%d" % SIZE)]
    live = serve_app(sending({"type": "http.response.pathsend", "path": str(file)}, headers=headers))
    assert fetch(live).body == file.read_bytes()


def test_head_of_a_path_has_no_body(serve_app: Callable[..., Live], file: Path) -> None:
    live = serve_app(sending({"type": "http.response.pathsend", "path": str(file)}))
    with live.connect() as peer:
        response = peer.get("/", "Connection: close", method="HEAD")
        assert response.status == 200
        assert peer.rest() == b""


@pytest.mark.parametrize(("offset", "count"), [(0, None), (10, 100_000), (SIZE - 5, 50), (7, None)])
def test_a_range_of_a_descriptor(serve_app: Callable[..., Live], file: Path, offset: int, count: int | None) -> None:
    content = file.read_bytes()
    with file.open("rb") as opened:
        message = {"type": "http.response.zerocopysend", "file": opened, "offset": offset}
        if count is not None:
            message["count"] = count
        live = serve_app(sending(message))
        expected = content[offset:] if count is None else content[offset : offset + count]
        assert fetch(live).body == expected


def test_ranges_between_pieces_keep_their_order(serve_app: Callable[..., Live], file: Path) -> None:
    content = file.read_bytes()
    with file.open("rb") as opened:
        part = {"type": "http.response.zerocopysend", "file": opened, "offset": 5, "count": 200_000, "more_body": True}
        live = serve_app(
            sending(
                {"type": "http.response.body", "body": b"before", "more_body": True},
                part,
                {"type": "http.response.body", "body": b"after"},
                headers=[(b"content-length", b"200011")],
            )
        )
        assert fetch(live).body == b"before" + content[5:200_005] + b"after"


def test_a_range_in_the_chunked_coding(serve_app: Callable[..., Live], file: Path) -> None:
    content = file.read_bytes()
    with file.open("rb") as opened:
        part = {"type": "http.response.zerocopysend", "file": opened, "count": 100_000, "offset": 0, "more_body": True}
        live = serve_app(sending(part, {"type": "http.response.body", "body": b"end"}))
        assert fetch(live).body == content[:100_000] + b"end"


def test_a_descriptor_without_offset_is_read_from_where_it_stands(serve_app: Callable[..., Live], file: Path) -> None:
    with file.open("rb", buffering=0) as opened:
        opened.seek(1000)
        live = serve_app(sending({"type": "http.response.zerocopysend", "file": opened, "count": 10}))
        assert fetch(live).body == file.read_bytes()[1000:1010]
        assert opened.tell() == 1010


def test_a_missing_path_is_an_error_of_the_application(serve_app: Callable[..., Live], tmp_path: Path) -> None:
    live = serve_app(sending({"type": "http.response.pathsend", "path": str(tmp_path / "none")}))
    response = fetch(live)
    assert response.status == 500
    assert len(live.errors()) == 1


def test_a_client_that_leaves_ends_the_call_and_frees_the_descriptor(
    serve_app: Callable[..., Live], file: Path
) -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        try:
            headers = [(b"content-length", b"9000000000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while True:  # more than the buffers of the system take
                await send({"type": "http.response.zerocopysend", "file": opened, "offset": 0, "more_body": True})
        except OSError:
            ended.append("gone")
            raise

    with file.open("rb") as opened:
        live = serve_app(app)
        before = descriptors(str(file))
        with live.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            peer.more()
            peer.reset()
            eventually(lambda: ended)
        eventually(lambda: descriptors(str(file)) <= before)
    assert ended == ["gone"]
    assert live.errors() == []


def test_a_client_that_does_not_read_a_file_of_3_gib_is_cut_off(serve_app: Callable[..., Live], tmp_path: Path) -> None:
    """The file is longer than a signed word says in 32 bits; what waits of it must not be taken for nothing."""
    path = tmp_path / "sparse.bin"
    with path.open("wb") as made:
        made.truncate(3 << 30)
    live = serve_app(
        sending({"type": "http.response.pathsend", "path": str(path)}), write_timeout=0.3, keep_alive_timeout=60
    )
    with live.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.more()
        assert b"content-length: 3221225472\r\n" in peer.buffer
        eventually(lambda: not descriptors(str(path)))
    assert live.errors() == []


def descriptors(path: str) -> int:
    """How many descriptors of this process are open on a file; 0 where that cannot be seen."""
    if not os.path.isdir("/proc/self/fd"):
        return 0
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}") == path
    return found


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_they_are_offered_only_when_asked(serve_app: Callable[..., Live], wanted: bool, version: str) -> None:
    offered: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append(set(scope["extensions"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    live = serve_app(app, lifespan="off", pathsend=wanted)
    for _ in range(3):
        with live.connect() as peer:
            peer.send(b"GET / HTTP/%b\r\nHost: a\r\nConnection: close\r\n\r\n" % version.encode())
            assert peer.response().status == 200
    files = {"http.response.pathsend", "http.response.zerocopysend"}
    assert [one & files for one in offered] == [files if wanted else set()] * 3


class Withholding:
    """A middleware that keeps the start of a response back until it sees a body, and knows no files."""

    def __init__(self, app: Any, passing: bool) -> None:
        self.app = app
        self.passing = passing  # it passes on what it does not know

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        start: list[Any] = []

        async def held(message: Any) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
            elif message["type"] == "http.response.body":
                if start:
                    await send(start.pop())
                await send(message)
            elif self.passing:
                await send(message)

        await self.app(scope, receive, held)


@pytest.mark.parametrize("passing", [True, False])
def test_a_middleware_that_withholds_the_start(serve_app: Callable[..., Live], file: Path, passing: bool) -> None:
    starlette = pytest.importorskip("starlette.responses")
    app = Withholding(starlette.FileResponse(file), passing)
    live = serve_app(app, lifespan="off", pathsend=False)
    assert fetch(live).body == file.read_bytes()
    assert live.errors() == []
    live = serve_app(app, lifespan="off")
    assert fetch(live).status == 500
    text = "\n".join(str(record.exc_info and record.exc_info[1]) + record.getMessage() for record in live.log.records)
    assert "no http.response.start came. The option pathsend is on" in text


COMPRESSORS = [
    ("starlette.middleware.gzip", "GZipMiddleware"),
    ("asgi_gzip", "GZipMiddleware"),
    ("brotli_asgi", "BrotliMiddleware"),
    ("starlette_compress", "CompressMiddleware"),
    ("gradio.brotli_middleware", "BrotliMiddleware"),
]


@pytest.mark.parametrize(("module", "name"), COMPRESSORS)
def test_middleware_compresses_files(serve_app: Callable[..., Live], tmp_path: Path, module: str, name: str) -> None:
    """As released, each over a file response of Starlette's."""
    responses = pytest.importorskip("starlette.responses")
    middleware = getattr(pytest.importorskip(module), name)
    path = tmp_path / "page.html"
    path.write_bytes(b"<p>text</p>" * 1000)
    live = serve_app(middleware(responses.FileResponse(path)), lifespan="off", pathsend=False)
    with live.connect() as peer:
        response = peer.get("/page.html", "Accept-Encoding: gzip, br")  # Gradio goes by the name
    assert response.status == 200
    assert response.header("content-encoding") in ("gzip", "br")
    assert live.errors() == []
