"""A WSGI application (PEP 3333) served as an ASGI one.

The request body is read into memory first, then the application runs in a thread, and what it yields is sent
as it comes. The two ways between thread and event loop are given with each call: `sync_spawn(function,
*args)` runs a function in a thread, and `call_soon(async_function, *args)` runs one on the loop from that
thread and waits for it.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from io import BytesIO
from typing import Any
from wsgiref.util import FileWrapper

from hypercorn import __version__

_SOFTWARE = f"hypercorn/{__version__}"
# `Proxy` would become HTTP_PROXY, which many programs take for their own proxy setting (CVE-2016-5385).
_DROPPED = frozenset({b"proxy"})
_BODILESS = frozenset({204, 205, 304})

Send = Callable[[dict[str, Any]], Awaitable[None]]


class InvalidPathError(Exception):
    """The request's path does not lie under `root_path`."""


class WSGIWrapper:
    """A WSGI application behind the call that ASGI and WSGI applications share."""

    def __init__(self, app: Callable[..., Iterable[bytes]], max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Send,
        sync_spawn: Callable[..., Awaitable[Any]],
        call_soon: Callable[..., Any],
    ) -> None:
        """Serves one request. WebSockets are refused, a lifespan is left alone; other scopes raise."""
        if scope["type"] == "http":
            await self.handle_http(scope, receive, send, sync_spawn, call_soon)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "lifespan":
            raise Exception(f"Unknown scope type, {scope['type']}")

    async def handle_http(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Send,
        sync_spawn: Callable[..., Awaitable[Any]],
        call_soon: Callable[..., Any],
    ) -> None:
        """Reads the body, answers 413 beyond `max_body_size` bytes, and runs the application in a
        thread.
        """
        if _declared_length(scope["headers"]) > self.max_body_size:
            return await _refuse(send, 413)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None  # nobody waits for an answer, and the application must not see half a body
            body += message.get("body", b"")
            if len(body) > self.max_body_size:
                return await _refuse(send, 413)
            if not message.get("more_body"):
                break
        try:
            environ = _build_environ(scope, bytes(body))
        except InvalidPathError:
            return await _refuse(send, 404)
        await sync_spawn(self.run_app, environ, partial(call_soon, send))
        return None

    def run_app(self, environ: dict[str, Any], send: Callable[[dict[str, Any]], Any]) -> None:
        """Calls the application, in a thread; `send` waits until the message is on its way."""
        response = _Response(send)
        iterable = self.app(environ, response.start_response)
        try:
            # With a single piece of known size no chunked coding is needed (PEP 3333, "Handling the
            # Content-Length").
            response.whole = isinstance(iterable, (list, tuple)) and len(iterable) == 1
            for chunk in iterable:
                response.write(chunk)
            response.end()
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()


class _Response:
    """One response: from `start_response` and what is yielded to ASGI messages.

    Headers leave with the first byte.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Any]) -> None:
        self.send = send
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.started = False
        self.whole = False  # the iterable is one piece, so its length is the body's
        self.ended = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's `start_response`.

        A second call needs `exc_info`, and raises it if headers have been sent.
        """
        if exc_info is not None:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a cycle through the traceback otherwise
        elif self.status is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return self.write_now

    def write_now(self, chunk: bytes) -> None:
        """The deprecated `write` callable: more may follow, whatever the iterable is."""
        self.whole = False
        self.write(chunk)

    def write(self, chunk: bytes) -> None:
        """Sends a piece of the body; an empty one sends nothing."""
        if self.status is None:
            raise RuntimeError("WSGI app did not call start_response")
        if chunk:
            self.start(len(chunk) if self.whole else None)
            self.ended = self.whole
            self.send({"type": "http.response.body", "body": bytes(chunk), "more_body": not self.whole})

    def end(self) -> None:
        """Ends the response."""
        if self.status is None:
            raise RuntimeError("WSGI app did not call start_response")
        if not self.ended:
            self.start(None)
            self.send({"type": "http.response.body", "body": b"", "more_body": False})

    def start(self, length: int | None) -> None:
        """Sends the head, once; `length` is that of the whole body if it is known by now."""
        if self.started:
            return
        self.started = True
        assert self.status is not None
        if length is not None and self.status >= 200 and self.status not in _BODILESS:
            names = {name for name, _ in self.headers}
            if b"content-length" not in names and b"transfer-encoding" not in names:
                self.headers.append((b"content-length", b"%d" % length))
        self.send({"type": "http.response.start", "status": self.status, "headers": self.headers})


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _latin(text: str) -> str:
    """A path as PEP 3333 wants it: its bytes, each as one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _build_environ(scope: Any, body: bytes) -> dict[str, Any]:
    """The environ of a request. Raises InvalidPathError if the path does not lie under `root_path`."""
    root = scope.get("root_path", "").rstrip("/")
    path = scope["path"]
    if root and path != root and not path.startswith(root + "/"):
        raise InvalidPathError
    name, port = _server(scope)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _latin(root),
        "PATH_INFO": _latin(path[len(root) :]),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_SOFTWARE": _SOFTWARE,
        "REMOTE_ADDR": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    raw = scope.get("raw_path")
    if raw is not None:
        query = scope["query_string"]
        environ["REQUEST_URI"] = environ["RAW_URI"] = (raw + b"?" + query if query else raw).decode("latin-1")
    client = scope.get("client")
    if client is not None:
        environ["REMOTE_ADDR"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])
    _add_headers(environ, scope["headers"])
    if body and "CONTENT_LENGTH" not in environ:
        # The body came in chunks; many applications read no further than CONTENT_LENGTH.
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _add_headers(environ: dict[str, Any], headers: Iterable[tuple[bytes, bytes]]) -> None:
    for raw_name, raw_value in headers:
        # A name with `_` would fall together with the one with `-`, and could stand in for it.
        if b"_" in raw_name or raw_name.lower() in _DROPPED:
            continue
        key = raw_name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
            key = f"HTTP_{key}"
        value = raw_value.decode("latin-1")
        if key in environ:
            value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        environ[key] = value


def _server(scope: Any) -> tuple[str, str]:
    """SERVER_NAME and SERVER_PORT, both never empty; behind a unix socket the Host header says them."""
    server = scope.get("server")
    if server is not None and server[1] is not None:
        return server[0], str(server[1])
    port = "443" if scope.get("scheme") == "https" else "80"
    for name, value in scope["headers"]:
        if name.lower() == b"host" and value:
            host, colon, after = value.decode("latin-1").rpartition(":")
            if colon and after.isdigit():
                return host, after
            return value.decode("latin-1"), port
    return "localhost", port
