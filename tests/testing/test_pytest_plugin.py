"""The fixtures for pytest, in test sessions of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.live import BACKENDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLUGIN = "hypercorn.pytest_plugin"
MODULES = f"""
import sys, pytest
loaded = sorted(name for name in sys.modules if name.startswith("hypercorn"))
def test_loaded():
    assert set(loaded) <= {{"hypercorn", "hypercorn._build", "hypercorn._core", "{PLUGIN}"}}
"""
APP = """
notes = []

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        notes.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        notes.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
TESTS = """
import urllib.request
import pytest
import application

def read(url):
    with urllib.request.urlopen(url) as response:
        return response.read()

@pytest.mark.parametrize("backend", {backends})
@pytest.mark.parametrize("app", [application.app, "application:app"], ids=["object", "name"])
def test_asgi(hypercorn_server, app, backend):
    application.notes.clear()
    assert read(hypercorn_server(app, backend=backend)) == b"hello"
    assert application.notes == ["lifespan.startup"]

def test_it_has_ended():
    assert application.notes == ["lifespan.startup", "lifespan.shutdown"]

def test_two_at_once(hypercorn_server):
    first = hypercorn_server(application.app, lifespan="off")
    second = hypercorn_server(application.wsgi, mode="wsgi")
    assert first != second
    assert read(first) == read(second) == b"hello"

urls = []

@pytest.mark.parametrize("number", [1, 2])
def test_of_a_session(hypercorn_session_server, number):
    if not urls:
        urls.append(hypercorn_session_server(application.app))
    assert read(urls[0]) == b"hello"

def test_wrong_option(hypercorn_server):
    with pytest.raises(ValueError, match="keep_alive_timeout"):
        hypercorn_server(application.app, keep_alive_timeout="soon")
"""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Another session of pytest, in a process and with the plugin, whether or not the package is installed."""
    root = Path(__file__).resolve().parents[2]
    paths = [path for path in sys.path if path and Path(path, "hypercorn").is_dir()]
    monkeypatch.setenv("PYTHONPATH", ":".join([*paths, str(root)]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(application=APP)
    return pytester


@pytest.mark.live
def test_fixtures(session: pytest.Pytester) -> None:
    session.makepyfile(TESTS.replace("{backends}", repr(BACKENDS)))
    result = session.runpytest_subprocess("-p", PLUGIN, "-W", "error")
    result.assert_outcomes(passed=2 * len(BACKENDS) + 5)


def test_nothing_is_loaded_before_it_is_asked_for(session: pytest.Pytester) -> None:
    session.makepyfile(MODULES)
    session.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


def test_it_is_an_entry_point() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["entry-points"]["pytest11"] == {"hypercorn": PLUGIN}
