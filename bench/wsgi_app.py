"""The plain WSGI application that the servers of the WSGI cases serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HELLO = b"Hello, world!\n"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Says hello, or gives back what `/echo` gets."""
    body = HELLO
    if environ["PATH_INFO"] == "/echo":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
