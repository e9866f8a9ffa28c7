"""Finding the application, and telling ASGI from WSGI."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypercorn.asgi.loading import ASGIWrapper, is_asgi, load_application, split_path, wrap_app
from hypercorn.asgi.wsgi import WSGIWrapper
from hypercorn.errors import NoAppError

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


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere_at_all:app", "Cannot load application from 'nowhere_at_all:app', module not found."),
        ("nowhere.at.all:app", "Cannot load application from 'nowhere.at.all:app', module not found."),
        ("package.missing:app", "Cannot load application from 'package.missing:app', module not found."),
        (
            "missing/loadable.py:app",
            "Cannot load application from 'missing/loadable.py:app', module not found.",
        ),
        ("loadable:missing", "Cannot load application from 'loadable:missing', application not found."),
        (
            "loadable:space.missing",
            "Cannot load application from 'loadable:space.missing', application not found.",
        ),
        (
            "loadable:number",
            "Cannot load application from 'loadable:number', it is not an application (not callable).",
        ),
        ("loadable:", "Cannot load application from 'loadable:', '' is no expression."),
        ("loadable:1 2", "Cannot load application from 'loadable:1 2', '1 2' is no expression."),
        (":app", "Cannot load application from ':app', module not found."),
    ],
)
def test_not_found(path: str, message: str, folder: Path) -> None:
    with pytest.raises(NoAppError) as caught:
        load_application(path, 1)
    assert str(caught.value) == message


def test_another_mode(folder: Path) -> None:
    with pytest.raises(ValueError, match="Invalid mode, must be 'asgi', or 'wsgi'"):
        load_application("cgi:loadable:app", 1)
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


async def function(scope: Any, receive: Any, send: Any) -> None: ...


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
        (functools.partial(function, receive=None), True),
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


def test_a_given_mode_is_not_doubted() -> None:
    assert type(wrap_app(wsgi, 1, "asgi")) is ASGIWrapper
    assert type(wrap_app(function, 1, "wsgi")) is WSGIWrapper


def test_what_is_wrapped_stays_as_it_is() -> None:
    for app in (function, wsgi):
        wrapper = wrap_app(app, 1, None)
        assert wrap_app(wrapper, 2, "asgi") is wrapper


def test_the_asgi_wrapper_calls_the_application() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((scope, receive, send))

    with pytest.raises(StopIteration):
        ASGIWrapper(app)(1, 2, 3, 4, 5).send(None)  # type: ignore[arg-type]
    assert seen == [1, 2, 3]
