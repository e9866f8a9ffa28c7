"""Helpers that the middleware share: reading fields, and short responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.asgi.responses import PLAIN_TEXT, length_of, respond

App = Callable[..., Awaitable[object]]
Headers = Iterable[tuple[bytes, bytes]]


def field(headers: Headers, name: bytes) -> bytes | None:
    """The value of the first field of a (lower-case) name, or None."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def listed(headers: Headers, name: bytes) -> list[str]:
    """The members of a field that is a list, however many lines it came in (RFC 9110 section 5.6.1)."""
    members: list[str] = []
    for key, value in headers:
        if key.lower() == name:
            members += [member.strip() for member in value.decode("latin-1").split(",")]
    return [member for member in members if member]


async def answer(send: Send, status: int, headers: Headers = (), body: bytes = b"") -> None:
    """A whole response to an HTTP request."""
    await respond(send, status, [*headers, length_of(body), *([PLAIN_TEXT] if body else ())], body)


async def deny(scope: Scope, receive: Receive, send: Send, status: int, headers: Headers = ()) -> None:
    """Refuses a WebSocket handshake, with this status where the server can say one."""
    if (await receive())["type"] != "websocket.connect":
        return
    if "websocket.http.response" in (scope.get("extensions") or ()):
        await respond(send, status, [*headers, length_of(b"")], websocket=True)
    else:
        await send({"type": "websocket.close"})


def relative_path(scope: Scope) -> str:
    """The path below the one that the application is mounted under (ASGI: `path` begins with `root_path`). A server
    whose `root_path` is not part of `path` gives the same."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :]
    return path


def accepted_encodings(headers: Headers, known: Iterable[str]) -> list[str]:
    """The codings that the client takes and that are known, best first (RFC 9110 section 12.5.3). Where it has no
    preference, the order is that of `known`."""
    weights: dict[str, float] = {}
    for member in listed(headers, b"accept-encoding"):
        name, _, parameter = member.partition(";")
        weights[name.strip().lower()] = quality(parameter)
    other = weights.get("*", 0.0)
    found = [(weights.get(name, other), name) for name in known]
    return [name for weight, name in sorted(found, key=lambda item: -item[0]) if weight > 0]


def quality(parameter: str) -> float:
    """A weight: what follows `;`. One that cannot be read counts as none given."""
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 1.0
