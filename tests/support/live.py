"""Live servers for tests, each in a thread with a loop of its own, on any backend."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio
from tests.support.answers import Gate, body_of, echo, hello, in_trio, lifespan, pause, respond
from tests.support.peer import PATIENCE, Peer

import hypercorn.asyncio
import hypercorn.trio
from hypercorn.config import Config

__all__ = ("Gate", "body_of", "echo", "hello", "in_trio", "lifespan", "pause", "respond")  # of tests.support.answers


def reactor_is_there() -> bool:
    """True where the compiled reactor was built."""
    try:
        importlib.import_module("hypercorn.runtime.reactor")
    except ImportError:
        return False
    return True


BACKENDS = ("asyncio", "trio") if sys.platform == "win32" else ("asyncio", "uvloop", "trio")
DRIVERS = ("reactor", "loop") if reactor_is_there() else ("loop",)


class Records(logging.Handler):
    """Keeps log records."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.DEBUG:
            self.format(record)
            record.exc_info = None  # frames that it would keep alive: applications are told of ends by their finalizers
        self.records.append(record)

    def texts(self, level: int = logging.DEBUG) -> list[str]:
        """The messages of at least that level."""
        return [record.getMessage() for record in self.records if record.levelno >= level]


def new_logger(name: str) -> tuple[logging.Logger, Records]:
    """A logger that nobody else knows, and its records."""
    logger = logging.Logger(name, logging.DEBUG)
    handler = Records()
    logger.addHandler(handler)
    return logger, handler


def new_loop(backend: str) -> asyncio.AbstractEventLoop:
    """An event loop of asyncio or uvloop."""
    if backend == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run(backend: str, function: Callable[..., Any], *args: Any) -> Any:
    """Runs an async function on a backend, as `asyncio.run` and `trio.run` do."""
    if backend == "trio":
        return trio.run(function, *args)
    loop = new_loop(backend)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(function(*args))
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


def library(backend: str) -> Any:
    """`hypercorn.asyncio` or `hypercorn.trio`: what has `serve` and `server` for a backend."""
    return hypercorn.trio if backend == "trio" else hypercorn.asyncio


def sleep(backend: str) -> Callable[[float], Any]:
    """The backend's sleep."""
    return trio.sleep if backend == "trio" else asyncio.sleep


class Live:
    """A running server. `stop` ends it and raises what went wrong inside."""

    def __init__(self, app: Any, backend: str, *, mode: Any = None, config: Config | None = None, **options: Any):
        self.backend = backend
        self.app = app
        self.mode = mode
        logger, self.log = new_logger("errors")
        access_logger, self.access = new_logger("access")
        self.config = Config() if config is None else config
        self.config.bind = options.pop("bind", ["127.0.0.1:0"])
        self.config.error_log = logger
        self.config.idle_grace = 0.0  # most tests end with connections that they have just used
        if options.pop("access", False):
            self.config.access_log = access_logger
        for name, value in options.items():
            assert hasattr(self.config, name), name
            setattr(self.config, name, value)
        self.loop_errors: list[dict[str, Any]] = []
        self.left_over: list[str] = []
        self.failure: BaseException | None = None
        self.ready = threading.Event()
        self.wake: Callable[[], Any] = lambda: None
        self.call_soon: Callable[..., Any] = lambda *_: None
        self.running: Any = None
        self.thread = threading.Thread(target=self.run, name=f"live-{backend}", daemon=True)
        self.thread.start()
        assert self.ready.wait(PATIENCE), "the server did not start"
        if self.failure is not None:
            self.stop()

    # -- in the thread

    def run(self) -> None:
        try:
            run(self.backend, self.on_trio if self.backend == "trio" else self.on_asyncio)
        except BaseException as error:
            self.failure = error
        finally:
            self.ready.set()

    async def on_asyncio(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        ended = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: the server has ended
                loop.call_soon_threadsafe(ended.set)

        self.wake = wake
        self.call_soon = loop.call_soon_threadsafe
        before = asyncio.all_tasks()
        async with hypercorn.asyncio.server(self.app, self.config, mode=self.mode) as self.running:
            self.ready.set()
            await ended.wait()
        self.left_over = [repr(task) for task in asyncio.all_tasks() - before]

    async def on_trio(self) -> None:
        token = trio.lowlevel.current_trio_token()
        ended = trio.Event()

        def wake() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(ended.set)

        self.wake = wake
        self.call_soon = token.run_sync_soon
        async with hypercorn.trio.server(self.app, self.config, mode=self.mode) as self.running:
            self.ready.set()
            await ended.wait()

    # -- for the test

    @property
    def addresses(self) -> list[str]:
        """The URLs that it serves."""
        return self.running.addresses

    @property
    def url(self) -> str:
        """The first of them."""
        return self.addresses[0]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return int(self.url.rsplit(":", 1)[1])

    def errors(self) -> list[str]:
        """Messages at WARNING and above, and what the loop's exception handler was told."""
        return self.log.texts(logging.WARNING) + [str(context["message"]) for context in self.loop_errors]

    def connect(self, **options: Any) -> Peer:
        """A connection to the first address."""
        return Peer(("127.0.0.1", self.port), **options)

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """Runs a function on the server's loop and gives its result."""
        done = threading.Event()
        results: list[Any] = []

        def call() -> None:
            try:
                results.append(function())
            finally:
                done.set()

        self.call_soon(call)
        assert done.wait(PATIENCE)
        return results[0]

    def stop(self) -> None:
        """Ends the server gracefully. May be called again."""
        self.wake()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the server did not end"
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        assert not self.left_over, f"tasks left behind: {self.left_over}"

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def eventually(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Waits until a condition holds, and gives its value; fails when it does not in time."""
    end = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.002)
