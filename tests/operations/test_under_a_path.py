"""Starlette and FastAPI with mounted applications, behind proxies that take the path of the application off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastapi
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.operations.test_real_proxies import haproxy, nginx, with_haproxy, with_nginx
from tests.support.live import Live
from tests.support.peer import Peer
from tests.support.websocket import upgrade
from tests.wire.websocket_frames import read_frames

STRIPS = r"http-request replace-path ^/shop(/.*)$ \1"
ADDS = {"root_path": "/shop", "add_root_path": True}


def told(connection: Any) -> dict[str, str]:
    """What an application knows of its place."""
    return {"path": connection.scope["path"], "url": connection.url.path, "version": connection.scope["http_version"]}


async def cart(request: Request) -> Response:
    return JSONResponse({**told(request), "link": request.url_for("cart").path})


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(json.dumps({**told(websocket), "link": ""}))
    await websocket.close()


def with_starlette() -> Any:
    inner = Starlette(routes=[Route("/cart", cart, name="cart"), WebSocketRoute("/talk", talk)])
    return Starlette(routes=[Mount("/inner", inner)])


def with_fastapi() -> Any:
    inner = fastapi.FastAPI()
    inner.add_api_route("/cart", cart, name="cart", response_model=None)
    inner.add_api_websocket_route("/talk", talk)
    app = fastapi.FastAPI()
    app.mount("/inner", inner)
    return app


@contextmanager
def through_nginx(folder: Path, port: int, authority: Any) -> Iterator[Peer]:
    """A client of nginx, whose `proxy_pass http://app/` takes /shop/ off."""
    with (
        nginx(folder, f"127.0.0.1:{port}", authority.issue("localhost")) as front,
        Peer(("127.0.0.1", front), tls=authority.client()) as peer,
    ):
        yield peer


def through_haproxy(how: str) -> Any:
    @contextmanager
    def through(folder: Path, port: int, _: Any) -> Iterator[Peer]:
        """A client of HAProxy, whose `replace-path` takes /shop off."""
        upstream = f"127.0.0.1:{port}{how}"
        with haproxy(folder, upstream, "http", STRIPS) as front, Peer(("127.0.0.1", front)) as peer:
            yield peer

    return through


PROXIES = [
    pytest.param(through_nginx, "1.1", marks=with_nginx, id="nginx"),
    pytest.param(through_haproxy(""), "1.1", marks=with_haproxy, id="haproxy"),
    pytest.param(through_haproxy(" proto h2 ws h2"), "2", marks=with_haproxy, id="haproxy-http2"),
]


@pytest.mark.parametrize("make", [with_starlette, with_fastapi])
@pytest.mark.parametrize(("proxy", "version"), PROXIES)
def test_mounts_are_found(
    make: Callable[[], Any],
    proxy: Any,
    version: str,
    serve_app: Callable[..., Live],
    tmp_path: Path,
    authority: Any,
) -> None:
    live = serve_app(make(), **ADDS)
    with proxy(tmp_path, live.port, authority) as peer:
        answer = peer.get("/shop/inner/cart")
        assert answer.status == 200
        path = "/shop/inner/cart"
        assert json.loads(answer.body) == {"path": path, "url": path, "link": path, "version": version}
        assert peer.get("/shop/cart").status == 404
        if proxy is through_nginx:  # its block for /shop/ passes on no upgrade
            return
        peer.send(upgrade("/shop/inner/talk"))
        assert peer.head()[0] == 101
        head = peer.take(2)
        assert head[1] < 126
        (message,) = read_frames(head + peer.take(head[1]))
        path = "/shop/inner/talk"
        assert json.loads(message.payload) == {"path": path, "url": path, "link": "", "version": version}
    assert live.errors() == []


@with_haproxy
@pytest.mark.parametrize("make", [with_starlette, with_fastapi])
def test_a_forwarded_prefix_does_it_too(
    make: Callable[[], Any], serve_app: Callable[..., Live], tmp_path: Path, authority: Any
) -> None:
    """Without `root_path`: the proxy names the path."""
    more = STRIPS + "\n  http-request set-header X-Forwarded-Prefix /shop"
    live = serve_app(make(), trusted_proxies=["127.0.0.1"], forwarded_prefix=True)
    with haproxy(tmp_path, f"127.0.0.1:{live.port}", "http", more) as front, Peer(("127.0.0.1", front)) as peer:
        answer = peer.get("/shop/inner/cart")
        assert (answer.status, json.loads(answer.body)["link"]) == (200, "/shop/inner/cart")


@pytest.mark.parametrize("make", [with_starlette, with_fastapi])
def test_a_path_that_the_proxy_keeps(make: Callable[[], Any], serve_app: Callable[..., Live]) -> None:
    """`root_path` alone is for those: each path begins with it."""
    live = serve_app(make(), root_path="/shop")
    with live.connect() as peer:
        answer = peer.get("/shop/inner/cart")
        assert (answer.status, json.loads(answer.body)["link"]) == (200, "/shop/inner/cart")
