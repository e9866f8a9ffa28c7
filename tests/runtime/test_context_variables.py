"""Context variables: no request sees what another has set, and each sees what was set before the server (N26)."""

from __future__ import annotations

import contextvars
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.support.live import Live, body_of, pause, respond
from tests.support.peer import request

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def variable_app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the variable as it found it, then sets it."""
    found = VARIABLE.get()
    VARIABLE.set(scope["path"])
    await body_of(receive)
    if scope["path"].startswith("/slow"):
        await pause(0.02)
    assert VARIABLE.get() == scope["path"]
    await respond(send, found.encode())
    assert VARIABLE.get() == scope["path"]


def test_variables_of_requests_on_one_connection(serve_app: Any) -> None:
    with serve_app(variable_app, lifespan="off").connect() as peer:
        for number in range(5):
            assert peer.get(f"/{number}").body == b"unset"


@pytest.mark.parametrize("path", ["/quick", "/slow"])
def test_variables_of_pipelined_requests(serve_app: Any, path: str) -> None:
    with serve_app(variable_app, lifespan="off").connect() as peer:
        peer.send(b"".join(request(f"{path}{number}") for number in range(6)))
        assert [peer.response().body for _ in range(6)] == [b"unset"] * 6


def test_variables_after_reading_was_paused(serve_app: Any) -> None:
    """N26: the reading goes on from inside of an application, and the next request still starts clean."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found = VARIABLE.get()
        VARIABLE.set("dirty")
        await pause(0.05)
        size = len(await body_of(receive))
        await respond(send, found.encode() + b" %d" % size)

    with serve_app(app, lifespan="off").connect() as peer:
        payload = b"x" * 2_000_000
        peer.send(request("/", method="POST", body=payload))
        peer.send(request("/", method="POST", body=payload))
        assert [peer.response().body for _ in range(2)] == [b"unset 2000000"] * 2


def test_variables_set_before_the_server(backend: str, driver: str) -> None:
    """What was set before `serve` is seen by every request; each has a copy of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found = VARIABLE.get()
        VARIABLE.set("mine")
        await respond(send, found.encode())

    class Before(Live):
        def run(self) -> None:
            VARIABLE.set("before")
            super().run()

    with Before(app, backend, runtime=driver, lifespan="off") as live, live.connect() as peer:
        assert [peer.get().body for _ in range(3)] == [b"before"] * 3


def test_tasks_of_an_application_inherit_its_variables(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        VARIABLE.set(scope["path"])
        found = []

        async def look() -> None:
            await pause(0.001)
            found.append(VARIABLE.get())

        async with anyio.create_task_group() as group:
            group.start_soon(look)
        await respond(send, found[0].encode())

    with serve_app(app, lifespan="off").connect() as peer:
        assert [peer.get(path).body for path in ("/1", "/2")] == [b"/1", b"/2"]
