"""TestServer: a served application for the length of a block."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import trio
from tests.support.live import BACKENDS, echo, hello, in_trio, lifespan, run

from hypercorn.config import Config
from hypercorn.errors import ConfigError, LifespanFailureError, NoAppError
from hypercorn.testing import TestServer


def get(url: str) -> bytes:
    with urlopen(url) as response:
        return bytes(response.read())


def status(url: str) -> int:
    try:
        with urlopen(url) as response:
            return int(response.status)
    except HTTPError as error:
        error.close()
        return error.code


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await (trio.to_thread.run_sync(function, *args) if in_trio() else asyncio.to_thread(function, *args))


@pytest.mark.parametrize("loop", BACKENDS)
def test_with(loop: Any) -> None:
    server = TestServer(hello, backend=loop)
    with server as url:
        assert get(url) == b"hello"
        assert url == server.url == f"http://127.0.0.1:{server.port}"
    with server as url:
        assert get(url) == b"hello"
    with pytest.raises(OSError):
        get(url)


@pytest.mark.parametrize("loop", BACKENDS)
def test_async_with(loop: str) -> None:
    async def main() -> None:
        async with TestServer(hello) as url, TestServer(hello) as other:
            assert url != other
            assert await in_thread(get, url) == await in_thread(get, other) == b"hello"

    run(loop, main)


def test_it_starts_fast() -> None:
    """In under 30 ms, the end included, on a machine that does nothing else; the best of several tries here."""
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        with TestServer(hello):
            pass
        times.append(time.perf_counter() - begin)
        if times[-1] < 0.030:
            break
    assert min(times) < 0.030, times


def test_options_and_applications() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["SCRIPT_NAME"].encode()]

    config = Config()
    config.root_path = "/x"
    with TestServer(app, config, mode="wsgi", keep_alive_timeout=1) as url:
        assert get(url + "/x") == b"/x"
    assert (config.bind, config.keep_alive_timeout) == (["127.0.0.1:8000"], 5.0)
    with pytest.raises(ConfigError):
        TestServer(app, keep_alive_timeout="often")


@pytest.mark.parametrize("loop", BACKENDS)
def test_failures_are_raised(loop: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if late:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": f"lifespan.{'shutdown' if late else 'startup'}.failed", "message": "no database"})

    late = False
    with pytest.raises(LifespanFailureError, match=r"startup.*no database"), TestServer(app, backend=loop):
        raise AssertionError("it started")
    late = True
    begun = []
    with pytest.raises(LifespanFailureError, match=r"shutdown.*no database"), TestServer(app, backend=loop):
        begun.append(True)
    assert begun


def test_the_block_s_own_error_ends_the_server() -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            events.append("down")

    with pytest.raises(KeyError), TestServer(app):
        raise KeyError
    assert events == ["down"]


def test_two_at_once() -> None:
    with TestServer(hello) as first, TestServer(echo, backend="trio") as second:
        assert get(first) == b"hello"
        assert get(second) == b""


class BodyLimit:
    """A middleware with the attributes of the server's own wrappers."""

    def __init__(self, app: Any, max_body_size: int) -> None:
        self.app = app
        self.max_body_size = max_body_size

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 413, "headers": []})
            await send({"type": "http.response.body"})


@pytest.mark.parametrize("loop", BACKENDS)
@pytest.mark.parametrize("inside", [True, False])
def test_no_middleware_is_left_out(loop: Any, inside: bool) -> None:
    app = BodyLimit(hello, 10)

    async def main() -> None:
        async with TestServer(app) as url:
            assert await in_thread(status, url) == 413

    if inside:
        run(loop, main)
        return
    with TestServer(app, backend=loop) as url:
        assert status(url) == 413


@pytest.mark.parametrize("loop", BACKENDS)
def test_an_object_that_is_no_application(loop: Any) -> None:
    def create_app() -> Any: ...

    with pytest.raises(NoAppError, match="it looks like a factory"), TestServer(create_app, backend=loop):
        pass


class Endpoint:
    """A class as application, with attributes that a coroutine has as well."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send

    def __await__(self) -> Any:
        return hello(self.scope, self.receive, self.send).__await__()


@pytest.mark.parametrize("loop", BACKENDS)
def test_a_class_as_application(loop: Any) -> None:
    with TestServer(Endpoint, backend=loop, lifespan="off") as url:
        assert get(url) == b"hello"
