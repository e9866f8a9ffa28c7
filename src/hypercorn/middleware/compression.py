"""Compresses responses as they are sent.

Each piece that an application sends is compressed and flushed, so that nothing is held back. Files that the kernel
sends stay as they are: `StaticFiles` serves files that are compressed already.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from hypercorn.middleware.answers import App, Message, Receive, Send, accepted_encodings, field, listed

BODILESS = frozenset({204, 205, 304})
# Kinds of content, by the beginning of their type, that become smaller.
TYPES = (
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/xhtml+xml",
    "application/wasm",
    "application/x-ndjson",
    "application/vnd.api+json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "image/svg+xml",
    "font/ttf",
    "font/otf",
)


class Compressor:
    """One body. `piece` gives what of it can leave now, all of it at the end."""

    def __init__(self, compress: Callable[[bytes], bytes], flush: Callable[[], bytes], finish: Callable[[], bytes]):
        self.compress = compress
        self.flush = flush
        self.finish = finish

    def piece(self, data: bytes, end: bool) -> bytes:
        """The next bytes to send."""
        return self.compress(data) + (self.finish() if end else self.flush())


def gzip() -> Compressor:
    """The gzip coding (RFC 9110 section 8.4.1.3)."""
    engine = zlib.compressobj(6, zlib.DEFLATED, 31)
    return Compressor(engine.compress, lambda: engine.flush(zlib.Z_SYNC_FLUSH), engine.flush)


def br() -> Compressor:
    """Brotli (RFC 7932). Raises ImportError without the package `brotli` or `brotlicffi`."""
    engine = first_of("brotli", "brotlicffi").Compressor(quality=4)
    return Compressor(engine.process, engine.flush, engine.finish)


def zstd() -> Compressor:
    """Zstandard (RFC 8878), in a window that every client takes. Raises ImportError without Python 3.14's module,
    `backports.zstd` or `zstandard`."""
    library = first_of("compression.zstd", "backports.zstd", "zstandard")
    if library.__name__ == "zstandard":
        engine = library.ZstdCompressor(level=3).compressobj()
        block, frame = library.COMPRESSOBJ_FLUSH_BLOCK, library.COMPRESSOBJ_FLUSH_FINISH
    else:
        engine = library.ZstdCompressor(level=3)
        block, frame = engine.FLUSH_BLOCK, engine.FLUSH_FRAME
    return Compressor(engine.compress, lambda: engine.flush(block), lambda: engine.flush(frame))


def first_of(*names: str) -> Any:
    """The first of these modules that can be imported. Raises ImportError where none can."""
    for name in names[:-1]:
        with suppress(ImportError):
            return importlib.import_module(name)
    return importlib.import_module(names[-1])


CODINGS: dict[str, Callable[[], Compressor]] = {"zstd": zstd, "br": br, "gzip": gzip}


def installed() -> list[str]:
    """The codings that there is a library for, best first."""
    found = []
    for name, make in CODINGS.items():
        with suppress(ImportError):
            make()
            found.append(name)
    return found


class CompressionMiddleware:
    """Compresses what a client takes compressed (RFC 9110 section 12.5.3).

    minimum_size: bytes that a response sent in one piece must have
    codings: those to use, best first, of "zstd", "br" and "gzip"; None: all that are installed
    types: beginnings of the content types that are compressed

    Left alone: what is encoded already, partial content, responses that say `no-transform`, server-sent events, and
    files that are sent as such. A strong ETag becomes a weak one. Do not compress a secret together with what a
    third party can put beside it (BREACH).
    """

    def __init__(
        self,
        app: App,
        *,
        minimum_size: int = 500,
        codings: Iterable[str] | None = None,
        types: Iterable[str] = TYPES,
    ) -> None:
        self.app = app
        self.minimum_size = minimum_size
        self.codings = installed() if codings is None else list(codings)
        self.types = tuple(types)
        for name in self.codings:
            CODINGS[name]()  # raises KeyError or ImportError now rather than at the first request

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = accepted_encodings(scope["headers"], self.codings)
        response = Response(self, send, accepted[0] if accepted and scope["method"] != "HEAD" else None)
        await self.app(scope, receive, response.send)

    def may_compress(self, status: int, headers: list[tuple[bytes, bytes]]) -> bool:
        """True for a response that is worth it and allows it."""
        if status in BODILESS or status == 206 or field(headers, b"content-encoding") is not None:
            return False
        kind = (field(headers, b"content-type") or b"").decode("latin-1").strip().lower()
        if kind.startswith("text/event-stream") or not kind.startswith(self.types):
            return False
        return "no-transform" not in map(str.lower, listed(headers, b"cache-control"))


class Response:
    """One response. Its head waits for the first piece of the body, which decides."""

    def __init__(self, settings: CompressionMiddleware, forward: Send, coding: str | None) -> None:
        self.settings = settings
        self.forward = forward
        self.coding = coding  # that the client takes
        self.head: Message | None = None
        self.compressor: Compressor | None = None

    async def send(self, message: Message) -> None:
        """The application's `send`."""
        kind = message["type"]
        if kind == "http.response.start":
            self.head = {**message, "headers": list(message.get("headers", ()))}
            return
        if kind == "http.response.body":
            message = await self.body(message)
        elif kind != "http.response.early_hint" and self.head is not None:
            head, self.head = self.head, None
            await self.forward(head)
        await self.forward(message)

    async def body(self, message: Message) -> Message:
        """A piece of the body, as it is to be sent; its head is sent before the first."""
        data = bytes(message.get("body", b""))
        more = message.get("more_body", False)
        if self.head is not None:
            head, self.head = self.head, None
            if self.settings.may_compress(head["status"], head["headers"]):
                self.add_vary(head["headers"])
                if self.coding is not None and (more or len(data) >= self.settings.minimum_size):
                    self.compressor = CODINGS[self.coding]()
            if self.compressor is None:
                await self.forward(head)
                return message
            data = self.compressor.piece(data, not more) if data or not more else b""
            head["headers"] = self.encoded(head["headers"], None if more else len(data))
            await self.forward(head)
        elif self.compressor is not None:
            data = self.compressor.piece(data, not more) if data or not more else b""
        else:
            return message
        return {**message, "body": data}

    def add_vary(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Tells caches that the response depends on what the client takes (RFC 9110 section 12.5.5)."""
        names = [name.lower() for name in listed(headers, b"vary")]
        if "accept-encoding" not in names and "*" not in names:
            headers.append((b"vary", b"accept-encoding"))

    def encoded(self, headers: list[tuple[bytes, bytes]], size: int | None) -> list[tuple[bytes, bytes]]:
        """The fields of a compressed response, whose length may be known."""
        assert self.coding is not None
        fields = []
        for name, value in headers:
            low = name.lower()
            if low == b"etag" and not value.startswith(b"W/"):
                value = b"W/" + value
            if low not in (b"content-length", b"accept-ranges", b"content-md5", b"digest"):
                fields.append((name, value))
        fields.append((b"content-encoding", self.coding.encode()))
        if size is not None:
            fields.append((b"content-length", b"%d" % size))
        return fields
