"""The scope of a request (ASGI HTTP specification 2.5): what its connection knows, and its head.

Every request gets dicts of its own: what one application call changes in its scope no other call can see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercorn.protocol.ports import Transport
from hypercorn.wire.head import RequestHead

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

SPEC_VERSION = "2.5"
SCHEMES = {"http": "ws", "https": "wss"}


def http_scope(context: ASGIContext, transport: Transport, head: RequestHead | None) -> dict[str, Any]:
    """The scope of an HTTP request. Without a head (a refused request, for its access record) it names only the
    connection."""
    if head is None:
        return connection_scope(context, transport)
    scope = transport.scope_template
    if scope is None:
        scope = transport.scope_template = {
            "type": "http",
            "asgi": None,
            "http_version": "1.1",
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
    # A copy and nine stores into it are less work than fourteen stores into a dict that grows.
    scope = scope.copy()
    scope["asgi"] = {"version": "3.0", "spec_version": SPEC_VERSION}
    scope["method"] = head.method
    scope["path"] = head.path
    scope["raw_path"] = head.raw_path
    scope["query_string"] = head.query_string
    scope["headers"] = head.headers
    scope["state"] = context.state.copy()
    version = head.http_version
    if version != "1.1":
        scope["http_version"] = version
    scope["extensions"] = extensions_of(version, head.chunked)
    if transport.tls is not None:
        scope["extensions"]["tls"] = transport.tls.copy()
    if head.may_push:
        scope["extensions"]["http.response.push"] = {}
    return scope


def extensions_of(version: str, chunked: bool) -> dict[str, Any]:
    """What an application may ask of a response beyond the specification's core, and gets of a request."""
    nothing: dict[str, Any] = {}
    if version == "1.1" and not chunked:
        return {
            "http.response.early_hint": nothing,
            "http.response.trailers": nothing,
            "http.response.pathsend": nothing,
            "http.response.zerocopysend": nothing,
        }
    if version == "1.0":
        return {"http.response.pathsend": nothing, "http.response.zerocopysend": nothing}
    return {
        "http.response.early_hint": nothing,
        "http.response.trailers": nothing,
        "http.response.pathsend": nothing,
        "http.response.zerocopysend": nothing,
        "http.request.trailers": nothing,
    }


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
