"""`root_path` behind a proxy that takes it off each path (`add_root_path`), and without one."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.harness import Answers, config, request, response
from tests.support.http2 import GET, H2, headers

from hypercorn.errors import ConfigError
from hypercorn.testing import MemoryServer, TestServer

UPGRADE = (
    "Upgrade: websocket",
    "Connection: upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def scope_of(target: str, *fields: str, method: str = "GET", **options: Any) -> Any:
    """The scope of a request for that target."""
    app = Answers()
    client = MemoryServer(app, config(**options)).connect()
    client.send(request(target, *fields, method=method))
    return app.scopes[0]


@pytest.mark.parametrize("fields", [(), UPGRADE], ids=["http", "websocket"])
@pytest.mark.parametrize(
    ("root", "add", "target", "path", "raw"),
    [
        ("/shop", True, "/cart", "/shop/cart", b"/shop/cart"),
        ("/shop/", True, "/", "/shop/", b"/shop/"),
        ("/shop", True, "/shop/cart", "/shop/shop/cart", b"/shop/shop/cart"),  # a page of the application's own
        ("/a/b", True, "/caf%C3%A9?q=1", "/a/b/caf\u00e9", b"/a/b/caf%C3%A9"),
        ("/caf\u00e9 1", True, "/x", "/caf\u00e9 1/x", b"/caf%C3%A9%201/x"),
        ("", True, "/cart", "/cart", b"/cart"),
        ("/", True, "/cart", "/cart", b"/cart"),
        ("/shop", False, "/cart", "/cart", b"/cart"),
        ("/shop", False, "/shop/cart", "/shop/cart", b"/shop/cart"),
    ],
)
def test_path_and_root_path(fields: Any, root: str, add: bool, target: str, path: str, raw: bytes) -> None:
    scope = scope_of(target, *fields, root_path=root, add_root_path=add)
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (root.rstrip("/"), path, raw)
    assert type(scope["path"]) is str
    assert type(scope["raw_path"]) is bytes


def test_the_target_of_the_whole_server_is_no_path() -> None:
    scope = scope_of("*", method="OPTIONS", root_path="/shop", add_root_path=True)
    assert (scope["path"], scope["raw_path"]) == ("*", b"*")


@pytest.mark.parametrize("target", ["/cart", "/shop/cart"])
def test_a_forwarded_prefix_comes_first(target: str) -> None:
    options = {"root_path": "/inner", "trusted_proxies": ["127.0.0.1"], "forwarded_prefix": True}
    scope = scope_of(target, "X-Forwarded-Prefix: /outer", add_root_path=True, **options)
    assert (scope["root_path"], scope["path"]) == ("/outer/inner", "/outer/inner" + target)


@pytest.mark.parametrize("more", [{}, {"trusted_proxies": ["127.0.0.1"], "forwarded_prefix": True}])
def test_health_is_asked_for_without_the_prefix(more: dict[str, Any]) -> None:
    app = Answers()
    client = MemoryServer(app, config(root_path="/shop", add_root_path=True, health_path="/livez", **more)).connect()
    client.send(request("/livez", *(["X-Forwarded-Prefix: /outer"] if more else [])))
    assert response(client).body == b"ok\n"
    assert app.scopes == []


def test_the_access_record_has_the_whole_path() -> None:
    options = {"root_path": "/shop", "add_root_path": True}
    client = MemoryServer(Answers(), config(**options)).connect()
    client.send(request("/cart"))
    client.send(request("/wrong", "content-length: x"))
    assert [(entry.path, entry.status) for entry in client.access] == [(b"/shop/cart", 200), (b"/shop/wrong", 400)]


def test_http2_and_its_pushes() -> None:
    """A promise names what the proxy would ask for."""
    scopes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        if len(scopes) == 1:
            for path in ("/shop/style.css?v=1", "/shopping"):
                await send({"type": "http.response.push", "path": path, "headers": []})
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    h2 = H2(app, root_path="/shop", add_root_path=True)
    h2.send(headers(1, [GET[0], GET[1], (b":path", b"/cart"), GET[3]]))
    promised = [dict(fields)[b":path"] for _, fields in h2.reader.promised.values()]
    assert promised == [b"/style.css?v=1", b"/shopping"]
    assert [scope["path"] for scope in scopes] == ["/shop/cart", "/shop/style.css", "/shop/shopping"]


def test_wsgi_gets_both_parts() -> None:
    told = []

    def app(environ: Any, start_response: Any) -> Any:
        told.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        start_response("204 No Content", [])
        return []

    with TestServer(app, config=config(root_path="/shop", add_root_path=True), mode="wsgi") as url:
        assert httpx.get(f"{url}/cart").status_code == 204
    assert told == [("/shop", "/cart")]


def test_a_path_begins_with_a_slash() -> None:
    with pytest.raises(ConfigError, match=r"add_root_path with root_path = 'shop': a path begins with a slash"):
        config(root_path="shop", add_root_path=True)
