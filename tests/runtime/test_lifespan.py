"""The application's lifespan around a server: failures raise, nothing listens before startup, state is copied."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.runtime.serving import Served, config_for
from tests.runtime.test_serve import get_body, try_connect
from tests.support.live import Live, library, lifespan, pause, respond, run

from hypercorn.errors import LifespanFailureError, LifespanTimeoutError


def failing(kind: str) -> Any:
    """An application whose lifespan goes wrong in one way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        if kind == "failed":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        elif kind == "failed without message":
            await send({"type": "lifespan.startup.failed"})
        elif kind == "raises":
            raise LookupError("no database")
        elif kind == "silent":
            await receive()
        elif kind == "shutdown failed":
            await send({"type": "lifespan.startup.complete"})
            message = await receive()
            await send({"type": f"{message['type']}.failed", "message": "still busy"})
        elif kind == "shutdown silent":
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await receive()

    return app


@pytest.mark.parametrize(
    ("kind", "options", "error", "text"),
    [
        ("failed", {}, LifespanFailureError, "Lifespan failure in startup. 'no database'"),
        ("failed without message", {}, LifespanFailureError, "Lifespan failure in startup. ''"),
        ("raises", {"lifespan": "on"}, LifespanFailureError, "Lifespan failure in startup.*no database"),
        ("returns", {"lifespan": "on"}, LifespanFailureError, "Lifespan failure in startup"),
        ("silent", {"startup_timeout": 0.1}, LifespanTimeoutError, "startup"),
        ("shutdown failed", {}, LifespanFailureError, "Lifespan failure in shutdown. 'still busy'"),
        ("shutdown silent", {"shutdown_timeout": 0.1}, LifespanTimeoutError, "shutdown"),
    ],
)
def test_lifespan_failures_raise(backend: str, kind: str, options: Any, error: Any, text: str) -> None:
    config, _ = config_for(**options)

    async def at_once() -> None:
        return None

    async def main() -> None:
        await library(backend).serve(failing(kind), config, shutdown_trigger=at_once)

    with pytest.raises(error, match=text):
        run(backend, main)


@pytest.mark.parametrize("kind", ["raises", "returns"])
def test_lifespan_auto_goes_on_without(backend: str, kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await failing(kind)(scope, receive, send)
        else:
            await respond(send)

    with Live(app, backend) as live:
        assert get_body(live.port) == b"ok"


def test_does_not_listen_before_startup_is_complete(backend: str) -> None:
    began, go = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await respond(send, scope["state"]["greeting"])
            return
        await receive()
        began.set()
        while not go.is_set():
            await pause(0.005)
        scope["state"]["greeting"] = b"ready"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    served = Served(app, backend)
    assert began.wait(10)
    assert try_connect(served.port) is None
    go.set()
    with served.connect() as peer:
        assert peer.get().body == b"ready"
    served.finish()


def test_lifespan_state_is_copied_for_each_request(backend: str, serve_app: Any) -> None:
    """LC-07."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["count"] = 0
            await lifespan(receive, send)
            return
        scope["state"]["count"] += 1
        await respond(send, b"%d" % scope["state"]["count"])

    with serve_app(app).connect() as peer:
        assert [peer.get().body for _ in range(3)] == [b"1"] * 3
