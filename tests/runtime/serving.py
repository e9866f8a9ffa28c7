"""`serve()` in a thread, for tests of what it does around a server's life."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

import trio
from tests.support.live import Records, eventually, library, new_logger, run
from tests.support.peer import PATIENCE, Peer

from hypercorn.config import Config


def bound_socket() -> tuple[int, int]:
    """A bound socket that does not listen: its descriptor, to be given away as `fd://`, and its port."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    return sock.detach(), port


def config_for(**options: Any) -> tuple[Config, Records]:
    """A configuration with a log of its own."""
    logger, records = new_logger("errors")
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.error_log = logger
    config.idle_grace = 0.0  # most tests end with connections that they have just used
    for name, value in options.items():
        assert hasattr(config, name), name
        setattr(config, name, value)
    return config, records


class Trigger:
    """A shutdown trigger that any thread may set, for either library."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.waiting = threading.Event()
        self.set: Any = None

    async def wait(self) -> None:
        """What `serve` awaits."""
        event: Any
        if self.backend == "trio":
            event = trio.Event()
            token = trio.lowlevel.current_trio_token()
            self.set = lambda: token.run_sync_soon(event.set)
        else:
            event = asyncio.Event()
            loop = asyncio.get_running_loop()
            self.set = lambda: loop.call_soon_threadsafe(event.set)
        self.waiting.set()
        await event.wait()


class Served:
    """`serve()` running in a thread, ended by its trigger."""

    def __init__(self, app: Any, backend: str, **options: Any) -> None:
        descriptor, self.port = bound_socket()
        options.setdefault("bind", [f"fd://{descriptor}"])
        self.mode = options.pop("mode", None)
        self.config, self.log = config_for(**options)
        self.app = app
        self.backend = backend
        self.trigger = Trigger(backend)
        self.failure: BaseException | None = None
        self.left_over: list[str] = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        try:
            run(self.backend, self.main)
        except BaseException as error:
            self.failure = error

    async def main(self) -> None:
        trigger = self.trigger.wait
        serve = library(self.backend).serve
        await serve(self.app, self.config, shutdown_trigger=trigger, mode=self.mode)
        if self.backend != "trio":
            self.left_over = [repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}]

    def connect(self) -> Peer:
        """A connection, once there can be one."""

        def attempt() -> Peer | None:
            with suppress(ConnectionRefusedError):
                return Peer(("127.0.0.1", self.port))
            assert self.thread.is_alive(), self.failure
            return None

        peer: Peer = eventually(attempt)
        return peer

    def finish(self) -> None:
        """Sets the trigger, and waits for the end."""
        assert self.trigger.waiting.wait(PATIENCE), self.failure
        with suppress(RuntimeError):  # it was set before, and the loop is over
            self.trigger.set()
        self.join()

    def join(self, within: float = PATIENCE) -> None:
        """Waits for the end, and raises what `serve` raised."""
        self.thread.join(within)
        assert not self.thread.is_alive(), "serve() did not return"
        if self.failure is not None:
            raise self.failure
        assert not self.left_over, self.left_over
