"""The dispatchers: which application a path leads to, and the lifespan of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.middleware.asking import ask, saying, upgrade
from tests.support.live import Live

from hypercorn.errors import LifespanFailureError
from hypercorn.middleware import DispatcherMiddleware
from hypercorn.middleware.dispatcher import AsyncioDispatcherMiddleware, TrioDispatcherMiddleware
from hypercorn.testing import TestServer


def dispatcher(backend: str) -> Any:
    return TrioDispatcherMiddleware if backend == "trio" else AsyncioDispatcherMiddleware


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/a", "a /a /a"),
        ("/a/x", "a /a /a/x"),
        ("/ab", "root  /ab"),
        ("/a/b", "deep /a/b /a/b"),
        ("/a/b/c", "deep /a/b /a/b/c"),
        ("/a/bc", "a /a /a/bc"),
        ("/", "root  /"),
    ],
)
def test_the_longest_segments_win(target: str, body: str) -> None:
    """Q-M-1."""
    app = DispatcherMiddleware({"/": saying("root"), "/a": saying("a"), "/a/b": saying("deep")})
    assert ask(app, target).body.decode() == body


def test_one_inside_of_another() -> None:
    app = DispatcherMiddleware({"/a": DispatcherMiddleware({"/b": saying("inner")})})
    assert ask(app, "/a/b/c").body == b"inner /a/b /a/b/c"
    assert ask(app, "/a/c").status == 404


def test_nothing_fits() -> None:
    """Q-M-1: a WebSocket is refused as one."""
    app = DispatcherMiddleware({"/a": saying("a")})
    answer = ask(app, "/b")
    assert (answer.status, answer.fields["content-length"]) == (404, "0")
    assert ask(app, "/b", *upgrade()).status == 404


class Lived:
    """An application that writes down its lifespan."""

    def __init__(self, name: str, events: list[str], how: str = "fine") -> None:
        self.name, self.events, self.how = name, events, how

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await saying(self.name)(scope, receive, send)
            return
        if self.how == "declines":
            return
        assert self.how != "raises"
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"][self.name] = True
        if self.how == "fails":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        self.events.append(f"{self.name} up")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.events.append(f"{self.name} down")
        how = "failed" if self.how == "fails late" else "complete"
        await send({"type": f"lifespan.shutdown.{how}", "message": "stuck"})


def test_the_lifespan_of_all(serve_app: Callable[..., Live], backend: str) -> None:
    """Those that decline it, in whatever way, are served all the same."""
    events: list[str] = []
    names = {"/a": "fine", "/b": "declines", "/c": "raises", "/d": "fine"}
    mounts = {path: Lived(path[1:], events, how) for path, how in names.items()}
    live = serve_app(dispatcher(backend)(mounts), lifespan="on")
    assert sorted(events) == ["a up", "d up"]
    for path in names:
        assert httpx.get(live.url + path, trust_env=False).text == f"{path[1:]} {path} {path}"
    live.stop()
    assert sorted(events[2:]) == ["a down", "d down"]
    assert live.errors() == []


def test_a_startup_that_fails(serve_app: Callable[..., Live], backend: str) -> None:
    """The others end too, and the message says which it was."""
    events: list[str] = []
    mounts = {"/a": Lived("a", events), "/b": Lived("b", events, "fails")}
    with pytest.raises(LifespanFailureError, match="/b: no database"):
        serve_app(dispatcher(backend)(mounts))
    assert events == ["a up", "a down"]


def test_a_shutdown_that_fails(serve_app: Callable[..., Live], backend: str) -> None:
    events: list[str] = []
    live = serve_app(dispatcher(backend)({"/a": Lived("a", events, "fails late"), "/b": Lived("b", events)}))
    with pytest.raises(LifespanFailureError, match="/a: stuck"):
        live.stop()
    assert sorted(events[2:]) == ["a down", "b down"]


def test_nobody_knows_a_lifespan(backend: Any) -> None:
    pytest.importorskip(backend)
    with TestServer(dispatcher(backend)({"/a": saying("a")}), backend=backend) as url:
        assert httpx.get(url + "/a", trust_env=False).text == "a /a /a"
