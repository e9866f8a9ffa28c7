"""Finding the application: from `module:expression` to an object behind one call."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from hypercorn.asgi.kinds import find_kind, is_asgi
from hypercorn.config.options import limits_of, nearest
from hypercorn.config.sources import LIKELY_RATIO
from hypercorn.errors import NoAppError, UnknownModeError

if TYPE_CHECKING:
    from types import ModuleType

    from hypercorn.asgi.messages import Receive, Send
    from hypercorn.asgi.wsgi import WSGIWrapper
    from hypercorn.config import Config

__all__ = ("ASGIWrapper", "is_asgi", "load_application", "load_configured", "split_path", "wrap_app")

NAMES = ("app", "application")  # tried in this order where no name is given
LISTED = 12  # callables that an error lists at most
_DEPTH = 2  # folders below the working directory in which a module is looked for, for advice
_MOST_FOLDERS = 100  # that are looked at, at each depth
_MOST_FILES = 1000  # modules of a folder that are compared with a name
_FACTORY = re.compile(r"(create|make|get|build)_\w*app\w*|(app|application)_factory")
_MODES = ("asgi", "wsgi")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class ASGIWrapper:
    """An ASGI application behind the call that ASGI and WSGI applications share."""

    def __init__(self, app: Callable[..., Awaitable[object]]) -> None:
        self.app = app

    async def __call__(
        self,
        scope: object,
        receive: Receive,
        send: Send,
        sync_spawn: Callable[..., Awaitable[object]],
        call_soon: Callable[..., object],
    ) -> None:
        await self.app(scope, receive, send)


def load_configured(config: Config) -> ASGIWrapper | WSGIWrapper:
    """The application of a configuration. Raises as `load_application`."""
    most = int(limits_of(config)["wsgi_max_body_size"])
    return load_application(config.application_path, most, factory=config.factory, app_dir=config.app_dir)


def resolve(app: object, config: Config) -> object:
    """The application that `serve()` was given, which may be named as on the command line ("module:app").

    Raises as `load_application` does.
    """
    if not isinstance(app, str):
        return app
    most = int(limits_of(config)["wsgi_max_body_size"])
    return load_application(app, most, factory=config.factory, app_dir=config.app_dir)


def load_application(
    path: str, wsgi_max_body_size: int, *, factory: bool = False, app_dir: str | None = None
) -> ASGIWrapper | WSGIWrapper:
    """The application that `path` names, wrapped.

    `path` is `module` (then its `app`, or else its `application`), `module:expression`, or `asgi:` or `wsgi:` before
    `module:expression`; the module may be a path to a file. The expression is any Python expression over the
    module's names: `app`, `create_app()`, `apps["x"]`. With `factory` it is called for the application. `app_dir` is
    where the module is looked for, in place of the working directory. Raises NoAppError if module or name do not
    exist or are no application, UnknownModeError (a ValueError) for another mode, and whatever the module or the
    expression raises.
    """
    mode, module_name, expression = split_path(path)
    module = _import(path, module_name, app_dir or "")
    if expression is None:
        expression = next((name for name in NAMES if hasattr(module, name)), NAMES[0])
    app = _evaluate(path, expression, module)
    if factory:
        app = _call_factory(path, app)
    return wrap_app(app, wsgi_max_body_size, mode, path if ":" in path else f"{path}:{expression}")


def _call_factory(path: str, factory: object) -> object:
    """Calls a factory. Raises NoAppError where it is none."""
    if not callable(factory):
        raise NoAppError(f"Cannot load application from '{path}', it is not a factory (not callable).")
    app = factory()
    if inspect.iscoroutine(app):
        app.close()
        raise NoAppError(
            f"Cannot load application from '{path}', the factory is async: it has to return the application itself."
        )
    return app


def split_path(path: str) -> tuple[str | None, str, str | None]:
    """Mode (or None), module, and expression (None without one).

    What follows the first colon is the expression if Python can read it as one; otherwise the first part must
    be a mode. So `module:make(a={1: 2})` has no mode, and a module may be called `asgi`.
    """
    start = 2 if os.name == "nt" and _DRIVE.match(path) else 0
    colon = path.find(":", start)
    if colon < 0:
        return None, path, None
    first, rest = path[:colon], path[colon + 1 :]
    if _is_expression(rest) or ":" not in rest:
        return None, first, rest
    if first not in _MODES:
        raise UnknownModeError(
            f"Cannot load application from '{path}', '{rest}' is not an expression. If '{first}' is meant as the mode:"
            " Invalid mode, must be 'asgi', or 'wsgi'"
        )
    start = 2 if os.name == "nt" and _DRIVE.match(rest) else 0
    colon = rest.find(":", start)
    return first, rest[:colon], rest[colon + 1 :]


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _import(path: str, name: str, app_dir: str) -> ModuleType:
    """The module. Raises NoAppError where there is none, and what the module raises."""
    base = Path(app_dir).resolve()
    if not name:
        raise NoAppError(f"Cannot load application from '{path}', module not found: no module is named.")
    target = Path(app_dir, name).resolve()
    source = target if target.is_file() else target.with_name(target.name + ".py")
    name = target.stem if target.is_file() and target.suffix else target.name
    folder = target.parent
    if source.is_file() or target.is_dir():
        # A file inside of a package is imported as part of it, so that its relative imports work.
        while (folder / "__init__.py").is_file() and folder.name.isidentifier() and folder.parent != folder:
            name = f"{folder.name}.{name}"
            folder = folder.parent
    _add_to_path(folder, base, target.parent)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        # An import that fails inside the module is the application's own error, and shown as such.
        if not f"{name}.".startswith(f"{error.name}."):
            raise
    else:
        return _checked(path, module, source)
    raise NoAppError(
        f"Cannot load application from '{path}', module not found: searched in {folder} and sys.path."
        f"{_module_hint(path, name, base, folder)}"
    )


def _module_hint(path: str, name: str, base: Path, folder: Path) -> str:
    """Says which module may be meant: one of a folder below, one of a like name, or the part before a dot that should
    be a colon."""
    parent, _, last = name.rpartition(".")
    if parent and ":" not in path and (folder.joinpath(*parent.split(".")).with_suffix(".py")).is_file():
        return f" Did you mean {parent}:{last}?"
    found = _elsewhere(base, name)
    if found:
        return f" It is in {found}: add --app-dir {found}"
    modules = {one.stem.lower(): one.stem for one in list(folder.glob("*.py"))[:_MOST_FILES]}
    meant = nearest(name.lower(), modules, cutoff=LIKELY_RATIO)
    return f" Did you mean {path.replace(name, modules[meant], 1)}?" if meant else ""


def _elsewhere(base: Path, name: str) -> str | None:
    """A folder below `base` that has the module, as users start the command one folder too high."""
    first = name.partition(".")[0]
    folders = [base]
    for _ in range(_DEPTH):
        inner = [Path(entry.path) for folder in folders for entry in _folders(folder)][:_MOST_FOLDERS]
        for folder in inner:
            if (folder / f"{first}.py").is_file() or (folder / first / "__init__.py").is_file():
                return str(folder.relative_to(base))
        folders = inner
    return None


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    """The folders in a folder that may have code."""
    try:
        with os.scandir(folder) as entries:
            found = [one for one in entries if one.name[0] not in "._" and one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted((one for one in found if one.name != "node_modules"), key=lambda one: one.name)


def _add_to_path(folder: Path, base: Path, last: Path) -> None:
    """Lets modules be imported from `folder` first, then from `base` (as with `python -m`); from `last`, which earlier
    releases searched, when nothing else has them."""
    if str(folder) not in sys.path[:1]:
        sys.path.insert(0, str(folder))
    if str(base) not in sys.path:
        sys.path.insert(1, str(base))
    if str(last) not in sys.path:
        sys.path.append(str(last))


def _checked(path: str, module: ModuleType, source: Path) -> ModuleType:
    """The module, if it is the one of that file. Raises NoAppError for another one of the same name."""
    found = module.__file__ if source.is_file() and hasattr(module, "__file__") else None
    if found is not None and Path(found).suffix == ".py" and Path(found).resolve() != source:
        raise NoAppError(
            f"Cannot load application from '{path}', the name of {source} is taken by {found}: rename the file."
        )
    return module


def _evaluate(path: str, expression: str, module: ModuleType) -> object:
    """The value of the expression over the module's names. Raises NoAppError, and what the expression raises."""
    try:
        code = compile(expression.strip(), "<application>", "eval")
    except (SyntaxError, ValueError):
        raise NoAppError(f"Cannot load application from '{path}', '{expression}' is not an expression.") from None
    try:
        return eval(code, vars(module))
    except (NameError, AttributeError) as error:
        # Only a name of the expression itself; one that is missing deeper is the application's own error.
        trace = error.__traceback__
        if trace is not None and trace.tb_next is not None and trace.tb_next.tb_next is not None:
            raise
    names = _callables(module)
    known = f"its callables are {', '.join(names)}" if names else "it has no callables"
    where = getattr(module, "__file__", None) or module.__name__
    hint = _name_hint(path, expression.strip(), module, names)
    raise NoAppError(f"Cannot load application from '{path}', application not found in {where}: {known}.{hint}")


def _name_hint(path: str, expression: str, module: ModuleType, names: list[str]) -> str:
    """Says which of the callables may be meant: one of a like name, or the only one that is called like a factory."""
    prefix = path if path.endswith(f":{expression}") else f"{path}:{expression}"
    prefix = prefix.removesuffix(expression)
    meant = nearest(expression, names, cutoff=LIKELY_RATIO)
    if meant:
        return f" Did you mean {prefix}{meant}?"
    factories = [name for name in names if _FACTORY.fullmatch(name) and inspect.isroutine(getattr(module, name))]
    return f" If {factories[0]} makes it: --factory {prefix}{factories[0]}" if len(factories) == 1 else ""


def _callables(module: ModuleType) -> list[str]:
    """The public names of what the module makes and can be called: its own functions and classes, and instances."""
    names = []
    for name, value in vars(module).items():
        # Since Python 3.14 a partial object is a routine to inspect, as it can be a method.
        imported = inspect.isclass(value) or (inspect.isroutine(value) and not isinstance(value, partial))
        if name[:1] != "_" and callable(value):
            if not imported or value.__module__ == module.__name__:
                names.append(name)
    return names[:LISTED] + (["..."] if len(names) > LISTED else [])


def is_wsgi_wrapper(app: object) -> TypeGuard[WSGIWrapper]:
    """True for a WSGIWrapper, but not for an object of a class over it, which may do more than wrap."""
    if type(app).__module__ != "hypercorn.asgi.wsgi":
        return False
    from hypercorn.asgi.wsgi import WSGIWrapper

    return type(app) is WSGIWrapper


def wrap_app(app: object, max_body_size: int, mode: str | None, name: str | None = None) -> ASGIWrapper | WSGIWrapper:
    """The application behind one call; without a `mode` it is found out.

    `max_body_size` (bytes) concerns WSGI. `name` is the path that the application was loaded from.

    Raises NoAppError for what is no application, ValueError for another mode than "asgi", "wsgi" or None.
    """
    if type(app) is ASGIWrapper or is_wsgi_wrapper(app):
        return app
    if not callable(app):
        problem = "it is not an application (not callable)"
        raise NoAppError(f"Cannot load application from '{name or app}', {problem}.")
    if mode is None:
        mode = find_kind(app, name)
    if mode == "asgi":
        return ASGIWrapper(app)
    if mode == "wsgi":
        from hypercorn.asgi.wsgi import WSGIWrapper  # which ASGI applications do not need

        return WSGIWrapper(app, max_body_size)
    raise ValueError("Invalid mode, must be 'asgi', or 'wsgi'")
