"""Frozen programs and archives serve: PyInstaller, zipapp and shiv."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tests.process.command import ROOT, environment
from tests.supervisor.servers import children_of
from tests.support.live import eventually
from tests.support.peer import Peer

import hypercorn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SPAWN = ("--start-method", "spawn")  # a worker is the program once more
LOOPS = ("asyncio", "uvloop", "trio")
NEEDED = ("hypercorn", "h11", "h2", "hpack", "hyperframe", "wsproto")
PROGRAM = """
import os
import sys

print("program starts", os.getpid(), flush=True)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def main():
    from hypercorn.__main__ import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
"""


def needs(name: str, module: str) -> pytest.MarkDecorator:
    """Skips where that tool is not installed."""
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{name} is not installed")


class Program:
    """A running program that serves."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, address: str) -> None:
        self.process = process
        self.out = out
        self.address = address

    @property
    def text(self) -> str:
        """What it has written."""
        return self.out.read_text(encoding="utf-8")

    def pid(self) -> int:
        """The process that answers."""
        with Peer(self.address) as peer:
            return int(peer.get("/", "connection: close").body)

    def answers(self) -> bool:
        """True once it does."""
        assert self.process.poll() is None, self.text
        with suppress(OSError):
            return self.pid() > 0
        return False

    def answers_after(self, pid: int) -> bool:
        """True once processes answer, and none with that id."""
        with suppress(OSError):
            return pid not in {self.pid() for _ in range(10)}
        return False


@contextmanager
def running(folder: Path, *command: str, **variables: str) -> Iterator[Program]:
    """Starts a program with these arguments, and ends it with a SIGTERM."""
    out, address = folder / "out", str(folder / "socket")
    kept = {name: text for name, text in environment().items() if name != "PYTHONPATH"}
    with out.open("wb") as stream:
        process = subprocess.Popen(
            [*command, "-b", f"unix:{address}"],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**kept, "SHIV_ROOT": str(folder / "shiv"), **variables},
        )
    program = Program(process, out, address)
    try:
        eventually(program.answers, 30.0)
        yield program
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(15.0) == 0, program.text
    finally:
        for child in children_of(process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()


def check(program: Program, workers: int) -> None:
    """As many processes answer as there should be, and none was started twice."""
    found = {program.pid() for _ in range(20)}
    if workers:
        assert program.process.pid not in found
    eventually(lambda: len(children_of(program.process.pid)) == workers)
    assert found <= {program.process.pid, *children_of(program.process.pid)}
    assert "Traceback" not in program.text


def tool(*command: str, cwd: Path) -> None:
    """Runs a tool of this interpreter."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def write_program(folder: Path, name: str = "prog") -> Path:
    """The program's source."""
    path = folder / f"{name}.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


# -- a program that looks frozen to the server, without a tool


@pytest.fixture
def imitated(tmp_path: Path) -> str:
    """A program that is its own interpreter, as far as `sys.frozen` and `sys.executable` tell."""
    path = write_program(tmp_path)
    source = path.read_text(encoding="utf-8")
    paths = environment()["PYTHONPATH"].split(os.pathsep)
    setup = f"import sys\nsys.path[:0] = {paths!r}\nsys.frozen, sys.executable = True, {str(path)!r}\n"
    # An interpreter has its own name as the first of the original arguments; a frozen program has none beside itself.
    setup += "sys.orig_argv = [sys.executable, *sys.argv[1:]]\n"
    path.write_text(f"#!{sys.executable}\n{setup}{source}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_start_once_each(imitated: str, workers: int, tmp_path: Path) -> None:
    with running(tmp_path, imitated, "__main__:app", "-w", str(workers), *SPAWN) as program:
        check(program, workers)
        assert program.text.count("program starts") == workers + 1


def test_a_worker_takes_its_options_from_the_supervisor(imitated: str, tmp_path: Path) -> None:
    """A file that has become wrong meanwhile matters at a reload, not where a worker dies."""
    file = tmp_path / "own.toml"
    file.write_text("workers = 1\n", encoding="utf-8")
    with running(tmp_path, imitated, "-c", str(file), "__main__:app", *SPAWN) as program:
        before = program.pid()
        file.write_text('workers = "many"\n', encoding="utf-8")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: program.answers() and program.pid() != before)
        assert "error:" not in program.text


def test_no_reloader(imitated: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [imitated, "--reload", "__main__:app"], cwd=tmp_path, capture_output=True, text=True, timeout=30.0, check=False
    )
    assert done.returncode == 2
    assert "a frozen program has no source files that could change; leave --reload out" in done.stderr


def upgrade(program: Program) -> None:
    """A SIGUSR2: another process serves, with the same sockets, and the old one leaves."""
    before = {program.pid() for _ in range(10)}
    program.process.send_signal(signal.SIGUSR2)
    assert program.process.wait(30.0) == 0, program.text
    after = program.pid()
    assert after not in before
    os.kill(parent_of(after), signal.SIGTERM)
    eventually(lambda: not Path(f"/proc/{after}").exists())


def parent_of(pid: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sigusr2(imitated: str, tmp_path: Path) -> None:
    with running(tmp_path, imitated, "__main__:app", "-w", "2", *SPAWN) as program:
        upgrade(program)


# -- PyInstaller


def test_the_hooks_are_an_entry_point() -> None:
    """PyInstaller calls those of the group `pyinstaller40` of each distribution, for the folders with its hooks."""
    text = (ROOT / "pyproject.toml").read_text()
    declared = tomllib.loads(text)["project"]["entry-points"]["pyinstaller40"]
    (entry,) = (EntryPoint(name, value, "pyinstaller40") for name, value in declared.items())
    assert entry.name == "hook-dirs"
    (folder,) = entry.load()()
    assert Path(folder, "hook-hypercorn.py").is_file()
    assert Path(folder) == Path(hypercorn.__file__).parent / "__pyinstaller"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program that PyInstaller has made, in a folder."""
    folder = tmp_path_factory.mktemp("frozen")
    hooks = Path(hypercorn.__file__).parent / "__pyinstaller"
    tool(
        *("PyInstaller", "--log-level", "ERROR", "--additional-hooks-dir", str(hooks), str(write_program(folder))),
        cwd=folder,
    )
    return str(folder / "dist" / "prog" / "prog")


@pytest.mark.slow
@needs("pyinstaller", "PyInstaller")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("how", [(), SPAWN], ids=["default", "spawn"])
def test_pyinstaller(frozen: str, how: tuple[str, ...], workers: int, loop: str, tmp_path: Path) -> None:
    with running(tmp_path, frozen, "__main__:app", "-w", str(workers), "-k", loop, *how) as program:
        check(program, workers)
        assert program.text.count("program starts") == (workers + 1 if how else 1)


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program that PyInstaller has made, in one file: a process of its own unpacks it, and starts it."""
    folder = tmp_path_factory.mktemp("one")
    hooks = Path(hypercorn.__file__).parent / "__pyinstaller"
    options = ("--log-level", "ERROR", "--onefile", "--additional-hooks-dir", str(hooks))
    tool("PyInstaller", *options, str(write_program(folder)), cwd=folder)
    return str(folder / "dist" / "prog")


def descendants(pid: int) -> set[int]:
    """The processes below one."""
    children = children_of(pid)
    return children.union(*(descendants(child) for child in children))


@pytest.mark.slow
@needs("pyinstaller", "PyInstaller")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("how", [(), SPAWN], ids=["default", "spawn"])
def test_pyinstaller_in_one_file(one_file: str, how: tuple[str, ...], workers: int, tmp_path: Path) -> None:
    """It answers from as many workers as it should have, replaces one, and leaves no process and no file behind."""
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    with running(tmp_path, one_file, "__main__:app", "-w", str(workers), *how, TMPDIR=str(unpacked)) as program:
        found = {program.pid() for _ in range(20)}
        assert found <= descendants(program.process.pid)
        # One worker may answer before the other has begun.
        eventually(lambda: program.text.count("program starts") >= (workers + 1 if how else 1), 30.0)
        assert program.text.count("program starts") == (workers + 1 if how else 1)
        assert len(list(unpacked.glob("_MEI*"))) == 1  # workers share what the program has unpacked
        if workers:
            before = program.pid()
            os.kill(before, signal.SIGKILL)
            eventually(lambda: program.answers() and before not in {program.pid() for _ in range(10)})
        started = descendants(program.process.pid)
        assert "Traceback" not in program.text
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    eventually(lambda: not list(unpacked.glob("_MEI*")))


@pytest.mark.slow
@needs("pyinstaller", "PyInstaller")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pyinstaller_in_one_file_and_sigusr2(one_file: str, tmp_path: Path) -> None:
    """The program that takes over unpacks itself anew: what the old one has unpacked goes with it."""
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    with running(tmp_path, one_file, "__main__:app", "-w", "2", TMPDIR=str(unpacked)) as program:
        (supervisor,) = children_of(program.process.pid)
        before = {program.pid() for _ in range(10)}
        os.kill(supervisor, signal.SIGUSR2)
        assert program.process.wait(30.0) == 0, program.text
        after = program.pid()
        assert after not in before
        assert len(list(unpacked.glob("_MEI*"))) == 1
        os.kill(after, signal.SIGKILL)  # the one in its place loads what it needs from there
        eventually(lambda: program.answers_after(after))
        os.kill(parent_of(program.pid()), signal.SIGTERM)
        eventually(lambda: not list(unpacked.glob("_MEI*")))
        assert "Traceback" not in program.text


@pytest.mark.slow
@needs("pyinstaller", "PyInstaller")
def test_pyinstaller_has_no_reloader(frozen: str, tmp_path: Path) -> None:
    test_no_reloader(frozen, tmp_path)


@pytest.mark.slow
@needs("pyinstaller", "PyInstaller")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pyinstaller_and_sigusr2(frozen: str, tmp_path: Path) -> None:
    test_sigusr2(frozen, tmp_path)


# -- archives


def packages(folder: Path) -> Path:
    """What a program needs, in pure Python, and the program."""
    site = folder / "site"
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.pyx", "*.pxd")
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, site / name, ignore=ignored)
    write_program(site, "prog")
    return site


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_zipapp(workers: int, tmp_path: Path) -> None:
    archive = tmp_path / "prog.pyz"
    tool("zipapp", str(packages(tmp_path)), "-m", "prog:main", "-o", str(archive), cwd=tmp_path)
    shutil.rmtree(tmp_path / "site")
    with running(tmp_path, sys.executable, "-S", str(archive), "prog:app", "-w", str(workers)) as program:
        check(program, workers)


@pytest.mark.slow
@needs("shiv", "shiv")
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_shiv(workers: int, tmp_path: Path) -> None:
    archive = tmp_path / "prog.pyz"
    command = ("shiv.cli", "--site-packages", str(packages(tmp_path)), "-e", "prog:main", "-o", str(archive))
    tool(*command, cwd=tmp_path)
    shutil.rmtree(tmp_path / "site")
    with running(tmp_path, sys.executable, "-S", str(archive), "prog:app", "-w", str(workers)) as program:
        check(program, workers)
