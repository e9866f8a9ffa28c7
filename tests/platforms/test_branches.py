"""What is done on another system than this one: every branch by platform in src, reached by faking the platform.

`BRANCHES` lists the functions and modules that look at it; one that is not listed fails the first test. The branches of
the C files are compiled in test_compilers.py, and kqueue.sh runs the reactor's.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hypercorn.__main__ as command
import hypercorn.run as running
from hypercorn.asgi.loading import split_path
from hypercorn.certificates import folders
from hypercorn.config import Config
from hypercorn.net import address, closing, sockets
from hypercorn.net.forwarding import DatagramForwarder
from hypercorn.runtime import udp
from hypercorn.supervisor import launch, pid_file

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "hypercorn"
BRANCHES = """
    __main__.main run.run run.serve_if_frozen_worker asgi.loading.split_path
    cli.printing net.address._check_abstract net.closing.hold_off net.forwarding.DatagramForwarder.name
    net.sockets._reuse_address net.sockets.steers_datagrams runtime.udp.prepare
    supervisor.launch.may_fork supervisor.pid_file._is_alive
    supervisor.reloader supervisor.top
    certificates.development.trust_text certificates.folders certificates.folders.data_folder
    certificates.folders.make_private certificates.renewal
"""
# Not reached yet, all on Windows.
UNREACHED = """
    django.management.commands.hypercorn.Command.start django.management.commands.runserver.Command.started
    supervisor.terminal.Terminal.__init__
"""


def looks(node: ast.AST) -> bool:
    """True for `sys.platform` and `os.name`."""
    return isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.platform", "os.name")


def places(path: Path) -> Iterator[str]:
    """The functions of a module that look at the platform, and the module itself where it does so outside of one."""
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)

    def walk(node: ast.AST, name: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            if looks(child):
                yield name
            yield from walk(child, f"{name}.{child.name}" if named else name)

    return walk(ast.parse(path.read_text()), module)


def test_every_branch_is_listed() -> None:
    found = {place for path in SOURCE.rglob("*.py") for place in places(path)}
    assert found == {*BRANCHES.split(), *UNREACHED.split()}


def test_versions_are_probed() -> None:
    """What depends on a version is looked for, so that the next one needs no change."""
    texts = {path: path.read_text() for pattern in ("*.py", "*.px[di]", "*.pyx") for path in SOURCE.rglob(pattern)}
    texts |= {path: path.read_text() for path in (ROOT / "csrc").glob("*.[ch]")}
    listed = [path.name for path, text in texts.items() for name in ("version_info", "PY_VERSION_HEX") if name in text]
    assert listed == []


class FakeSocket:
    """Keeps the options that it is given."""

    family, type = socket.AF_INET, socket.SOCK_STREAM

    def __init__(self) -> None:
        self.options: list[tuple[int, int]] = []

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self.options.append((level, option))


def load_copy(name: str) -> ModuleType:
    """A module, run once more: what it decides when it is imported."""
    spec = importlib.util.spec_from_file_location("copy", SOURCE / f"{name.replace('.', '/')}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("platform", "may"), [("linux", True), ("darwin", False), ("win32", False), ("cygwin", False)])
def test_workers_are_forked(platform: str, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert launch.may_fork() == may


def test_no_process_is_asked_whether_it_lives_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pid_file._is_alive(os.getppid())
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a Ctrl-C was sent"))
    assert not pid_file._is_alive(os.getppid())


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_datagrams_elsewhere(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    sock = FakeSocket()
    assert udp.prepare(sock) is False  # type: ignore[arg-type]
    assert sock.options == [(socket.SOL_SOCKET, socket.SO_RCVBUF), (socket.SOL_SOCKET, socket.SO_SNDBUF)]
    assert not sockets.steers_datagrams()


def test_inboxes_are_files_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    place = DatagramForwarder.__new__(DatagramForwarder)
    place.key = b"key"
    named = place.name(1)
    assert isinstance(named, bytes)
    assert named[0] == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    assert place.name(1) == os.path.join(tempfile.gettempdir(), named[1:].decode())


def test_handshakes_are_not_held_off_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    sock = FakeSocket()
    assert closing.hold_off(sock) is False  # type: ignore[arg-type]
    assert sock.options == []


def test_a_port_is_not_shared_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = FakeSocket()
    sockets._reuse_address(sock)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    sockets._reuse_address(sock)  # type: ignore[arg-type]
    assert sock.options == [(socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.SOL_SOCKET, -5)]


def test_abstract_sockets_are_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    address._check_abstract("unix:@name")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ValueError, match="only Linux"):
        address._check_abstract("unix:@name")


@pytest.mark.parametrize(("platform", "loop"), [("win32", "Proactor"), ("linux", "Selector")])
def test_the_loop_that_is_named(platform: str, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert any(f"asyncio.{loop}EventLoop" in str(value) for value in vars(load_copy("cli.printing")).values())


@pytest.mark.parametrize(("platform", "number"), [("win32", 0), ("linux", 3)])
def test_signals_that_a_reloader_leaves_to_its_parent(
    platform: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert len(load_copy("supervisor.reloader").FOR_PARENT) == number
    assert signal.SIGINT in load_copy("supervisor.reloader").FOR_PARENT or not number


def test_a_terminal_is_not_looked_for_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasattr(load_copy("supervisor.top"), "termios")
    monkeypatch.setattr(sys, "platform", "win32")
    assert not hasattr(load_copy("supervisor.top"), "termios")


def test_a_frozen_program_is_no_worker_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(launch, "serve_if_worker", lambda: asked.append(True))
    running.serve_if_frozen_worker()
    monkeypatch.setattr(sys, "platform", "win32")
    running.serve_if_frozen_worker()
    assert asked == [True]


def test_one_worker_serves_on_windows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config()
    config.application_path = "app:app"
    config.workers = 3
    ran: list[str] = []
    monkeypatch.setattr(running, "run_here", lambda *_: ran.append("here") or 0)
    monkeypatch.setattr(running, "run_supervised", lambda *_: ran.append("supervised") or 0)
    running.run(config)
    monkeypatch.setattr(sys, "platform", "win32")
    running.run(config)
    assert ran == ["supervised", "here"]
    assert "no worker processes" in capsys.readouterr().err


def test_ctl_is_no_command_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(command, "_subcommand", lambda name, _: asked.append(name) or 0)
    command.main(["ctl", "--version"])
    monkeypatch.setattr(sys, "platform", "win32")
    command.main(["ctl", "--version"])
    assert asked == ["ctl"]


def test_drives_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as fake:
        fake.setattr(os, "name", "nt")
        on_windows = split_path(r"C:\site\app.py:app"), split_path(r"wsgi:C:\site\app.py:app")
    assert on_windows == ((None, r"C:\site\app.py", "app"), ("wsgi", r"C:\site\app.py", "app"))


def test_the_reactor_is_not_built_on_windows() -> None:
    code = "import sys, setuptools.command.build_ext; setuptools.setup = lambda **given: None\n"
    code += "sys.platform = 'win32'\n"
    code += "space = {}; exec(open('setup.py').read(), space)\n"
    code += "assert space['compiler_flags']('clock') == space['linker_flags']() == [], space\n"
    code += "assert 'runtime.reactor' not in space['TWINS'], space"
    environment = {**os.environ, "HYPERCORN_NO_EXTENSIONS": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_folders_of_keys_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the user's own folder, which Windows closes to others; there are neither owners nor modes."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.delattr(os, "geteuid")
    assert folders.data_folder() == tmp_path / "hypercorn"
    folders.make_private(folders.data_folder() / "acme", "")
    (tmp_path / "hypercorn" / "acme").chmod(0o755)
    folders.make_private(folders.data_folder() / "acme", "")
    assert (tmp_path / "hypercorn" / "acme").stat().st_mode & 0o777 == 0o755


def test_locks_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Locking(ModuleType):
        LK_NBLCK, LK_UNLCK = 2, 0

        def locking(self, number: int, mode: int, size: int) -> None:
            assert (os.lseek(number, 0, os.SEEK_CUR), size) == (0, 1)
            if mode == self.LK_UNLCK:
                taken.pop()
            elif taken:
                raise PermissionError(13, "Permission denied")
            else:
                taken.append(number)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", Locking("msvcrt"))
    copy = load_copy("certificates.folders")
    with copy.locked(tmp_path / "lock"):
        assert len(taken) == 1
        with pytest.raises(TimeoutError), copy.locked(tmp_path / "lock", 0.1):
            pass
    assert taken == []


def test_the_acme_client_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no signals of a process group that it could be kept from."""
    assert signal.SIGTERM in load_copy("certificates.renewal").FOR_SERVER
    monkeypatch.setattr(sys, "platform", "win32")
    assert load_copy("certificates.renewal").FOR_SERVER == ()
