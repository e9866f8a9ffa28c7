"""Finding the application: from `module:expression` to an object, and whether it speaks ASGI or WSGI."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercorn.asgi.wsgi import WSGIWrapper
from hypercorn.errors import NoAppError

if TYPE_CHECKING:
    from hypercorn.config import Config

_MODES = ("asgi", "wsgi")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class ASGIWrapper:
    """An ASGI application behind the call that ASGI and WSGI applications share."""

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self.app = app

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
        sync_spawn: Callable[..., Awaitable[Any]],
        call_soon: Callable[..., Any],
    ) -> None:
        await self.app(scope, receive, send)


def load_configured(config: Config) -> ASGIWrapper | WSGIWrapper:
    """The application of a configuration. Raises as `load_application`."""
    return load_application(
        config.application_path, config.wsgi_max_body_size, factory=config.factory, app_dir=config.app_dir
    )


def load_application(
    path: str, wsgi_max_body_size: int, *, factory: bool = False, app_dir: str | None = None
) -> ASGIWrapper | WSGIWrapper:
    """The application that `path` names, wrapped.

    `path` is `module` (then its `app`), `module:expression`, or `asgi:` or `wsgi:` before
    `module:expression`; the module may be a path to a file. The expression is any Python expression over the
    module's names: `app`, `create_app()`, `apps["x"]`. With `factory` it is called for the application. `app_dir` is
    where the module is looked for, in place of the working directory. Raises NoAppError if module or name do not
    exist or are no application, ValueError for another mode, and whatever the module or the expression raises.
    """
    mode, module_name, expression = split_path(path)
    module = _import(path, module_name, app_dir or "")
    app = _evaluate(path, expression, vars(module))
    if factory:
        if not callable(app):
            raise NoAppError(f"Cannot load application from '{path}', it is no factory (not callable).")
        app = app()
    return wrap_app(app, wsgi_max_body_size, mode, path)


def split_path(path: str) -> tuple[str | None, str, str]:
    """Mode (or None), module and expression.

    What follows the first colon is the expression if Python can read it as one; otherwise the first part must
    be a mode. So `module:make(a={1: 2})` has no mode, and a module may be called `asgi`.
    """
    start = 2 if os.name == "nt" and _DRIVE.match(path) else 0
    colon = path.find(":", start)
    if colon < 0:
        return None, path, "app"
    first, rest = path[:colon], path[colon + 1 :]
    if _is_expression(rest) or ":" not in rest:
        return None, first, rest
    if first not in _MODES:
        raise ValueError("Invalid mode, must be 'asgi', or 'wsgi'")
    start = 2 if os.name == "nt" and _DRIVE.match(rest) else 0
    colon = rest.find(":", start)
    return first, rest[:colon], rest[colon + 1 :]


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _import(path: str, name: str, app_dir: str) -> Any:
    missing = NoAppError(f"Cannot load application from '{path}', module not found.")
    if not name:
        raise missing
    place = Path(app_dir, name).resolve()
    folder = str(place.parent)
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    name = place.stem if place.is_file() and place.suffix else place.name
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # An import that fails inside the module is the application's own error, and shown as such.
        if not f"{name}.".startswith(f"{error.name}."):
            raise
    raise missing


def _evaluate(path: str, expression: str, names: dict[str, Any]) -> Any:
    try:
        code = compile(expression.strip(), "<application>", "eval")
    except (SyntaxError, ValueError):
        raise NoAppError(f"Cannot load application from '{path}', '{expression}' is no expression.") from None
    try:
        return eval(code, names)
    except (NameError, AttributeError) as error:
        # Only a name of the expression itself; one that is missing deeper is the application's own error.
        trace = error.__traceback__
        if trace is not None and trace.tb_next is not None and trace.tb_next.tb_next is not None:
            raise
    raise NoAppError(f"Cannot load application from '{path}', application not found.")


def wrap_app(app: Any, max_body_size: int, mode: str | None, name: str = "") -> ASGIWrapper | WSGIWrapper:
    """The application behind one call; without a `mode` it is found out.

    `max_body_size` (bytes) concerns WSGI.

    Raises NoAppError for what cannot be called, ValueError for another mode than "asgi", "wsgi" or None.
    """
    if isinstance(app, (ASGIWrapper, WSGIWrapper)):
        return app
    if not callable(app):
        problem = "it is not an application (not callable)"
        raise NoAppError(f"Cannot load application from '{name or app}', {problem}.")
    if mode is None:
        mode = "asgi" if is_asgi(app) else "wsgi"
    if mode == "asgi":
        return ASGIWrapper(app)
    if mode == "wsgi":
        return WSGIWrapper(app, max_body_size)
    raise ValueError("Invalid mode, must be 'asgi', or 'wsgi'")


def is_asgi(app: Any) -> bool:
    """True for what is called as an ASGI application: an async function or object, also behind
    `functools.partial`.

    Whether a plain function returns a coroutine is not to be known before it is called; one that cannot be
    called as WSGI, with two arguments, but with three, is taken for ASGI. Otherwise the mode must be given
    (`asgi:module:app`).
    """
    if inspect.iscoroutinefunction(app):
        return True
    if inspect.isclass(app):  # instances are made per request: ASGI if they can be awaited
        return hasattr(app, "__await__") or inspect.iscoroutinefunction(app.__call__)
    if inspect.iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004  the method, not whether it is there
        return True
    return not _accepts(app, 2) and _accepts(app, 3)


def _accepts(app: Any, count: int) -> bool:
    try:
        inspect.signature(app).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True
