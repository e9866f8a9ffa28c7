"""The reloader: what it notices, and what comes of it."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import environment
from tests.process.unprivileged import bound_by_permissions
from tests.supervisor.servers import WAIT, Server, children_of
from tests.support.live import eventually
from tests.support.peer import request

from hypercorn.supervisor.reloader import Rules, polled, reported

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")
HAS_WATCHFILES = importlib.util.find_spec("watchfiles") is not None
FRESH = {"PYTHONDONTWRITEBYTECODE": "1", "HYPERCORN_IDLE_GRACE": "1"}
SOURCE = """
import os, sys
from tests.support.answers import lifespan, respond
from tests.supervisor.apps import stream
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/stream":
        await stream(receive, send, False)
    else:
        await respond(send, b"{answer}")
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "app.py",
        "page.html",
        "sub/inner.py",
        ".git/hook.py",
        "__pycache__/a.py",
        "env/pyvenv.cfg",
        "env/b.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    return tmp_path


@pytest.mark.parametrize(
    ("include", "exclude", "found"),
    [
        (["*.py"], [], {"app.py", "sub/inner.py"}),
        (["*.py", "*.html"], [], {"app.py", "sub/inner.py", "page.html"}),
        (["*.html"], [], {"page.html"}),
        (["*.py"], ["sub"], {"app.py"}),
        (["*.py"], ["sub/*"], {"app.py"}),
        (["*.py"], ["in*.py"], {"app.py"}),
        (["sub"], [], {"app.py", "sub/inner.py"}),
    ],
)
def test_which_files_matter(folder: Path, include: list[str], exclude: list[str], found: set[str]) -> None:
    rules = Rules([], include, exclude)
    assert {str(Path(path).relative_to(folder)) for path in rules.files()} == found
    for name in found:
        assert rules.takes(str(folder / name))
    assert not rules.takes(str(folder / ".git" / "hook.py"))
    assert not rules.takes(str(folder / "__pycache__" / "a.py"))


def test_folders_to_watch(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Those of reload_dirs are in the place of the working directory, those of reload_include beside them."""
    other = tmp_path_factory.mktemp("other")
    (other / "library.py").write_text("1")
    for folders, include, found in (
        (["sub"], ["*.py"], {folder / "sub/inner.py"}),
        ([str(other)], ["*.py"], {other / "library.py"}),
        (["sub", str(other)], ["*.py"], {folder / "sub/inner.py", other / "library.py"}),
        ([str(other)], ["sub"], {folder / "sub/inner.py", other / "library.py"}),
        ([], [str(other)], {folder / "app.py", folder / "sub/inner.py", other / "library.py"}),
    ):
        rules = Rules(folders, include, [])
        assert {Path(path) for path in rules.files()} == found
        assert rules.takes(str(folder / "app.py")) is (folder / "app.py" in found)


def listen(changes: Iterator[list[str]]) -> list[str]:
    """Collects what an iterator of changes gives, in a thread."""
    seen: list[str] = []

    def run() -> None:
        for one in changes:
            seen.extend(one)

    threading.Thread(target=run, daemon=True).start()
    return seen


@pytest.mark.parametrize("how", ["poll", "system"])
def test_changes_are_noticed(folder: Path, how: str) -> None:
    """Edited, new, moved and deleted files; not those that do not matter."""
    going_on = [True]
    alive: Callable[[], bool] = lambda: going_on[0]  # noqa: E731
    rules = Rules([], ["*.py"], [])
    if how == "poll":
        seen = listen(polled(rules, alive, rules.files()))
    elif HAS_WATCHFILES:
        seen = listen(reported(rules, alive, rules.files(), importlib.import_module("watchfiles").watch))
    else:
        seen = listen(reported(rules, alive, rules.files(), fake_watch(folder)))
    text = itertools.count()

    def change(path: str) -> bool:
        (folder / "page.html").write_text(str(next(text)))
        (folder / path).write_text("1" * next(text))
        return str(folder / path) in seen

    try:
        eventually(lambda: change("app.py"), WAIT)  # again and again: the first ones may come before its first look
        eventually(lambda: change("new.py"), WAIT)
        (folder / "sub/inner.py").unlink()
        eventually(lambda: str(folder / "sub/inner.py") in seen, WAIT)
        assert not any("html" in path for path in seen)
    finally:
        going_on[0] = False


def test_folders_that_cannot_be_read_are_passed_over(folder: Path) -> None:
    """One among many is no reason to watch none."""
    given: list[dict[str, Any]] = []

    def watch(*_: str, **options: Any) -> Iterator[set[tuple[int, str]]]:
        given.append(options)
        yield set()

    rules = Rules([], ["*.py"], [])
    assert list(reported(rules, lambda: True, rules.files(), watch)) == []
    assert given[0]["ignore_permission_denied"] is True


def test_what_changed_before_the_system_began_to_watch(folder: Path) -> None:
    rules = Rules([], ["*.py"], [])
    before = rules.files()
    (folder / "app.py").write_text("something else")
    changes = reported(rules, lambda: True, before, lambda *_, **__: iter([set(), set()]))
    assert list(changes) == [[str(folder / "app.py")]]


def fake_watch(folder: Path) -> Any:
    """What `watchfiles.watch` does, for where it is not installed: says that all files have changed."""

    def watch(*folders: str, **_: Any) -> Iterator[set[tuple[int, str]]]:
        assert folders == (str(folder),)
        known = {path for path in folder.rglob("*") if path.is_file()}
        while True:
            known |= {path for path in folder.rglob("*") if path.is_file()}
            yield {(1, str(path)) for path in known}
            time.sleep(0.02)

    return watch


def change(server: Server, module: Path, text: str) -> None:
    """Writes a module, and again where the reloader had not taken its first look yet."""
    for _ in range(60):
        module.write_text(text)
        try:
            eventually(lambda: server.said(f"Changed: {module.name}"), WAIT / 30)
        except AssertionError:
            continue
        return
    raise AssertionError("the change goes unnoticed")


def test_a_change_reloads(tmp_path: Path) -> None:
    """N30, Q-P-15: new code is served while old streams are open; an error is shown, and the next change waited for."""
    module = tmp_path / "changing.py"
    module.write_text(SOURCE.format(answer="one"))
    arguments = ("--reload", "--graceful-timeout", "60")
    with Server(*arguments, app="changing:app", cwd=tmp_path, **FRESH) as server:

        def answers(body: bytes) -> bool:
            with server.connect() as peer:
                return peer.get().body == body

        assert answers(b"one")
        with server.connect() as stream:
            stream.send(request("/stream"))
            stream.until(b"tick")
            change(server, module, SOURCE.format(answer="the second"))
            eventually(lambda: answers(b"the second"), WAIT)
            try:
                stream.rest()
            except ConnectionError:
                pass
        module.write_text("def broken(:\n")
        server.await_said("SyntaxError")
        assert answers(b"the second")
        module.write_text(SOURCE.format(answer="and mended"))
        eventually(lambda: answers(b"and mended"), WAIT)
        assert server.end() == 0


def test_a_change_while_the_application_loads(tmp_path: Path) -> None:
    """The files are looked at before a worker loads them: nobody has to save twice."""
    module = tmp_path / "changing.py"
    module.write_text("import os\nos.write(1, b'loading\\n')\n" + SOURCE.format(answer="one"))
    with Server("--reload", app="changing:app", cwd=tmp_path, **FRESH) as server:
        server.await_line(re.compile("loading"), server.output)
        module.write_text(SOURCE.format(answer="the second"))
        server.await_said("Changed: changing.py")

        def answers() -> bool:
            with server.connect() as peer:
                return peer.get().body == b"the second"

        eventually(answers, WAIT)
        assert server.end() == 0


def test_a_first_start_that_fails_waits_for_a_change(tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    module.write_text("import nowhere_to_be_found\n")
    with Server("--reload", app="changing:app", cwd=tmp_path, **FRESH) as server:
        server.await_said("ModuleNotFoundError")
        change(server, module, SOURCE.format(answer="here"))
        with server.connect() as peer:
            assert peer.get().body == b"here"
        assert server.end() == 0


@pytest.mark.parametrize("how", ["system", "poll"])
def test_a_folder_without_permission_ends_nothing(tmp_path: Path, how: str) -> None:
    """Neither one that is there at the start, nor one that comes."""
    if how == "system" and not HAS_WATCHFILES:
        pytest.skip("watchfiles is not installed")
    module = tmp_path / "changing.py"
    module.write_text(SOURCE.format(answer="one"))
    closed = [tmp_path / name for name in ("before", "between", "after")]
    variables = dict(FRESH)
    if how == "poll":  # as where watchfiles is not installed
        hidden = tmp_path / "hidden" / "watchfiles.py"
        hidden.parent.mkdir()
        hidden.write_text("raise ImportError('hidden')\n")
        variables["PYTHONPATH"] = os.pathsep.join((str(hidden.parent), environment()["PYTHONPATH"]))
    try:
        closed[0].mkdir(mode=0)
        with Server("--reload", app="changing:app", cwd=tmp_path, prefix=bound_by_permissions(), **variables) as server:

            def answers(body: bytes) -> bool:
                with server.connect() as peer:
                    return peer.get().body == body

            assert answers(b"one")
            watchers = children_of(server.process.pid)
            for number, folder in enumerate(closed[1:]):
                change(server, module, SOURCE.format(answer=f"number {number}"))
                eventually(lambda number=number: answers(b"number %d" % number), WAIT)
                folder.mkdir(mode=0)
            change(server, module, SOURCE.format(answer="the last"))
            eventually(lambda: answers(b"the last"), WAIT)
            assert watchers & children_of(server.process.pid)  # the reloader is still the first one
            assert not server.said("ERROR|WARNING")
            assert server.end() == 0
    finally:
        for folder in closed:
            if folder.exists():
                folder.chmod(0o700)
