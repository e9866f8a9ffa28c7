"""The scope of a request (ASGI HTTP specification 2.5), built in one dict display from its head.

Every request gets dicts of its own: what one application call changes in its scope no other call can see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercorn.protocol.ports import Transport
from hypercorn.wire.http1 import RequestParser

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

SPEC_VERSION = "2.5"


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
    old = head.http_version == "1.0"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": head.http_version,
        "method": head.method,
        "scheme": transport.scheme,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query_string,
        "root_path": context.root_path,
        "headers": head.headers,
        "client": transport.client,
        "server": transport.server,
        "state": context.state.copy(),
        "extensions": {} if old else {"http.response.early_hint": {}, "http.response.trailers": {}},
    }
