"""The names that programs import from earlier releases, and what they do."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hypercorn
import hypercorn.utils
from hypercorn.compat import PLACES, REMOVED_IN, events, utils
from hypercorn.config import Config
from hypercorn.errors import ShutdownError

TYPING = """
H11SendableEvent WorkerFunc LifespanState ConnectionState ASGIVersions HTTPScope WebsocketScope
LifespanScope WWWScope Scope HTTPRequestEvent HTTPResponseStartEvent HTTPResponseBodyEvent
HTTPResponseTrailersEvent HTTPServerPushEvent HTTPEarlyHintEvent HTTPDisconnectEvent WebsocketConnectEvent
WebsocketAcceptEvent WebsocketReceiveEvent WebsocketSendEvent WebsocketResponseStartEvent
WebsocketResponseBodyEvent WebsocketDisconnectEvent WebsocketCloseEvent LifespanStartupEvent
LifespanShutdownEvent LifespanStartupCompleteEvent LifespanStartupFailedEvent LifespanShutdownCompleteEvent
LifespanShutdownFailedEvent ASGIReceiveEvent ASGISendEvent ASGIReceiveCallable ASGISendCallable
ASGIFramework WSGIFramework Framework H2SyncStream H2AsyncStream Event WorkerContext TaskGroup
ResponseSummary AppWrapper SingleTask
"""
UTILS = """
suppress_body build_and_validate_headers filter_pseudo_headers load_application wrap_app files_to_watch
check_for_updates raise_shutdown check_multiprocess_shutdown_event write_pid_file parse_socket_addr
repr_socket_addr valid_server_name is_asgi ShutdownError NoAppError LifespanTimeoutError
LifespanFailureError UnexpectedMessageError FrameTooLargeError
"""


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("hypercorn.typing", TYPING),
        ("hypercorn.utils", UTILS),
        ("hypercorn", "Config"),
        ("hypercorn.config", "Config Sockets SocketTypeError BYTES OCTETS SECONDS FilePath SocketKind"),
        ("hypercorn.run", "run"),
        ("hypercorn.logging", "Logger AccessLogAtoms"),
        ("hypercorn.statsd", "StatsdLogger"),
        ("hypercorn.app_wrappers", "ASGIWrapper WSGIWrapper InvalidPathError"),
        ("hypercorn.events", "Event RawData Closed Updated"),
    ],
)
@pytest.mark.filterwarnings("ignore:hypercorn.(app_wrappers|events|utils).:DeprecationWarning")
def test_importable(module: str, names: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []


# What release 0.18.0 has beside its private modules, which are no place to import from.
PUBLIC = """
hypercorn hypercorn.__main__ hypercorn.app_wrappers hypercorn.asyncio hypercorn.asyncio.run hypercorn.asyncio.statsd
hypercorn.config hypercorn.events hypercorn.logging hypercorn.middleware hypercorn.middleware.dispatcher
hypercorn.middleware.http_to_https hypercorn.middleware.proxy_fix hypercorn.middleware.wsgi hypercorn.protocol
hypercorn.run hypercorn.statsd hypercorn.trio hypercorn.trio.run hypercorn.trio.statsd hypercorn.typing hypercorn.utils
"""


@pytest.mark.parametrize("module", PUBLIC.split())
def test_no_module_warns_as_it_is_imported(module: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", f"import {module}"], env=environment, check=True)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("hypercorn", "Config"),
        ("hypercorn.config", "Config Sockets SocketTypeError BYTES OCTETS SECONDS FilePath SocketKind"),
        ("hypercorn.run", "run"),
        ("hypercorn.logging", "Logger AccessLogAtoms"),
        ("hypercorn.statsd", "StatsdLogger"),
        ("hypercorn.asyncio", "serve"),
        ("hypercorn.asyncio.run", "asyncio_worker uvloop_worker worker_serve"),
        ("hypercorn.asyncio.statsd", "StatsdLogger"),
        ("hypercorn.trio", "serve"),
        ("hypercorn.trio.run", "trio_worker worker_serve"),
        ("hypercorn.trio.statsd", "StatsdLogger"),
        ("hypercorn.middleware", "DispatcherMiddleware HTTPToHTTPSRedirectMiddleware ProxyFixMiddleware"),
        ("hypercorn.typing", TYPING),
    ],
)
def test_names_for_applications_never_warn(module: str, names: str) -> None:
    code = f"from {module} import {', '.join(names.split())}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, check=True)


@pytest.mark.parametrize("module", PLACES)
def test_old_names_warn_and_work(module: str) -> None:
    old = importlib.import_module(module)
    for name, place in PLACES[module].items():
        with pytest.warns(DeprecationWarning, match=rf"{module}.{name} goes in Hypercorn {REMOVED_IN}: ") as said:
            found = getattr(old, name)
        assert found is getattr(importlib.import_module(place), name)
        assert len(said) == 1
        assert said[0].filename == __file__
        assert (place in str(said[0].message)) is not place.startswith("hypercorn.compat")


def test_importing_types_and_config_costs_no_protocol_library() -> None:
    heavy = "{'h11', 'h2', 'wsproto', 'ssl', 'asyncio'}"
    code = f"import sys, hypercorn.typing, hypercorn.config\nprint(*{heavy} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.split() == []


def test_lazy_names_and_others() -> None:
    assert hypercorn.Config is Config
    with pytest.raises(AttributeError):
        hypercorn.utils.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("HEAD", 200, True),
        ("GET", 200, False),
        ("GET", 101, True),
        ("GET", 204, True),
        ("GET", 304, True),
        ("GET", 412, False),
    ],
)
def test_suppress_body(method: str, status: int, expected: bool) -> None:
    assert utils.suppress_body(method, status) is expected


def test_headers() -> None:
    assert utils.build_and_validate_headers([(b" a ", b" b ")]) == [(b"a", b"b")]
    with pytest.raises(ValueError, match="Pseudo headers are not valid"):
        utils.build_and_validate_headers([(b":a", b"b")])
    with pytest.raises(TypeError):
        utils.build_and_validate_headers([("a", "b")])  # type: ignore[list-item]  # what applications do
    both = [(b":authority", b"one"), (b":path", b"/"), (b"a", b"b"), (b"host", b"two")]
    assert utils.filter_pseudo_headers(both) == [(b"host", b"one"), (b"a", b"b")]
    assert utils.filter_pseudo_headers(both[1:]) == [(b"host", b"two"), (b"a", b"b")]
    assert utils.filter_pseudo_headers([]) == [(b"host", b"")]


def test_valid_server_name() -> None:
    request = SimpleNamespace(headers=[(b"host", b"a.test")])
    assert utils.valid_server_name(Config(), request)
    assert utils.valid_server_name(Config.from_mapping(server_names=["a.test"]), request)
    assert not utils.valid_server_name(Config.from_mapping(server_names=["b.test"]), request)
    assert not utils.valid_server_name(Config.from_mapping(server_names=["b.test"]), SimpleNamespace(headers=[]))


def test_watching_files(tmp_path: Path) -> None:
    assert Path(utils.__file__).resolve() in utils.files_to_watch()
    path = tmp_path / "a.py"
    path.touch()
    files = {path: path.stat().st_mtime}
    assert not utils.check_for_updates(files)
    os.utime(path, (time.time() + 5, time.time() + 5))
    assert utils.check_for_updates(files)
    assert not utils.check_for_updates(files)
    path.unlink()
    assert utils.check_for_updates(files)


def test_write_pid_file(tmp_path: Path) -> None:
    utils.write_pid_file(str(tmp_path / "a.pid"))
    assert (tmp_path / "a.pid").read_text() == str(os.getpid())


def test_waiting_for_a_shutdown() -> None:
    async def event() -> None: ...

    with pytest.raises(ShutdownError):
        utils.raise_shutdown(event).send(None)

    answers = iter([False, False, True])
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    flag: Any = SimpleNamespace(is_set=lambda: next(answers))
    with pytest.raises(StopIteration):
        utils.check_multiprocess_shutdown_event(flag, sleep).send(None)
    assert waits == [0.1, 0.1]


def test_events() -> None:
    assert events.RawData(b"a") == events.RawData(data=b"a", address=None)
    assert isinstance(events.Closed(), events.Event)
    assert events.Updated(idle=True).idle
