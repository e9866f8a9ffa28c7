"""Sends clients that came without TLS to the same place with it."""

from __future__ import annotations

import re
from typing import Any

from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.middleware.answers import App, answer, deny, field

# A host and port as a Host field has them (RFC 9112 section 3.2). Anything else in a URL would lead elsewhere.
HOST = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


class HTTPToHTTPSRedirectMiddleware:
    """Answers every request that came without TLS by 308 (Permanent Redirect, RFC 9110 section 15.4.9), which keeps
    the method.

    host: the host, perhaps with a port, that they are sent to; None: the one of the request's Host field. Where that
    is missing or no host, the answer is 400. `OPTIONS *` is sent to the host's URL without a path.
    """

    def __init__(self, app: App, host: str | None) -> None:
        self.app = app
        self.host = host

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handles one call of the server (ASGI)."""
        if scope["type"] == "http" and scope.get("scheme", "http") == "http":
            location = self.location(scope, "https")
            await answer(send, 308 if location else 400, [(b"location", location)] if location else [])
        elif scope["type"] == "websocket" and scope.get("scheme", "ws") == "ws":
            location = self.location(scope, "wss")
            await deny(scope, receive, send, 308 if location else 400, [(b"location", location)] if location else [])
        else:
            await self.app(scope, receive, send)

    def location(self, scope: Scope, scheme: str) -> bytes:
        """The target of the redirect; b"" where there is none."""
        host = self.host
        if host is None:
            host = (field(scope["headers"], b"host") or b"").decode("latin-1")
            if HOST.fullmatch(host) is None:
                return b""
            host = host.removesuffix(":80")
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        if path == "*":
            return f"{scheme}://{host}".encode("utf-8", "replace")  # the server itself (RFC 9112 section 3.2.4)
        if path and path[0] != "/":
            return b""
        root = scope.get("root_path", "").rstrip("/")
        if path != root and not path.startswith(root + "/"):
            path = root + path
        query = scope.get("query_string", b"").decode("latin-1")
        return f"{scheme}://{host}{path}{'?' if query else ''}{query}".encode("utf-8", "replace")
