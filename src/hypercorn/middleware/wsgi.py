"""WSGI applications inside of an ASGI one.

Under `serve()` and the command a WSGI application needs none of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from hypercorn.asgi.messages import Receive, Send
from hypercorn.asgi.wsgi_threads import LoopAccess, ThreadedWSGI, wsgi_settings
from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.protocol.limits import Limits

MAX_BODY_BYTES = 16 * 1024 * 1024  # bytes


class WSGIMiddleware:
    """A WSGI application, in threads of its own, as an ASGI one.

    max_body_size: bytes of a request body; more is answered by 413
    threads: how many calls run at a time; None: as many as there are CPUs and 4, but 32 at most
    """

    def __init__(
        self,
        wsgi_app: Callable[..., Iterable[bytes]],
        max_body_size: int = MAX_BODY_BYTES,
        *,
        threads: int | None = None,
    ) -> None:
        self.wsgi_app = wsgi_app
        self.max_body_size = max_body_size
        self.threads = threads
        self.served: tuple[object, ThreadedWSGI] | None = None  # with the loop that it is for

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handles one call of the server (ASGI)."""
        await self.application()(scope, receive, send)

    def application(self) -> ThreadedWSGI:
        """The ASGI application, which belongs to one event loop."""
        loop = self.loop()
        if self.served is None or self.served[0] is not loop:
            settings = wsgi_settings(self.limits(), self.max_body_size, multiprocess=True, alone=False)
            self.served = (loop, ThreadedWSGI(self.wsgi_app, settings, self.loop_access()))
        return self.served[1]

    def limits(self) -> Limits:
        """The limits of the server's options by default, but for the wait for a thread: it has none."""
        limits = Limits(limits_of(Config())).changed(wsgi_queue_timeout=inf)
        return limits if self.threads is None else limits.changed(wsgi_threads=self.threads)

    def loop(self) -> object:
        """An object that stands for the running event loop."""
        raise NotImplementedError

    def loop_access(self) -> LoopAccess:
        """The way to the running event loop."""
        raise NotImplementedError


class AsyncioWSGIMiddleware(WSGIMiddleware):
    """A WSGI application on asyncio."""

    __doc__ = WSGIMiddleware.__doc__

    def loop(self) -> object:
        """The running event loop."""
        return asyncio.get_running_loop()

    def loop_access(self) -> LoopAccess:
        """The way to that loop."""
        from hypercorn.asyncio.worker import AsyncioRuntime

        return AsyncioRuntime(asyncio.get_running_loop())


class TrioWSGIMiddleware(WSGIMiddleware):
    """A WSGI application on trio."""

    __doc__ = WSGIMiddleware.__doc__

    def loop(self) -> object:
        """The token of the running trio."""
        import trio

        return trio.lowlevel.current_trio_token()

    def loop_access(self) -> LoopAccess:
        """The way to it."""
        from hypercorn.trio.worker import TrioRuntime

        return TrioRuntime()
