r"""Fixtures for pytest that serve applications; the entry point `pytest11` loads them.

    def test_home(hypercorn_server):
        url = hypercorn_server(app)
        assert httpx.get(url).text == "hello"

Nothing of the server is imported until a test asks for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.typing import Framework

    ServerFactory = Callable[..., str]


def _factory() -> Iterator[ServerFactory]:
    """A function that serves applications until the fixture ends."""
    from hypercorn.asgi.loading import resolve
    from hypercorn.config import Config
    from hypercorn.testing import TestServer

    with ExitStack() as servers:

        def serve(
            app: str | Framework,
            config: Config | None = None,
            *,
            backend: Literal["asyncio", "uvloop", "trio"] = "asyncio",
            mode: Literal["asgi", "wsgi"] | None = None,
            **options: object,
        ) -> str:
            """Serves an application on a free port of 127.0.0.1, and returns its URL. The arguments are those of
            `hypercorn.testing.TestServer`; `app` may be named as on the command line, too. Raises as that does."""
            found = resolve(app, Config() if config is None else config)
            return servers.enter_context(TestServer(found, config, backend=backend, mode=mode, **options))

        yield serve


@pytest.fixture
def hypercorn_server() -> Iterator[ServerFactory]:
    """Serves applications until the test ends: `url = hypercorn_server(app)`, on a free port of 127.0.0.1."""
    yield from _factory()


@pytest.fixture(scope="session")
def hypercorn_session_server() -> Iterator[ServerFactory]:
    """Serves applications until all tests have run: `url = hypercorn_session_server(app)`."""
    yield from _factory()
