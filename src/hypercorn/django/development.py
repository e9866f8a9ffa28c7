"""The server behind `manage.py runserver`, which reloads by Django's own means."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from hypercorn.asyncio import serve as serve_on_asyncio
from hypercorn.asyncio.background import serve_here
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.runtime.server import Server

if TYPE_CHECKING:
    from hypercorn.typing import Framework

GRACEFUL_SECONDS = 0.5  # for what is open when the code changes or Ctrl-C comes
STOP_SECONDS = 2.0  # that the process waits for the server's thread


class RequestLogger(Logger):
    """Writes access records as Django's own server does: to the logger `django.server`, coloured by their status."""

    def log_access(
        self, scope: Any, status: int | None, response_headers: Any, body_bytes: int, duration: float
    ) -> None:
        response = None
        if status is not None:
            response = {"status": status, "headers": response_headers, "body_bytes": body_bytes}
        atoms = self.atoms(scope, response, duration)
        shown = (atoms["m"], atoms["Uq"], atoms["H"], "-" if status is None else status, body_bytes)
        level = logging.INFO
        if status is not None and status >= 400:
            level = logging.ERROR if status >= 500 else logging.WARNING
        logging.getLogger("django.server").log(level, '"%s %s %s" %s %s', *shown, extra={"status_code": status})


def make_config(bind: str, **options: object) -> Config:
    """The configuration for development, with further options by name. Raises ConfigError."""
    return Config.from_mapping(
        {
            "bind": [bind],
            "access_log": logging.getLogger("django.server"),
            "log_level": "WARNING",
            "logger_class": RequestLogger,
            "graceful_timeout": GRACEFUL_SECONDS,
            "idle_grace": 0,
            **options,
        }
    )


class DevelopmentServer:
    """A server in the main thread until Ctrl-C, or in another thread until `stop`.

    Django's reloader runs its command in a thread that it never ends: it leaves the process when a file changes. Who
    leaves calls `stop` first, so that connections are closed as they should be.
    """

    def __init__(self) -> None:
        self.running: Server | None = None
        self.ended = threading.Event()

    def serve(
        self, app: Framework, mode: Literal["asgi", "wsgi"], config: Config, started: Callable[[list[str]], object]
    ) -> None:
        """Serves. `started` is given the URLs. Raises as `hypercorn.asyncio.serve` does."""
        if threading.current_thread() is threading.main_thread():
            asyncio.run(serve_on_asyncio(app, config, mode=mode, task_status=_Started(started)))
            return

        def accepting(running: Server) -> None:
            self.running = running
            started(running.addresses)

        try:
            serve_here(app, config, mode, "asyncio", accepting)
        finally:
            self.ended.set()

    def stop(self) -> None:
        """Ends the server of another thread, if there is one, and waits until it has ended, though not for long."""
        if self.running is not None:
            with suppress(RuntimeError):  # it has ended already
                self.running.shutdown()
            self.ended.wait(STOP_SECONDS)


class _Started:
    """The task status that `serve` of asyncio reports to."""

    def __init__(self, report: Callable[[list[str]], object]) -> None:
        self.started = report
