"""A server on a free port for the length of a block."""

from __future__ import annotations

import copy
import importlib
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from hypercorn.config import Config

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from hypercorn.runtime.server import Server


class TestServer:
    """An application served on a free port of 127.0.0.1 for the length of a `with` or `async with` block, which is
    given the URL.

    `with` serves in a thread of its own; `async with` on the running loop, asyncio's or trio's. The startup of the
    application's lifespan is over when the block begins, its shutdown when it has ended.

    app: an ASGI or WSGI application
    config: a configuration; its own `bind`, if it has one, is kept. None: the defaults, with warnings
        and errors logged, and the application checked against its specification (`validate_app`)
    backend: "asyncio", "uvloop" or "trio", for `with`
    mode: "asgi" or "wsgi" where that cannot be told from the application
    options: of `Config`, by name

    Raises what `serve()` raises: at the beginning for a startup that fails, at the end for a shutdown that does.
    """

    __test__ = False  # pytest: this is no test

    def __init__(
        self,
        app: object,
        config: Config | None = None,
        *,
        backend: Literal["asyncio", "uvloop", "trio"] = "asyncio",
        mode: Literal["asgi", "wsgi"] | None = None,
        **options: object,
    ) -> None:
        self.app = app
        self.backend = backend
        self.mode = mode
        if config is None:
            config = Config.from_mapping(
                {"bind": "127.0.0.1:0", "log_level": "WARNING", "validate_app": True, **options}
            )
        else:
            config = copy.copy(config)
            if config.bind == Config().bind:
                config.bind = ["127.0.0.1:0"]
            config.load(options, "TestServer")
        self.config = config
        self.running: Server | None = None
        self.thread: threading.Thread | None = None
        self.changed = threading.Event()
        self.failure: BaseException | None = None
        self.block: AbstractAsyncContextManager[Server]

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at the end."""
        assert self.running is not None  # it serves
        return self.running.addresses[0]

    @property
    def port(self) -> int:
        """The port of that address."""
        return int(self.url.rpartition(":")[2])

    # -- in a thread

    def __enter__(self) -> str:
        self.running = None
        self.changed.clear()
        self.thread = threading.Thread(target=self.serve, name="hypercorn-test-server", daemon=True)
        self.thread.start()
        self.changed.wait()
        if self.running is None:
            self.thread.join()
            self.raise_failure()
        return self.url

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self.thread is not None
        assert self.running is not None
        try:
            self.running.shutdown()
        except RuntimeError:  # it has ended already
            pass
        self.thread.join()
        self.raise_failure()

    def serve(self) -> None:
        """Serves, in the thread."""
        package = "trio" if self.backend == "trio" else "asyncio"
        try:
            background = importlib.import_module(f"hypercorn.{package}.background")
            background.serve_here(self.app, self.config, self.mode, self.backend, self.started)
        except BaseException as error:
            self.failure = error
        self.changed.set()

    def started(self, running: Server) -> None:
        """It accepts connections."""
        self.running = running
        self.changed.set()

    def raise_failure(self) -> None:
        """Raises what went wrong in the thread, once."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    # -- on the running loop

    async def __aenter__(self) -> str:
        package = importlib.import_module(f"hypercorn.{running_library()}")
        self.block = package.server(self.app, self.config, mode=self.mode)
        self.running = await self.block.__aenter__()
        return self.url

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.block.__aexit__(kind, error, traceback)


def running_library() -> str:
    """The library whose loop runs here: "asyncio" or "trio"."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return "trio" if lowlevel is not None and lowlevel.in_trio_task() else "asyncio"
