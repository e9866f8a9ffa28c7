"""Finding the application, and telling ASGI from WSGI."""

from __future__ import annotations

import functools
import inspect
import sys
import unittest.mock
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hypercorn.asgi.kinds import is_asgi
from hypercorn.asgi.loading import ASGIWrapper, load_application, split_path, wrap_app
from hypercorn.asgi.wsgi import WSGIWrapper
from hypercorn.errors import NoAppError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

MODULE = """
async def app(scope, receive, send): ...
def wsgi_app(environ, start_response): return []
async def second(scope, receive, send): ...
apps = {"x:y": second}
def create(name="second", **options): return globals()[name]
def broken(): raise AttributeError("deep inside")
number = 5
class space:
    inner = second
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "loadable.py").write_text(MODULE)
    (tmp_path / "asgi.py").write_text(MODULE.replace("def app", "def application"))
    (tmp_path / "empty.py").write_text("from asgi import create\n")
    (tmp_path / "importing.py").write_text("import not_installed_anywhere\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("loadable", ASGIWrapper, "app"),
        ("loadable:app", ASGIWrapper, "app"),
        ("loadable:wsgi_app", WSGIWrapper, "wsgi_app"),
        ("asgi:loadable:app", ASGIWrapper, "app"),
        ("wsgi:loadable:app", WSGIWrapper, "app"),
        ("asgi:application", ASGIWrapper, "application"),
        ("loadable:space.inner", ASGIWrapper, "second"),
        ('loadable:apps["x:y"]', ASGIWrapper, "second"),
        ('asgi:loadable:apps["x:y"]', ASGIWrapper, "second"),
        ("loadable:create()", ASGIWrapper, "second"),
        ('loadable:create("wsgi_app", colours={1: 2})', WSGIWrapper, "wsgi_app"),
        ("loadable: app", ASGIWrapper, "app"),
        ("package.inner:app", ASGIWrapper, "app"),
        ("loadable.py:app", ASGIWrapper, "app"),
        ("package/inner.py:app", ASGIWrapper, "app"),
        ("package/inner:app", ASGIWrapper, "app"),
        ("{folder}/loadable.py:app", ASGIWrapper, "app"),
        ("asgi:package/inner.py:app", ASGIWrapper, "app"),
    ],
)
def test_found(path: str, kind: type, name: str, folder: Path) -> None:
    wrapper = load_application(path.format(folder=folder) if "{folder}" in path else path, 17)
    assert type(wrapper) is kind
    assert wrapper.app.__name__ == name
    if isinstance(wrapper, WSGIWrapper):
        assert wrapper.max_body_size == 17


CALLABLES = "its callables are app, wsgi_app, second, create, broken, space"
NO_MODULE = "Cannot load application from '{path}', module not found: searched in {folder} and sys.path."
NO_NAME = f"Cannot load application from '{{path}}', application not found in {{folder}}/loadable.py: {CALLABLES}."


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere_at_all:app", NO_MODULE),
        ("nowhere.at.all:app", NO_MODULE),
        ("package.missing:app", NO_MODULE),
        ("missing/loadable.py:app", NO_MODULE.replace("{folder}", "{folder}/missing")),
        ("loadable:missing", NO_NAME),
        ("loadable:space.missing", NO_NAME),
        ("empty", NO_NAME.replace("loadable", "empty").replace(CALLABLES, "it has no callables")),
        ("loadable:number", "Cannot load application from '{path}', it is not an application (not callable)."),
        ("loadable:", "Cannot load application from '{path}', '' is not an expression."),
        ("loadable:1 2", "Cannot load application from '{path}', '1 2' is not an expression."),
        (":app", "Cannot load application from '{path}', module not found: no module is named."),
    ],
)
def test_not_found(path: str, message: str, folder: Path) -> None:
    with pytest.raises(NoAppError) as caught:
        load_application(path, 1)
    assert str(caught.value) == message.format(path=path, folder=folder)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("loadable:ap", " Did you mean loadable:app?"),
        ("loadable:wsgi_ap", " Did you mean loadable:wsgi_app?"),
        ("Loadable:app", " Did you mean loadable:app?"),
        ("loadible:app", " Did you mean loadable:app?"),
        ("loadable.app", " Did you mean loadable:app?"),
        ("package.inner.app", " Did you mean package.inner:app?"),
        ("factories", " If create_app makes it: --factory factories:create_app"),
        ("factories:application", " If create_app makes it: --factory factories:create_app"),
        ("many_factories", "."),
    ],
)
def test_the_error_says_what_may_be_meant(path: str, hint: str, folder: Path) -> None:
    factory = "def create_app(): ...\n"
    (folder / "factories.py").write_text(factory)
    (folder / "many_factories.py").write_text(factory + "def make_web_app(): ...\n")
    with pytest.raises(NoAppError) as caught:
        load_application(path, 1)
    said = str(caught.value)
    assert said.endswith(hint)
    assert ("Did you mean" in said or "--factory" in said) == (len(hint) > 1)


def test_the_error_lists_what_the_module_makes(folder: Path) -> None:
    lines = ["from functools import partial, reduce", "_hidden = print", "made = partial(print)"]
    (folder / "many.py").write_text("\n".join([*lines, *(f"def call_{n}(): ..." for n in range(20))]))
    with pytest.raises(NoAppError) as caught:
        load_application("many", 1)
    names = ", ".join(["made", *(f"call_{n}" for n in range(11)), "..."])
    assert str(caught.value).endswith(f"many.py: its callables are {names}.")


def test_application_is_found_where_app_is_not(folder: Path) -> None:
    (folder / "both.py").write_text(MODULE + "\napplication = wsgi_app\n")
    assert load_application("both", 1).app.__name__ == "app"
    assert load_application("asgi", 1).app.__name__ == "application"
    with pytest.raises(NoAppError, match="its callables are application, "):
        load_application("asgi:app", 1)  # a name that is given is not replaced by another one


PACKAGED = """
import os, sys
from . import beside
from site_package import other
import sibling
assert __name__ == "site_package.inner.asgi", __name__
async def application(scope, receive, send): ...
"""


@pytest.mark.parametrize("suffix", [".py", ""])
@pytest.mark.parametrize("relative", [True, False])
def test_a_file_of_a_package_is_imported_as_one(suffix: str, relative: bool, folder: Path) -> None:
    inner = folder / "site_package" / "inner"
    inner.mkdir(parents=True)
    for place in (inner.parent / "__init__.py", inner / "__init__.py", inner / "beside.py", inner / "sibling.py"):
        place.write_text("")
    (inner.parent / "other.py").write_text("")
    (inner / "asgi.py").write_text(PACKAGED)
    start = "" if relative else f"{folder}/"
    wrapper = load_application(f"{start}site_package/inner/asgi{suffix}:application", 1)
    assert wrapper.app.__module__ == "site_package.inner.asgi"


def test_a_file_in_a_folder_sees_the_working_directory(folder: Path) -> None:
    (folder / "scripts").mkdir()
    (folder / "scripts" / "serving.py").write_text("import neighbour, loadable\nfrom loadable import app\n")
    (folder / "scripts" / "neighbour.py").write_text("")
    assert load_application("scripts/serving.py:app", 1).app.__name__ == "app"


def test_a_name_that_is_taken(folder: Path) -> None:
    (folder / "queue.py").write_text(MODULE)
    import queue

    with pytest.raises(NoAppError, match=f"the name of {folder}/queue.py is taken by {queue.__file__}: rename"):
        load_application("queue.py:app", 1)


def test_another_mode(folder: Path) -> None:
    with pytest.raises(ValueError, match="Invalid mode, must be 'asgi', or 'wsgi'"):
        load_application("cgi:loadable:app", 1)
    with pytest.raises(NoAppError, match="'app:' is not an expression"):
        load_application("loadable:app:", 1)
    with pytest.raises(ValueError, match="Invalid mode"):
        wrap_app(print, 1, "cgi")


def test_errors_inside_the_application_are_its_own(folder: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_application("importing:app", 1)
    with pytest.raises(AttributeError, match="deep inside"):
        load_application("loadable:broken()", 1)


def test_windows_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.asgi.loading.os.name", "nt")
    assert split_path("C:\\site\\app.py:app") == (None, "C:\\site\\app.py", "app")
    assert split_path("wsgi:C:/site/app.py:app") == ("wsgi", "C:/site/app.py", "app")


async def function(scope: Any, receive: Any, send: Any, *, more: Any = None) -> None: ...


class Callable3:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...


class Endpoint:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Generator[Any, None, None]:
        yield


def returns_a_coroutine(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    return function(scope, receive, send)


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


class WSGIObject:
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []


class WSGIClass:
    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        yield b""


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (function, True),
        (Callable3(), True),
        (Callable3().method, True),
        (Endpoint, True),
        (functools.partial(function, more=None), True),
        (functools.partial(functools.partial(function)), True),
        (returns_a_coroutine, True),
        (lambda scope, receive, send: function(scope, receive, send), True),
        (functools.partial(returns_a_coroutine), True),
        (wsgi, False),
        (WSGIObject(), False),
        (WSGIClass, False),
        (functools.partial(wsgi), False),
        (lambda environ, start_response: [], False),
        (lambda *args: [], False),
        (print, False),
    ],
)
def test_detection(app: Callable[..., Any], expected: bool) -> None:
    assert is_asgi(app) is expected
    assert type(wrap_app(app, 1, None)) is (ASGIWrapper if expected else WSGIWrapper)


MISSING: Any = None


class EndpointWithSend(Endpoint):
    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.send = send


class Metaclass(type):
    async def __call__(cls, scope: Any, receive: Any, send: Any) -> None: ...


class MadeByMetaclass(metaclass=Metaclass): ...


class MakesLists:
    def __new__(cls, environ: Any, start_response: Any) -> Any:
        return [b""]


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return wrapper


def injected(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that gives its function one argument more."""

    @functools.wraps(function)
    def wrapper(environ: Any, start_response: Any) -> Any:
        return function(None, environ, start_response)

    return wrapper


@injected
def wsgi_with_database(database: Any, environ: Any, start_response: Any) -> list[bytes]:
    return []


def declared(environ: Any, start_response: Any) -> list[bytes]:
    return []


declared.__signature__ = inspect.Signature()  # type: ignore[attr-defined]


def with_defaults(environ: Any = None, start_response: Any = None, *, debug: bool = False) -> list[bytes]:
    return []


def typed(request: WSGIEnvironment = MISSING, answer: StartResponse = MISSING) -> list[bytes]:
    return []


async def asgi_with_defaults(scope: Any = None, receive: Any = None, send: Any = None) -> None: ...


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (EndpointWithSend, True),
        (MadeByMetaclass, True),
        (functools.partial(Callable3()), True),
        (decorated(function), True),
        (decorated(Endpoint), True),
        (decorated(wsgi), False),
        (decorated(WSGIObject()), False),
        (lambda scope, *rest: function(scope, *rest), True),
        (wsgi_with_database, False),
        (declared, False),
        (with_defaults, False),
        (lambda e=None, s=None: [], False),
        (typed, False),
        (lambda env, start=None: [], False),
        (lambda request, config=None: [], False),
        (asgi_with_defaults, True),
        (lambda environ, start_response, cache={}: [], False),
        (MakesLists, False),
        (unittest.mock.Mock(), False),
        (unittest.mock.MagicMock(), False),
        (max, False),
    ],
)
def test_nothing_that_could_serve_is_refused(app: Callable[..., Any], expected: bool) -> None:
    assert is_asgi(app) is expected
    assert type(wrap_app(app, 1, None, "m:app")) is (ASGIWrapper if expected else WSGIWrapper)


def create_app() -> Any: ...
def create_with_options(config: Any = None, debug: bool = False) -> Any: ...
def create_with_many(config: Any = None, debug: bool = False, name: str = "") -> Any: ...
def create_for(env: str = "prod", debug: bool = False) -> Any: ...
def create_from(environ: Any = None, settings: Any = None) -> Any: ...
def create_one(env: str = "prod") -> Any: ...
def create_scoped(scope: str = "prod", debug: bool = False, name: str = "") -> Any: ...
async def create_later(config: Any = None, debug: bool = False, name: str = "") -> Any: ...
def create_with_keywords(*, config: Any = None) -> Any: ...
async def create_async() -> Any: ...
async def handler(request: Any) -> Any: ...
def asgi2(scope: Any) -> Any: ...
def one(config: Any) -> Any: ...


class ASGI2:
    def __init__(self, scope: Any) -> None: ...
    async def __call__(self, receive: Any, send: Any) -> None: ...


class ASGI2Object:
    def __call__(self, scope: Any) -> Any: ...


class Framework:
    """As Flask's: an application is an instance."""

    def __init__(self, name: str, folder: str = "", host: str = "") -> None: ...
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []


class OneForAll:
    def __iter__(self) -> Iterator[bytes]:
        yield b""


FACTORY = "it looks like a factory"
ARGUMENTS = "it cannot be called with the three arguments of ASGI"


@pytest.mark.parametrize(
    ("app", "problem"),
    [
        (create_app, FACTORY),
        (lambda: None, FACTORY),
        (create_with_options, FACTORY),
        (create_with_many, FACTORY),
        (create_with_keywords, FACTORY),
        (create_for, FACTORY),
        (create_from, FACTORY),
        (create_one, FACTORY),
        (create_scoped, FACTORY),
        (functools.partial(create_for, debug=True), FACTORY),
        (create_later, "it is an async factory"),
        (lambda e="prod", debug=False: None, FACTORY),
        (functools.partial(one, 1), FACTORY),
        (create_async, "it is an async factory"),
        (handler, "it is async, but cannot be called with the three arguments of ASGI"),
        (asgi2, "it takes one argument, as ASGI 2 applications do"),
        (ASGI2, "it takes one argument, as ASGI 2 applications do"),
        (ASGI2Object(), "it takes one argument, as ASGI 2 applications do"),
        (one, ARGUMENTS),
        (lambda a, b, c, d: None, ARGUMENTS),
        (Callable3, "it is a class, and calls of it do not serve requests: name an instance of it, such as m:app()"),
        (WSGIObject, "it is a class"),
        (Framework, "it is a class"),
        (OneForAll, "it is a class"),
    ],
)
def test_what_could_never_serve_is_refused_with_advice(app: Any, problem: str) -> None:
    with pytest.raises(NoAppError) as caught:
        wrap_app(app, 1, None, "m:app")
    text = str(caught.value)
    assert text.startswith(f"Cannot load application from 'm:app', {problem}")
    assert text.endswith(" If it is an application all the same, say which kind: asgi:m:app or wsgi:m:app")
    if problem is FACTORY:
        assert ": add --factory, or write m:app()." in text
    with pytest.raises(NoAppError, match=r"^Cannot serve .* say which kind: mode='asgi' or mode='wsgi'$"):
        wrap_app(app, 1, None)
    assert type(wrap_app(app, 1, "wsgi")) is WSGIWrapper


def test_a_factory_that_is_async(folder: Path) -> None:
    (folder / "made.py").write_text("async def create(): ...\ndef give(): return create\n")
    with pytest.raises(NoAppError, match="the factory is async"):
        load_application("made:create", 1, factory=True)
    with pytest.raises(NoAppError, match="Cannot load application from 'made:give', it is an async factory"):
        load_application("made:give", 1, factory=True)


def test_a_given_mode_is_not_doubted() -> None:
    assert type(wrap_app(wsgi, 1, "asgi")) is ASGIWrapper
    assert type(wrap_app(function, 1, "wsgi")) is WSGIWrapper


def test_what_is_wrapped_stays_as_it_is() -> None:
    for app in (function, wsgi):
        wrapper = wrap_app(app, 1, None)
        assert wrap_app(wrapper, 2, "asgi") is wrapper


def test_no_class_over_a_wrapper_is_left_out() -> None:
    class Limited(ASGIWrapper):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # type: ignore[override]
            raise AssertionError

    limited = Limited(function)
    assert wrap_app(limited, 1, None).app is limited


def test_the_asgi_wrapper_calls_the_application() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((scope, receive, send))

    with pytest.raises(StopIteration):
        ASGIWrapper(app)(1, 2, 3, 4, 5).send(None)  # type: ignore[arg-type]
    assert seen == [1, 2, 3]
