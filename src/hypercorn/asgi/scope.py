"""The scope of a request (ASGI HTTP specification 2.5): what its connection knows, and its head.

Every request gets dicts of its own: what one application call changes in its scope no other call can see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercorn.protocol.ports import Transport
from hypercorn.wire.http1 import RequestParser

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

SPEC_VERSION = "2.5"
SCHEMES = {"http": "ws", "https": "wss"}


def http_scope(context: ASGIContext, transport: Transport, head: RequestParser | None) -> dict[str, Any]:
    """The scope of an HTTP request. Without a head (a refused request, for its access record) it names only the
    connection."""
    if head is None:
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
    nothing: dict[str, Any] = {}
    if head.http_version == "1.1":
        scope["extensions"] = {
            "http.response.early_hint": nothing,
            "http.response.trailers": nothing,
            "http.response.pathsend": nothing,
            "http.response.zerocopysend": nothing,
        }
        if head.chunked:
            scope["extensions"]["http.request.trailers"] = nothing
    else:
        scope["http_version"] = head.http_version
        scope["extensions"] = {"http.response.pathsend": nothing, "http.response.zerocopysend": nothing}
    return scope


def websocket_scope(
    context: ASGIContext, transport: Transport, head: RequestParser, subprotocols: list[str]
) -> dict[str, Any]:
    """The scope of a WebSocket (ASGI WebSocket specification 2.5)."""
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
        "extensions": {"websocket.http.response": {}},
    }
