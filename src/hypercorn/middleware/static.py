"""Files of a folder, sent by the kernel where the server can (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.middleware.answers import App, Headers, accepted_encodings, answer, deny, field, listed, relative_path

PIECE_BYTES = 65536  # bytes read at once where the server cannot send files
SUFFIXES = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
VISIBLE = frozenset({".well-known"})  # RFC 8615
RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE)
TEXT = ("text/", "application/javascript", "application/json", "application/xml", "image/svg+xml")


class File(NamedTuple):
    """An open regular file, whose descriptor is its owner's to close."""

    fd: int
    size: int  # bytes
    changed: int  # nanoseconds since 1970
    coding: str | None  # that it is compressed with

    @property
    def etag(self) -> str:
        """Its validator: strong, as any change shows in time or size."""
        return f'"{self.changed:x}-{self.size:x}{"-" if self.coding else ""}{self.coding or ""}"'


class StaticFiles:
    """Serves the files below a folder, by GET and HEAD.

    directory: the folder. What lies outside of it is never served: no `..`, no symbolic link that leads out, nothing
        that begins with a dot (but `.well-known`)
    fallback: the application for everything that is no file here; None: 404
    index: the file that stands for a folder; None: none does
    cache_control: the value of a Cache-Control field
    precompressed: serves `a.js.br`, `a.js.zst` or `a.js.gz` in the place of `a.js` to those who take it

    Conditional requests (If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range) and single ranges
    are answered; a request for several ranges gets the whole file.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        fallback: App | None = None,
        index: str | None = "index.html",
        cache_control: str | None = None,
        precompressed: bool = True,
    ) -> None:
        self.root = os.path.realpath(directory)
        if not os.path.isdir(self.root):
            raise NotADirectoryError(f"{os.fspath(directory)!r} is no directory")
        self.fallback = fallback
        self.index = index
        self.cache_control = cache_control
        self.precompressed = precompressed

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handles one call of the server (ASGI)."""
        if scope["type"] == "http":
            path = self.find(relative_path(scope))
            if path is not None:
                await self.serve(scope, send, path)
                return
        if self.fallback is not None:
            await self.fallback(scope, receive, send)
        elif scope["type"] == "http":
            await answer(send, 404, body=b"Not Found")
        elif scope["type"] == "websocket":
            await deny(scope, receive, send, 404)

    def find(self, path: str) -> str | None:
        """The file or folder that a path names, or None."""
        parts = [part for part in path.split("/") if part]
        for part in parts:
            if (part[0] == "." and part not in VISIBLE) or "\0" in part or os.sep in part or ":" in part[1:2]:
                return None
        try:
            real = os.path.realpath(os.path.join(self.root, *parts), strict=True)
        except (OSError, ValueError):
            return None
        if not self.is_inside(real):
            return None
        if path.endswith("/") and not os.path.isdir(real):
            return None
        return real

    def is_inside(self, real: str) -> bool:
        """True for a real path that lies in the folder."""
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)

    async def serve(self, scope: Scope, send: Send, path: str) -> None:
        """The answer for a file or folder that is there."""
        if scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, [(b"allow", b"GET, HEAD")])
            return
        inner = self.inner(path, relative_path(scope))
        if inner is not None and inner != path and not scope["path"].endswith("/"):
            await answer(send, 307, [(b"location", with_slash(scope))])
            return
        file, varies = self.open(inner, scope["headers"]) if inner is not None else (None, False)
        if file is None or inner is None:
            await answer(send, 404, body=b"Not Found")
            return
        try:
            await self.send_file(scope, send, file, self.fields(inner, file, varies))
        finally:
            os.close(file.fd)

    def inner(self, path: str, wanted: str) -> str | None:
        """The file to serve for a path that is there: itself, or for a folder its index, if it has one."""
        if not os.path.isdir(path):
            return path
        index = self.find(f"{wanted.rstrip('/')}/{self.index}") if self.index is not None else None
        return None if index is None or os.path.isdir(index) else index

    def open(self, path: str, headers: Headers) -> tuple[File | None, bool]:
        """The file, or the compressed one beside it that the client likes best; and whether there is such a one."""
        beside = {}
        if self.precompressed:
            for coding, suffix in SUFFIXES.items():
                real = os.path.realpath(path + suffix)
                if os.path.isfile(real) and self.is_inside(real):
                    beside[coding] = real
        for coding in accepted_encodings(headers, beside):
            file = open_file(beside[coding], coding)
            if file is not None:
                return file, True
        return open_file(path, None), bool(beside)

    def fields(self, path: str, file: File, varies: bool) -> list[tuple[bytes, bytes]]:
        """The fields that every answer about the file has."""
        kind = mimetypes.guess_type(Path(path).name)[0] or "application/octet-stream"
        if kind.startswith(TEXT):
            kind += "; charset=utf-8"
        fields = [
            ("content-type", kind),
            ("etag", file.etag),
            ("last-modified", formatdate(file.changed // 1_000_000_000, usegmt=True)),
            ("accept-ranges", "bytes"),
            ("x-content-type-options", "nosniff"),
        ]
        if file.coding is not None:
            fields.append(("content-encoding", file.coding))
        if varies:
            fields.append(("vary", "accept-encoding"))
        if self.cache_control is not None:
            fields.append(("cache-control", self.cache_control))
        return [(name.encode(), value.encode("latin-1")) for name, value in fields]

    async def send_file(self, scope: Scope, send: Send, file: File, fields: list[tuple[bytes, bytes]]) -> None:
        """The file, a range of it, or why not (RFC 9110 section 13.2.2)."""
        headers = scope["headers"]
        status = precondition(headers, file)
        offset, count = 0, file.size
        if status == 200:
            wanted = wanted_range(headers, file)
            if wanted is not None:
                offset, count = wanted
                status = 206 if count else 416
        if status == 206:
            fields.append((b"content-range", b"bytes %d-%d/%d" % (offset, offset + count - 1, file.size)))
        elif status == 416:
            fields = [(b"content-range", b"bytes */%d" % file.size), (b"accept-ranges", b"bytes")]
        elif status == 304:
            fields = [item for item in fields if item[0] not in (b"content-type", b"content-encoding")]
        if status not in (200, 206):
            count = 0
        if status != 304:
            fields.append((b"content-length", b"%d" % count))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        if scope["method"] == "HEAD" or not count:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif "http.response.zerocopysend" in (scope.get("extensions") or ()):
            await send({"type": "http.response.zerocopysend", "file": file.fd, "offset": offset, "count": count})
        else:
            while count:
                data = os.pread(file.fd, min(PIECE_BYTES, count), offset)
                if not data:
                    raise OSError("the file became shorter while it was sent")
                offset, count = offset + len(data), count - len(data)
                await send({"type": "http.response.body", "body": data, "more_body": count > 0})


def with_slash(scope: Scope) -> bytes:
    """The location of a folder, relative, so that it cannot lead to another host."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    location = b"./" + raw.rpartition(b"/")[2] + b"/"
    query: bytes = scope.get("query_string", b"")
    return location + b"?" + query if query else location


def open_file(path: str, coding: str | None) -> File | None:
    """A regular file, or None. Its last part may have become a link since it was looked at: that is not followed."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return None
    return File(fd, status.st_size, status.st_mtime_ns, coding)


def precondition(headers: Headers, file: File) -> int:
    """The status that the conditions of a request lead to: 200, 304 or 412."""
    match = listed(headers, b"if-match")
    if match:
        if "*" not in match and file.etag not in match:
            return 412
    elif is_newer(headers, b"if-unmodified-since", file):
        return 412
    none_match = [tag.removeprefix("W/") for tag in listed(headers, b"if-none-match")]
    if none_match:
        return 304 if "*" in none_match or file.etag in none_match else 200
    return 304 if is_newer(headers, b"if-modified-since", file) is False else 200


def is_newer(headers: Headers, name: bytes, file: File) -> bool | None:
    """Returns True where the file was changed after the time in a field; None where there is no such time."""
    value = field(headers, name)
    if value is None:
        return None
    try:
        return file.changed // 1_000_000_000 > int(parsedate_to_datetime(value.decode("latin-1")).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def wanted_range(headers: Headers, file: File) -> tuple[int, int] | None:
    """Offset and count of the one range that is asked for; a count of 0 where it lies outside, None where the whole
    file is to be sent."""
    ranges = field(headers, b"range")
    match = RANGE.fullmatch(ranges.decode("latin-1")) if ranges is not None else None
    if match is None or match[1] == match[2] == "" or len(match[0]) > 50:
        return None
    condition = field(headers, b"if-range")
    if condition is not None and condition.decode("latin-1") != file.etag:
        date = formatdate(file.changed // 1_000_000_000, usegmt=True)
        if condition.decode("latin-1") != date:
            return None
    if not match[1]:  # the last so many
        count = min(int(match[2]), file.size)
        return file.size - count, count
    first = int(match[1])
    last = min(int(match[2]), file.size - 1) if match[2] else file.size - 1
    if match[2] and int(match[2]) < first:
        return None
    return first, max(0, last - first + 1)
