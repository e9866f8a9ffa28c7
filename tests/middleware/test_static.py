"""StaticFiles: what is served, what never is, and requests with conditions and ranges (RFC 9110 sections 13, 14)."""

from __future__ import annotations

import os
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from tests.middleware.asking import ask, saying, upgrade
from tests.support.live import Live

from hypercorn.middleware import DispatcherMiddleware, StaticFiles

TEXT = b"0123456789"
TIME = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("a.txt", "b.js", "b.js.gz", "b.js.br", "b.js.zst", "c d.bin", ".secret", "sub/index.html"):
        path = root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(TEXT + name.encode() if name != "a.txt" else TEXT)
        os.utime(path, (TIME, TIME))
    for name in (".well-known/x", ".git/config", "empty/.keep"):
        (root / name).parent.mkdir()
        (root / name).write_bytes(b"dot")
    (tmp_path / "root2").mkdir()
    for path in (tmp_path / "secret", tmp_path / "root2" / "secret"):
        path.write_bytes(b"secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "outside").symlink_to(tmp_path / "root2")
    (root / "in").symlink_to(root / "a.txt")
    (root / "a.txt.gz").symlink_to(tmp_path / "secret")
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "fifo")
    return root


def test_a_file(folder: Path) -> None:
    answer = ask(StaticFiles(folder, cache_control="max-age=60"), "/a.txt")
    assert (answer.status, answer.body) == (200, TEXT)
    expected = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "10",
        "accept-ranges": "bytes",
        "last-modified": formatdate(TIME, usegmt=True),
        "cache-control": "max-age=60",
        "x-content-type-options": "nosniff",
    }
    assert {name: answer.fields[name] for name in expected} == expected
    head = ask(StaticFiles(folder), "/a.txt", method="HEAD")
    assert (head.status, head.body, head.fields["content-length"]) == (200, b"", "10")


@pytest.mark.parametrize("target", ["/c%20d.bin", "/in", "/.well-known/x", "/sub/", "/sub/index.html", "//a.txt"])
def test_what_is_served(folder: Path, target: str) -> None:
    assert ask(StaticFiles(folder), target).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/none",
        "/.secret",
        "/.git/config",
        "/sub/../.secret",
        "/../secret",
        "/../root2/secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/out",
        "/outside/secret",
        "/a.txt/",
        "/a.txt/b",
        "/a.txt%00.js",
        "/fifo",
        "/empty/",
        "/empty",
        "/" + "a" * 5000,
        "/%ff%fe",
    ],
)
def test_what_is_not(folder: Path, target: str) -> None:
    answer = ask(StaticFiles(folder), target, max_request_line_size=10000)
    assert (answer.status, answer.errors) == (404, [])


def test_folders(folder: Path) -> None:
    answer = ask(StaticFiles(folder), "//evil.example/..//sub?x=1")
    assert answer.status == 404
    answer = ask(StaticFiles(folder), "//sub?x=1")
    assert (answer.status, answer.fields["location"]) == (307, "./sub/?x=1")
    assert ask(StaticFiles(folder, index=None), "/sub/").status == 404
    app = DispatcherMiddleware({"/static": StaticFiles(folder)})
    assert ask(app, "/static/sub/").status == 200
    assert ask(app, "/static/sub").fields["location"] == "./sub/"
    assert ask(app, "/static/a.txt").body == TEXT


def test_other_methods_and_no_folder(folder: Path, tmp_path: Path) -> None:
    answer = ask(StaticFiles(folder), "/a.txt", method="DELETE")
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD")
    with pytest.raises(NotADirectoryError):
        StaticFiles(tmp_path / "none")


def test_something_behind_it(folder: Path) -> None:
    app = StaticFiles(folder, fallback=saying("behind"))
    assert ask(app, "/none").body == b"behind  /none"
    assert ask(app, "/a.txt").body == TEXT
    assert ask(StaticFiles(folder), "/a.txt", *upgrade()).status == 404


@pytest.mark.parametrize(
    ("accept", "coding", "suffix"),
    [
        ("gzip", "gzip", b".gz"),
        ("gzip, deflate, br, zstd", "br", b".br"),
        ("gzip;q=1, br;q=0.5", "gzip", b".gz"),
        ("br;q=0, *", "zstd", b".zst"),
        ("identity", None, b""),
        ("gzip;q=0", None, b""),
    ],
)
def test_precompressed(folder: Path, accept: str, coding: str | None, suffix: bytes) -> None:
    answer = ask(StaticFiles(folder), "/b.js", f"Accept-Encoding: {accept}")
    assert answer.body == TEXT + b"b.js" + suffix
    assert answer.fields.get("content-encoding") == coding
    assert answer.fields["vary"] == "accept-encoding"
    assert answer.fields["content-type"].startswith(("text/javascript", "application/javascript"))
    plain = ask(StaticFiles(folder, precompressed=False), "/b.js", f"Accept-Encoding: {accept}")
    assert (plain.body, "vary" in plain.fields) == (TEXT + b"b.js", False)
    assert (plain.fields["etag"] == answer.fields["etag"]) is (coding is None)


def test_a_compressed_file_that_leads_out(folder: Path) -> None:
    assert ask(StaticFiles(folder), "/a.txt", "Accept-Encoding: gzip").body == TEXT


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("If-None-Match: {etag}",), 304),
        (('If-None-Match: "x", W/{etag}',), 304),
        (("If-None-Match: *",), 304),
        (('If-None-Match: "x"',), 200),
        (('If-None-Match: "x"', "If-Modified-Since: {date}"), 200),
        (("If-Modified-Since: {date}",), 304),
        (("If-Modified-Since: {before}",), 200),
        (("If-Modified-Since: nonsense",), 200),
        (("If-Match: {etag}",), 200),
        (("If-Match: *",), 200),
        (('If-Match: "x"',), 412),
        (("If-Match: W/{etag}",), 412),
        (("If-Unmodified-Since: {date}",), 200),
        (("If-Unmodified-Since: {before}",), 412),
    ],
)
def test_conditions(folder: Path, fields: tuple[str, ...], status: int) -> None:
    app = StaticFiles(folder)
    etag = ask(app, "/a.txt").fields["etag"]
    date, before = formatdate(TIME, usegmt=True), formatdate(TIME - 1, usegmt=True)
    answer = ask(app, "/a.txt", *(line.format(etag=etag, date=date, before=before) for line in fields))
    assert answer.status == status
    assert answer.body == (TEXT if status == 200 else b"")
    if status == 304:
        assert answer.fields["etag"] == etag


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-30", 206, TEXT),
        ("bytes=5-500", 206, b"56789"),
        ("BYTES=9-9", 206, b"9"),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=3-2", 200, TEXT),
        ("bytes=-", 200, TEXT),
        ("bytes=0-1,3-4", 200, TEXT),
        ("lines=0-1", 200, TEXT),
        ("bytes=x-1", 200, TEXT),
        ("bytes=" + "9" * 100 + "-", 200, TEXT),
    ],
)
def test_ranges(folder: Path, wanted: str, status: int, body: bytes) -> None:
    answer = ask(StaticFiles(folder), "/a.txt", f"Range: {wanted}")
    assert (answer.status, answer.body) == (status, body)
    if status == 206:
        start = TEXT.index(body)
        assert answer.fields["content-range"] == f"bytes {start}-{start + len(body) - 1}/10"
    elif status == 416:
        assert answer.fields["content-range"] == "bytes */10"


def test_if_range(folder: Path) -> None:
    app = StaticFiles(folder)
    etag = ask(app, "/a.txt").fields["etag"]
    for condition, status in ((etag, 206), ('"x"', 200), (f"W/{etag}", 200), (formatdate(TIME, usegmt=True), 206)):
        assert ask(app, "/a.txt", "Range: bytes=1-2", f"If-Range: {condition}").status == status, condition


def test_by_the_kernel_and_elsewhere(serve_app: Callable[..., Live], tmp_path: Path) -> None:
    """Over sockets, with and without the extension."""
    data = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(data)
    files = StaticFiles(tmp_path)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path", "").startswith("/plain"):
            scope = {**scope, "path": scope["path"].removeprefix("/plain"), "extensions": {}}
        await files(scope, receive, send)

    live = serve_app(app)
    with live.connect() as peer:
        for target in ("/file", "/plain/file"):
            assert peer.get(target).body == data
            response = peer.get(target, "Range: bytes=1000-200999")
            assert (response.status, response.body) == (206, data[1000:201_000])
    assert live.errors() == []
