"""WSGI applications inside of ASGI ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from tests.middleware.asking import saying
from tests.middleware.test_dispatcher import Lived, dispatcher
from tests.support.live import Live

from hypercorn.middleware import AsyncioWSGIMiddleware, TrioWSGIMiddleware


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("X-Path", environ["SCRIPT_NAME"] + " " + environ["PATH_INFO"])])
    return [body]


def test_it_attributes() -> None:
    for kind in (AsyncioWSGIMiddleware, TrioWSGIMiddleware):
        assert kind(echo).max_body_size == 16 * 1024 * 1024  # Q-WG-6: as the server itself
        assert (kind(echo, 5).wsgi_app, kind(echo, 5).max_body_size) == (echo, 5)


def test_beside_asgi_applications(serve_app: Callable[..., Live], backend: str) -> None:
    """Q-WG-6: with a lifespan of their own."""
    events: list[str] = []
    middleware = TrioWSGIMiddleware if backend == "trio" else AsyncioWSGIMiddleware
    mounts = {"/w": middleware(echo, 200_000), "/l": Lived("l", events), "/": saying("root")}
    live = serve_app(dispatcher(backend)(mounts))
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        response = client.post("/w/x", content=b"a" * 200_000)
        assert (response.text, response.headers["x-path"]) == ("a" * 200_000, "/w /x")
        assert client.post("/w/x", content=b"a" * 200_001).status_code == 413
        assert client.post("/w/x", content=iter([b"a" * 1000] * 201)).status_code == 413
        assert client.get("/other").text == "root  /other"
    live.stop()
    assert events == ["l up", "l down"]
    assert live.errors() == []
