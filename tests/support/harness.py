"""What tests on connections in memory share: a strict reader of responses, small applications, requests."""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from hypercorn.config import Config
from hypercorn.testing import Client, MemoryServer

Message = dict[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
EAGERNESS = pytest.mark.parametrize("eager", [True, False], ids=["eager", "queued"])  # how calls are spawned
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Response(NamedTuple):
    """One response as a careful client reads it. `framing`: "none", "length", "chunked" or "close"."""

    version: str
    status: int
    reason: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    framing: str
    complete: bool
    trailers: list[tuple[bytes, bytes]]

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name!r} twice: {values}"
        return values[0] if values else None


HEAD = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2}) ([^\r\n]*)\r\n((?:[^\r\n]+\r\n)*)\r\n")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")


def fields(block: bytes) -> list[tuple[bytes, bytes]]:
    found = FIELD.findall(block)
    assert b"".join(b"%b: %b\r\n" % pair for pair in found) == block, f"malformed fields: {block!r}"
    return found


def read_chunks(data: bytes) -> tuple[bytes, bytes, bool, list[tuple[bytes, bytes]]]:
    """Body, rest, whether it was whole, and trailer fields."""
    body = b""
    while True:
        line, crlf, rest = data.partition(b"\r\n")
        if not crlf:
            return body, b"", False, []
        size = int(line, 16)
        if size == 0:
            block, end, rest2 = (rest[:0], rest[:2], rest[2:]) if rest[:2] == b"\r\n" else (b"", b"", b"")
            if not end:
                block, end, rest2 = rest.partition(b"\r\n\r\n")
                block += b"\r\n"
            return body, rest2, bool(end), fields(block) if end and len(block) > 2 else []
        if len(rest) < size + 2:
            return body + rest[:size], b"", False, []
        assert rest[size : size + 2] == b"\r\n", "a chunk is not followed by CRLF"
        body, data = body + rest[:size], rest[size + 2 :]


def read_response(data: bytes, method: str = "GET", *, closed: bool = True) -> tuple[Response, bytes]:
    """The first response in `data`, to a request of this method, and what follows it."""
    head = HEAD.match(data)
    assert head is not None, f"not a response: {data[:200]!r}"
    headers = fields(head[4])
    status, data = int(head[2]), data[head.end() :]
    lower = [(name.lower(), value) for name, value in headers]
    lengths = [value for name, value in lower if name == b"content-length"]
    codings = [value for name, value in lower if name == b"transfer-encoding"]
    assert len(lengths) <= 1, "two lengths"
    assert len(codings) <= 1, "two codings"
    assert not (lengths and codings), "a length beside a coding (RFC 9112 section 6.2)"
    body, framing, complete, trailers = b"", "none", True, []
    if status < 200 or status in (204, 304) or method == "HEAD":
        assert not codings
        assert not lengths or status >= 200
    elif codings:
        assert codings == [b"chunked"]
        framing = "chunked"
        body, data, complete, trailers = read_chunks(data)
    elif lengths:
        framing, size = "length", int(lengths[0])
        body, data, complete = data[:size], data[size:], len(data) >= size
    else:
        framing, body, data, complete = "close", data, b"", closed
    version, reason = head[1].decode(), head[3].decode("latin-1")
    return Response(version, status, reason, headers, body, framing, complete, trailers), data


def read_responses(data: bytes, methods: Iterable[str] = (), *, closed: bool = True) -> list[Response]:
    """All responses in `data`, the interim ones too. `methods` are those of the requests; GET when they run out."""
    found: list[Response] = []
    waiting = list(methods)
    while data:
        one, data = read_response(data, waiting[0] if waiting else "GET", closed=closed)
        if one.status >= 200 and waiting:
            waiting.pop(0)
        found.append(one)
    return found


def responses(client: Client, *methods: str) -> list[Response]:
    """What a client has received since the last call."""
    return read_responses(client.received(), methods, closed=client.closed and not client.aborted)


def response(client: Client, *methods: str) -> Response:
    """The same where it is exactly one."""
    (only,) = responses(client, *methods)
    return only


def config(**options: Any) -> Config:
    """A configuration, validated as a server does it."""
    made = Config()
    for name, value in options.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    made.validate()
    return made


def http3_in_memory() -> ModuleType:
    """The harness of HTTP/3, for tests of every version; skips what has come so far where there is no aioquic."""
    pytest.importorskip("aioquic")
    return importlib.import_module("tests.support.http3")


def serve(app: App, *, eager: bool = True, **options: Any) -> Client:
    """Connects to an application served with these options."""
    return MemoryServer(app, config(**options), eager=eager).connect()


def request(
    target: str = "/", *fields: str, method: str = "GET", version: str = "1.1", body: bytes | None = None
) -> bytes:
    """A request; `fields` are whole lines. A body comes with its length."""
    lines = [f"{method} {target} HTTP/{version}", "host: a", *fields]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")


def start(status: int = 200, headers: Any = (), **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: bytes = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Answers:
    """An application that sends fixed messages at once, and keeps the scopes that it saw."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages or (start(), body(b"ok"))
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        for message in self.messages:
            await send(dict(message))


class Reads:
    """An application that reads the whole body, keeps every message, and answers with the body's length.

    A disconnect ends it without an answer.
    """

    def __init__(self) -> None:
        self.seen: list[list[Message]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        seen: list[Message] = []
        self.seen.append(seen)
        while True:
            message = await receive()
            seen.append(message)
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                break
        await send(start())
        await send(body(b"%d" % len(self.body())))

    def body(self, index: int = -1) -> bytes:
        return b"".join(message.get("body", b"") for message in self.seen[index])
