"""`serve(app, config)` for an application of each framework: type checkers must accept every line. It is never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import hypercorn.asyncio
import hypercorn.trio
from hypercorn.config import Config
from hypercorn.middleware import (
    AsyncioWSGIMiddleware,
    DispatcherMiddleware,
    HTTPToHTTPSRedirectMiddleware,
    ProxyFixMiddleware,
    StaticFiles,
)
from hypercorn.middleware.dispatcher import TrioDispatcherMiddleware
from hypercorn.testing import TestServer
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope


async def plain(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """ASGI with this package's types."""


async def loose(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """ASGI as most write it."""


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI."""
    return []


async def serve_all(config: Config) -> None:
    """A call for each."""
    import blacksheep
    import bottle
    import falcon.asgi
    import fastapi
    import flask
    import litestar
    import quart
    import quart_trio
    import sanic
    import starlette.applications
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    await hypercorn.asyncio.serve(plain, config)
    await hypercorn.asyncio.serve(loose, config)
    await hypercorn.asyncio.serve(wsgi, config, mode="wsgi")
    await hypercorn.asyncio.serve(starlette.applications.Starlette(), config)
    await hypercorn.asyncio.serve(fastapi.FastAPI(), config)
    await hypercorn.asyncio.serve(quart.Quart("x"), config)
    await hypercorn.asyncio.serve(get_asgi_application(), config)
    django_wsgi: Any = get_wsgi_application()  # it has no types, and what pyright infers of it is wrong
    await hypercorn.asyncio.serve(django_wsgi, config, mode="wsgi")
    await hypercorn.asyncio.serve(litestar.Litestar(), config)
    await hypercorn.asyncio.serve(sanic.Sanic("x"), config)
    await hypercorn.asyncio.serve(blacksheep.Application(), config)
    await hypercorn.asyncio.serve(falcon.asgi.App(), config)
    await hypercorn.asyncio.serve(flask.Flask("x"), config)
    await hypercorn.asyncio.serve(bottle.Bottle(), config, mode="wsgi")

    await hypercorn.trio.serve(plain, config)
    await hypercorn.trio.serve(loose, config)
    await hypercorn.trio.serve(starlette.applications.Starlette(), config)
    await hypercorn.trio.serve(fastapi.FastAPI(), config)
    await hypercorn.trio.serve(quart_trio.QuartTrio("x"), config)
    await hypercorn.trio.serve(litestar.Litestar(), config)

    for app in (plain, loose, starlette.applications.Starlette(), AsyncioWSGIMiddleware(wsgi)):
        dispatcher = DispatcherMiddleware({"/a": app, "/b": StaticFiles(".", fallback=app)})
        redirecting = HTTPToHTTPSRedirectMiddleware(ProxyFixMiddleware(dispatcher, mode="modern"), host=None)
        await hypercorn.asyncio.serve(redirecting, config)
    await hypercorn.trio.serve(TrioDispatcherMiddleware({"/": plain}), config)

    with TestServer(plain) as url:
        print(url.upper())
    async with TestServer(flask.Flask("x")) as url:
        print(url.upper())
