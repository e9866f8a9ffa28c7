"""CompressionMiddleware: every coding, whole and in pieces, and what is left alone."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.middleware.asking import ask

from hypercorn.middleware import CompressionMiddleware
from hypercorn.middleware.compression import CODINGS, installed
from hypercorn.testing import connect

TEXT = b"some text, and some text again; " * 100


def decoder(coding: str) -> Callable[[bytes], bytes]:
    """Decompresses piece by piece."""
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    if coding == "br":
        import brotli

        return brotli.Decompressor().process  # type: ignore[no-any-return]
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdDecompressor().decompress
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress  # type: ignore[no-any-return, unused-ignore]


def giving(*pieces: bytes, status: int = 200, **fields: str) -> Any:
    """An application with these pieces; a `_` in a field's name is a `-`."""
    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    if "content_type" not in fields:
        headers.append((b"content-type", b"text/plain"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for index, piece in enumerate(pieces):
            more = index < len(pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return app


def test_all_codings_are_tested() -> None:
    assert installed() == list(CODINGS) == ["zstd", "br", "gzip"]


@pytest.mark.parametrize("coding", CODINGS)
def test_whole(coding: str) -> None:
    app = CompressionMiddleware(giving(TEXT, content_length=str(len(TEXT)), etag='"a"', vary="cookie"))
    peer = connect(app)
    peer.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    head, _, body = peer.received().partition(b"\r\n\r\n")
    assert decoder(coding)(body) == TEXT
    assert len(body) < len(TEXT) / 5
    for line in (f"content-encoding: {coding}", f"content-length: {len(body)}", 'etag: W/"a"', "vary: accept-encoding"):
        assert line.encode() in head
    assert head.count(b"content-length") == 1


@pytest.mark.parametrize("coding", CODINGS)
def test_each_piece_can_be_read_when_it_comes(coding: str) -> None:
    from hypercorn.testing import Event

    event = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await event.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"second", "more_body": True})
        await send({"type": "http.response.body"})

    decode = decoder(coding)
    peer = connect(CompressionMiddleware(app))
    peer.send(f"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
    head, _, rest = peer.received().partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    size, _, rest = rest.partition(b"\r\n")
    assert decode(rest[: int(size, 16)]) == b"first"
    event.set()
    text = b""
    rest = peer.received()
    while rest != b"0\r\n\r\n":
        size, _, rest = rest.partition(b"\r\n")
        text += decode(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    assert text == b"second"


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1.0, br;q=0.8", "gzip"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("identity", None),
        ("", None),
    ],
)
def test_negotiation(accept: str, coding: str | None) -> None:
    answer = ask(CompressionMiddleware(giving(TEXT)), "/", f"Accept-Encoding: {accept}")
    assert answer.fields.get("content-encoding") == coding
    assert answer.fields["vary"] == "accept-encoding"
    assert (answer.body == TEXT) is (coding is None)


@pytest.mark.parametrize(
    "app",
    [
        giving(b"short"),
        giving(TEXT, content_encoding="br"),
        giving(TEXT, content_type="image/png"),
        giving(TEXT, content_type="text/event-stream; charset=utf-8"),
        giving(TEXT, b"", content_type="text/event-stream"),
        giving(TEXT, cache_control="private, No-Transform"),
        giving(TEXT, status=206, content_range="bytes 0-3199/4000"),
        giving(b"", status=204),
        giving(b"", status=304, etag='"a"'),
    ],
)
def test_what_is_left_alone(app: Any) -> None:
    asked = ask(CompressionMiddleware(app), "/", "Accept-Encoding: gzip, br, zstd")
    plain = ask(app)
    assert asked.body == plain.body
    asked.fields.pop("vary", None)
    assert {**asked.fields, "date": ""} == {**plain.fields, "date": ""}


def test_head_and_files(tmp_path: Path) -> None:
    """A response to HEAD says what the application says; a file goes as it is."""
    path = tmp_path / "file"
    path.write_bytes(TEXT)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.pathsend", "path": str(path)})

    assert ask(CompressionMiddleware(app), "/", "Accept-Encoding: gzip").body == TEXT
    head = ask(CompressionMiddleware(giving(TEXT, content_length="3200")), "/", "Accept-Encoding: gzip", method="HEAD")
    assert (head.fields["content-length"], "content-encoding" in head.fields) == ("3200", False)


def test_codings_are_chosen() -> None:
    app = CompressionMiddleware(giving(TEXT), codings=["gzip"])
    assert ask(app, "/", "Accept-Encoding: br, gzip").fields["content-encoding"] == "gzip"
    with pytest.raises(KeyError):
        CompressionMiddleware(giving(TEXT), codings=["deflate"])
