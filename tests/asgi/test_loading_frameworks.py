"""Which interface the applications of frameworks have, as these make them."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from hypercorn.asgi.loading import wrap_app

NUMBERS = itertools.count()


def asgi_apps() -> dict[str, Callable[[], Any]]:
    def blacksheep() -> Any:
        return pytest.importorskip("blacksheep").Application()

    def channels() -> Any:
        consumer = pytest.importorskip("channels.generic.websocket").AsyncWebsocketConsumer
        return consumer.as_asgi()

    def channels_router() -> Any:
        routing = pytest.importorskip("channels.routing")
        return routing.ProtocolTypeRouter({"websocket": routing.URLRouter([])})

    def django() -> Any:
        return pytest.importorskip("django.core.handlers.asgi").ASGIHandler.__new__(
            pytest.importorskip("django.core.handlers.asgi").ASGIHandler
        )

    def falcon() -> Any:
        return pytest.importorskip("falcon.asgi").App()

    def fastapi() -> Any:
        return pytest.importorskip("fastapi").FastAPI()

    def litestar() -> Any:
        return pytest.importorskip("litestar").Litestar()

    def opentelemetry() -> Any:
        tools = pytest.importorskip("opentelemetry.instrumentation.asgi")
        return tools.OpenTelemetryMiddleware(pytest.importorskip("starlette.applications").Starlette())

    def quart() -> Any:
        return pytest.importorskip("quart").Quart(__name__)

    def sanic() -> Any:
        return pytest.importorskip("sanic").Sanic(f"telling_interfaces_apart_{next(NUMBERS)}")

    def starlette() -> Any:
        return pytest.importorskip("starlette.applications").Starlette()

    def starlette_endpoint() -> Any:
        return pytest.importorskip("starlette.endpoints").HTTPEndpoint

    def starlette_files() -> Any:
        return pytest.importorskip("starlette.staticfiles").StaticFiles(directory=".")

    def asgiref() -> Any:
        return pytest.importorskip("asgiref.wsgi").WsgiToAsgi(lambda environ, start_response: [])

    def prometheus() -> Any:
        return pytest.importorskip("prometheus_client").make_asgi_app()

    return {name: made for name, made in locals().items() if callable(made)}


def wsgi_apps() -> dict[str, Callable[[], Any]]:
    def bottle() -> Any:
        return pytest.importorskip("bottle").Bottle()

    def bottle_default() -> Any:
        return pytest.importorskip("bottle").default_app()

    def django() -> Any:
        return pytest.importorskip("django.core.handlers.wsgi").WSGIHandler.__new__(
            pytest.importorskip("django.core.handlers.wsgi").WSGIHandler
        )

    def falcon() -> Any:
        return pytest.importorskip("falcon").App()

    def flask() -> Any:
        return pytest.importorskip("flask").Flask(__name__)

    def werkzeug_response() -> Any:
        return pytest.importorskip("werkzeug.wrappers").Response("a response is an application")

    def werkzeug_dispatcher() -> Any:
        middleware = pytest.importorskip("werkzeug.middleware.dispatcher")
        return middleware.DispatcherMiddleware(flask(), {})

    def werkzeug_request() -> Any:
        wrappers = pytest.importorskip("werkzeug.wrappers")
        return wrappers.Request.application(lambda request: wrappers.Response(""))

    def werkzeug_proxy() -> Any:
        return pytest.importorskip("werkzeug.local").LocalProxy(flask)

    def wsgi_ref() -> Any:
        from wsgiref.simple_server import demo_app
        from wsgiref.validate import validator

        return validator(demo_app)

    def prometheus() -> Any:
        return pytest.importorskip("prometheus_client").make_wsgi_app()

    return {name: made for name, made in locals().items() if callable(made)}


@pytest.mark.parametrize("kind", ["plain", "method", "partial", "decorated"])
@pytest.mark.parametrize(
    ("expected", "make"),
    [
        pytest.param(expected, make, id=f"{expected}-{name}")
        for expected, made in (("ASGIWrapper", asgi_apps()), ("WSGIWrapper", wsgi_apps()))
        for name, make in made.items()
    ],
)
def test_frameworks(kind: str, expected: str, make: Callable[[], Any]) -> None:
    app = make()
    if kind == "method" and not (inspect.isclass(app) or inspect.isroutine(app)):
        app = app.__call__
    elif kind == "partial":
        app = functools.partial(app)
    elif kind == "decorated":
        app = decorated(app)
    assert type(wrap_app(app, 1, None, "m:app")).__name__ == expected


def decorated(app: Any) -> Any:
    @functools.wraps(app, updated=())
    def wrapper(*arguments: Any) -> Any:
        return app(*arguments)

    return wrapper
