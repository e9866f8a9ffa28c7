"""The scope of a request (ASGI HTTP specification 2.5): what its connection knows, and its head.

Every request gets dicts of its own: what one application call changes in its scope no other call can see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.asgi.messages import Scope
from hypercorn.objects import same_text
from hypercorn.protocol.ports import Transport
from hypercorn.wire.head import RequestHead

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

SPEC_VERSION = "2.5"
SCHEMES = {"http": "ws", "https": "wss"}


def extensions_of(context: ASGIContext, transport: Transport, head: RequestHead) -> dict[str, object]:
    """The ASGI extensions that an application is offered."""
    empty: dict[str, object] = {}
    version = head.http_version
    extensions: dict[str, object] = {}
    if context.pathsend:
        extensions["http.response.pathsend"] = empty
        extensions["http.response.zerocopysend"] = empty
    if not same_text(version, "1.0"):
        extensions["http.response.early_hint"] = empty
        extensions["http.response.trailers"] = empty
        if head.chunked or not same_text(version, "1.1"):
            extensions["http.request.trailers"] = empty
    if transport.tls is not None:
        extensions["tls"] = transport.tls.copy()
    if head.may_push:
        extensions["http.response.push"] = empty
    return extensions


class ScopeTemplate:
    """The items that the scopes of a connection's requests share: a copy and some stores into it are less work than
    all stores into a dict that grows."""

    __slots__ = ("scope", "version")

    def __init__(self, context: ASGIContext, transport: Transport) -> None:
        self.version = "1.1"
        self.scope: Scope = {
            "type": "http",
            "asgi": None,
            "http_version": self.version,
            "method": "",
            "scheme": transport.scheme,
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": context.root_path,
            "headers": None,
            "client": transport.client,
            "server": transport.server,
            "state": None,
            "extensions": None,
        }


def http_scope(context: ASGIContext, transport: Transport, head: RequestHead | None) -> Scope:
    """The scope of an HTTP request. Without a head (a refused request, for its access record) it names only the
    connection."""
    if head is None:
        return connection_scope(context, transport)
    template = transport.scope_template
    if template is None:
        template = transport.scope_template = ScopeTemplate(context, transport)
    version = head.http_version
    if version is not template.version:
        template.version = template.scope["http_version"] = version
    scope: Scope = template.scope.copy()
    scope["method"] = head.method
    scope["path"] = head.path
    scope["raw_path"] = head.raw_path
    scope["query_string"] = head.query_string
    scope["asgi"] = {"version": "3.0", "spec_version": SPEC_VERSION}
    scope["headers"] = head.headers
    scope["state"] = context.state.copy()
    scope["extensions"] = extensions_of(context, transport, head)
    return scope


def add_root_path(context: ASGIContext, scope: Scope) -> None:
    """Puts the path that a proxy has taken off in front of a scope's path again, as ASGI wants it: `path` begins with
    `root_path`. The target "*" is no path."""
    if scope["raw_path"][:1] == b"/":
        scope["path"] = context.added_path + scope["path"]
        scope["raw_path"] = context.added_raw_path + scope["raw_path"]


def connection_scope(context: ASGIContext, transport: Transport) -> Scope:
    """The scope of a request that nobody saw."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "-",
        "scheme": transport.scheme,
        "path": "",
        "raw_path": b"",
        "query_string": b"",
        "root_path": context.root_path,
        "headers": [],
        "client": transport.client,
        "server": transport.server,
        "extensions": {},
    }


def websocket_scope(context: ASGIContext, transport: Transport, head: RequestHead, subprotocols: list[str]) -> Scope:
    """The scope of a WebSocket (ASGI WebSocket specification 2.5)."""
    extensions: dict[str, object] = {"websocket.http.response": {}}
    if transport.tls is not None:
        extensions["tls"] = transport.tls.copy()
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": head.http_version,
        "scheme": SCHEMES[transport.scheme],
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query_string,
        "root_path": context.root_path,
        "headers": head.headers,
        "client": transport.client,
        "server": transport.server,
        "subprotocols": subprotocols,
        "state": context.state.copy(),
        "extensions": extensions,
    }
