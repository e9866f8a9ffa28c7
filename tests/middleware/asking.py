"""Asking an application in memory, one request at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypercorn.config import Config
from hypercorn.testing import MemoryServer


class Answer(NamedTuple):
    """A response."""

    status: int
    fields: dict[str, str]
    body: bytes
    errors: list[str]


def ask(
    app: Any,
    target: str = "/",
    *fields: str,
    method: str = "GET",
    scheme: str = "http",
    client: Any = ("1.2.3.4", 5),
    host: str | None = "localhost",
    **options: Any,
) -> Answer:
    """One request, and the whole response."""
    server = MemoryServer(app, Config.from_mapping(**options))
    peer = server.connect(client=client, scheme=scheme)
    lines = [f"{method} {target} HTTP/1.{0 if host is None else 1}", *fields]
    if host is not None:
        lines.insert(1, f"Host: {host}")
    peer.send("\r\n".join(lines).encode() + b"\r\n\r\n")
    head, _, body = peer.received().partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    found: dict[str, str] = {}
    for line in rest:
        name, _, value = line.partition(": ")
        assert name not in found or name == "link", f"{name} came twice"
        found[name] = value
    if found.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return Answer(int(first.split()[1]), found, body, [entry.text for entry in peer.errors])


def unchunked(data: bytes) -> bytes:
    """A chunked body put together."""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if size == b"0":
            return body
        body += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]


def saying(what: str) -> Any:
    """An application that answers with its name, path and root_path, and denies WebSockets."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = f"{what} {scope['root_path']} {scope['path']}".encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

    return app


def upgrade(*fields: str) -> tuple[str, ...]:
    """The fields of a WebSocket handshake."""
    return (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *fields,
    )


class Seen:
    """An application that keeps its last scope."""

    def __init__(self) -> None:
        self.scope: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close"})
