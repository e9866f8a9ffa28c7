"""The scope of a request (ASGI HTTP specification 2.5): what its connection knows, and its head.

Every request gets dicts of its own: what one application call changes in its scope no other call can see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercorn.objects import Copies, same_text
from hypercorn.protocol.ports import Transport
from hypercorn.wire.head import RequestHead

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

SPEC_VERSION = "2.5"
SCHEMES = {"http": "ws", "https": "wss"}


ASGI = Copies({"version": "3.0", "spec_version": SPEC_VERSION})
# What an application may ask of a response beyond the specification's core, and gets of a request: each with an empty
# dict.
OLD = {"http.response.pathsend": ..., "http.response.zerocopysend": ...}
PLAIN = {"http.response.early_hint": ..., "http.response.trailers": ..., **OLD}
MORE = {**PLAIN, "http.request.trailers": ...}
SESSIONS = 8  # TLS sessions that differ, whose extensions are remembered


class Extensions:
    """What the requests of a connection offer an application, by their version: over TLS with what there is to say of
    that (ASGI TLS extension)."""

    __slots__ = ("more", "old", "plain")

    def __init__(self, tls: dict[str, Any] | None = None) -> None:
        session = {} if tls is None else {"tls": tls}
        self.old = Copies({**OLD, **session})
        self.plain = Copies({**PLAIN, **session})
        self.more = Copies({**MORE, **session})

    def of(self, version: str, chunked: bool) -> Copies:
        """What to take a request's from."""
        if same_text(version, "1.1") and not chunked:
            return self.plain
        return self.old if same_text(version, "1.0") else self.more


BARE = Extensions()
_sessions: list[tuple[dict[str, Any], Extensions]] = []


def session_extensions(tls: dict[str, Any]) -> Extensions | None:
    """What the requests of a TLS session offer; most sessions are like others. None: `tls` beside BARE."""
    for known, extensions in _sessions:
        if known == tls:
            return extensions
    if tls["client_cert_chain"] or len(_sessions) >= SESSIONS:
        return None
    extensions = Extensions(tls)
    _sessions.append((tls, extensions))
    return extensions


class ScopeTemplate:
    """What the scopes of a connection's requests have in common: a copy and some stores into it are less work than all
    stores into a dict that grows."""

    __slots__ = ("extensions", "method", "path", "query_string", "raw_path", "scope", "version")

    def __init__(self, context: ASGIContext, transport: Transport) -> None:
        self.version = "1.1"
        self.method: Any = ""
        self.path: Any = ""
        self.raw_path: Any = b""
        self.query_string: Any = b""
        self.extensions: Extensions | None = BARE if transport.tls is None else session_extensions(transport.tls)
        self.scope: dict[str, Any] = {
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

    def take_target(self, head: RequestHead) -> None:
        """What a request has in common with the ones before it where it asks for the same: the very same objects."""
        if self.method is not head.method:
            self.method = self.scope["method"] = head.method
        if self.path is not head.path:
            self.path = self.scope["path"] = head.path
        if self.raw_path is not head.raw_path:
            self.raw_path = self.scope["raw_path"] = head.raw_path
        if self.query_string is not head.query_string:
            self.query_string = self.scope["query_string"] = head.query_string


def http_scope(context: ASGIContext, transport: Transport, head: RequestHead | None) -> dict[str, Any]:
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
    if head.known_target:
        template.take_target(head)
    scope: dict[str, Any] = template.scope.copy()
    if not head.known_target:
        scope["method"] = head.method
        scope["path"] = head.path
        scope["raw_path"] = head.raw_path
        scope["query_string"] = head.query_string
    scope["asgi"] = ASGI.take()
    scope["headers"] = head.headers
    scope["state"] = context.state.copy()
    known = template.extensions
    if known is not None and not head.may_push:
        scope["extensions"] = known.of(version, head.chunked).take()
        return scope
    offered = BARE if known is None else known
    extensions = scope["extensions"] = offered.of(version, head.chunked).make()
    if known is None:
        extensions["tls"] = transport.tls.copy()  # type: ignore[union-attr]
    if head.may_push:
        extensions["http.response.push"] = {}
    return scope


def connection_scope(context: ASGIContext, transport: Transport) -> dict[str, Any]:
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


def websocket_scope(
    context: ASGIContext, transport: Transport, head: RequestHead, subprotocols: list[str]
) -> dict[str, Any]:
    """The scope of a WebSocket (ASGI WebSocket specification 2.5)."""
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    if transport.tls is not None:
        extensions["tls"] = transport.tls.copy()
    return {
        "type": "websocket",
        "asgi": ASGI.take(),
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
