"""WSGI applications inside of an ASGI one.

Under `serve()` and the command a WSGI application needs none of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from hypercorn.asgi.wsgi_threads import ThreadedWSGI, WSGISettings
from hypercorn.middleware.answers import Receive, Send

MAX_BODY_SIZE = 16 * 1024 * 1024


class WSGIMiddleware:
    """A WSGI application, in threads of its own, as an ASGI one.

    max_body_size: bytes of a request body; more is answered by 413
    threads: how many calls run at a time; None: as many as there are CPUs and 4, but 32 at most
    """

    def __init__(
        self,
        wsgi_app: Callable[..., Iterable[bytes]],
        max_body_size: int = MAX_BODY_SIZE,
        *,
        threads: int | None = None,
    ) -> None:
        self.wsgi_app = wsgi_app
        self.max_body_size = max_body_size
        self.threads = threads
        self.served: tuple[Any, ThreadedWSGI] | None = None  # with the loop that it is for

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        await self.application()(scope, receive, send)

    def application(self) -> ThreadedWSGI:
        """The ASGI application, which belongs to one event loop."""
        loop = self.loop()
        if self.served is None or self.served[0] is not loop:
            settings = WSGISettings(self.max_body_size, threads=self.threads)
            self.served = (loop, ThreadedWSGI(self.wsgi_app, settings, self.port(loop)))
        return self.served[1]

    def loop(self) -> Any:
        """What stands for the running event loop."""
        raise NotImplementedError

    def port(self, loop: Any) -> Any:
        """The way to that loop."""
        raise NotImplementedError


class AsyncioWSGIMiddleware(WSGIMiddleware):
    """A WSGI application on asyncio."""

    __doc__ = WSGIMiddleware.__doc__

    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def port(self, loop: asyncio.AbstractEventLoop) -> Any:
        from hypercorn.asyncio.worker import AsyncioRuntime

        return AsyncioRuntime(loop)


class TrioWSGIMiddleware(WSGIMiddleware):
    """A WSGI application on trio."""

    __doc__ = WSGIMiddleware.__doc__

    def loop(self) -> Any:
        import trio

        return trio.lowlevel.current_trio_token()

    def port(self, loop: Any) -> Any:
        from hypercorn.trio.worker import TrioRuntime

        return TrioRuntime()
