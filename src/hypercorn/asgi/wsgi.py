"""A WSGI application behind the call that ASGI and WSGI applications share, as earlier releases had it.

The two ways between thread and event loop are given with each call: `sync_spawn(function, *args)` runs a function in a
thread, and `call_soon(async_function, *args)` runs one on the loop from that thread and waits for it. The server itself
has a shorter way: `hypercorn.asgi.wsgi_threads`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from io import BytesIO

from hypercorn.asgi.messages import Environ, Message, Receive, Scope, Send
from hypercorn.asgi.wsgi_environ import InvalidPathError, build_environ
from hypercorn.asgi.wsgi_response import Responder
from hypercorn.asgi.wsgi_threads import refuse, refuse_websocket

__all__ = ("InvalidPathError", "WSGIWrapper", "_build_environ")


class WSGIWrapper:
    """A WSGI application whose request bodies are read into memory before it is called."""

    def __init__(self, app: Callable[..., Iterable[bytes]], max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        sync_spawn: Callable[..., Awaitable[object]],
        call_soon: Callable[..., object],
    ) -> None:
        """Serves one request. WebSockets are refused, a lifespan is left alone; other scopes raise."""
        if scope["type"] == "http":
            await self.handle_http(scope, receive, send, sync_spawn, call_soon)
        elif scope["type"] == "websocket":
            await refuse_websocket(scope, send)
        elif scope["type"] != "lifespan":
            raise Exception(f"Unknown scope type, {scope['type']}")

    async def handle_http(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        sync_spawn: Callable[..., Awaitable[object]],
        call_soon: Callable[..., object],
    ) -> None:
        """Reads the body, answers 413 beyond `max_body_size` bytes, and runs the application in a thread."""
        if _declared_length(scope["headers"]) > self.max_body_size:
            return await refuse(send, 413)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None  # nobody waits for an answer, and the application must not see half a body
            body += message.get("body", b"")
            if len(body) > self.max_body_size:
                return await refuse(send, 413)
            if not message.get("more_body"):
                break
        try:
            environ = _build_environ(scope, bytes(body))
        except InvalidPathError:
            return await refuse(send, 404)
        responder = DirectResponder(scope, partial(call_soon, send))
        await sync_spawn(responder.run, self.app, environ)
        return None

    def run_app(self, environ: Environ, send: Callable[[Message], object]) -> None:
        """Calls the application, in a thread; `send` waits until the message is on its way."""
        DirectResponder({"method": environ["REQUEST_METHOD"]}, send).run(self.app, environ)


class DirectResponder(Responder):
    """A response whose messages are sent one by one."""

    __slots__ = ("send",)

    def __init__(self, scope: Scope, send: Callable[[Message], object]) -> None:
        super().__init__(scope)
        self.send = send

    def emit(self, message: Message, size: int) -> None:
        self.send(message)


def _declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _build_environ(scope: Scope, body: bytes) -> Environ:
    """The environ of a request with a whole body. Raises InvalidPathError as `build_environ` does."""
    environ = build_environ(scope, BytesIO(body))
    if body and "CONTENT_LENGTH" not in environ:
        # The body came in chunks; many applications read no further than CONTENT_LENGTH.
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ
