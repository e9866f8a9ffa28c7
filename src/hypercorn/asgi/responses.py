"""Responses of the server's own and of its middleware: whole ones, with a short body or none."""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.asgi.messages import Send

Header = tuple[bytes, bytes]
PLAIN_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
RETRY_AFTER: Header = (b"retry-after", b"1")  # seconds


def length_of(body: bytes) -> Header:
    """The `content-length` of a body."""
    return b"content-length", b"%d" % len(body)


async def respond(
    send: Send, status: int, headers: Iterable[Header], body: bytes = b"", *, websocket: bool = False
) -> None:
    """Sends a whole response to a request; with `websocket`, to a WebSocket handshake that is refused."""
    kind = "websocket.http.response" if websocket else "http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": list(headers)})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
