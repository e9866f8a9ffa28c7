"""The C files for systems that are not this one: other C libraries, other compilers, every branch by platform.

Nothing is linked or run. A compiler that is not here skips its test by name.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for path in (ROOT / "csrc").glob("*.c") if path.name != "core.c")  # test_core has it
HEADERS = sorted((ROOT / "csrc").glob("*.h"))
STRICT = ("-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function")
# Where each name is a system's own, it is stood for by one of this system's.
MAC = ("-D__APPLE__", "-U__linux__", "-DCLOCK_UPTIME_RAW=CLOCK_MONOTONIC")
BSD = ("-D__DragonFly__", "-U__linux__")
SYSTEMS = {
    "linux": (),
    "mac": MAC,
    "bsd": BSD,
    "other": ("-U__linux__",),
    "shim": ("-DHC_KQUEUE",),
    "scalar": ("-U__SSE2__", "-U__ARM_NEON"),
}
WINDOWS = {"poller.h", "sockets.h"}  # of the reactor, which Windows does not have


def check(compiler: str, path: Path, *flags: str) -> None:
    """Fails where the compiler has something to say of the file."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folders = [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'tests/platforms/kqueue'}"]
    # A header is read as a file that has nothing else: it must include what it needs.
    command = [compiler, *STRICT, *flags, *folders, "-x", "c", "-include", str(path), "-"]
    done = subprocess.run(command, input="int main(void);\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [*SOURCES, *HEADERS], ids=lambda path: path.name)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_branch_compiles(system: str, path: Path) -> None:
    check("gcc", path, "-D_GNU_SOURCE", *SYSTEMS[system])


@pytest.mark.parametrize("path", [*SOURCES, *HEADERS], ids=lambda path: path.name)
def test_musl(path: Path) -> None:
    """No call of glibc's alone."""
    check("musl-gcc", path, "-D_GNU_SOURCE")


@pytest.mark.parametrize("compiler", ["gcc", "musl-gcc"])
def test_core(compiler: str, tmp_path: Path) -> None:
    """core.c, which needs Python's headers and the list of modules that setup.py writes."""
    python = sysconfig.get_path("include")
    if not Path(python, "Python.h").exists():
        pytest.skip("Python's headers are not installed")
    (tmp_path / "core_modules.h").write_text('MODULE(clock, "hypercorn.clock")\n')
    check(compiler, ROOT / "csrc/core.c", f"-I{tmp_path}", "-isystem", python)


@pytest.mark.parametrize("path", [*SOURCES, *HEADERS], ids=lambda path: path.name)
@pytest.mark.parametrize("compiler", ["x86_64-w64-mingw32-gcc", "i686-w64-mingw32-gcc"])
def test_windows(compiler: str, path: Path) -> None:
    if path.name in WINDOWS:
        pytest.skip(f"{path.name} is of no build on Windows")
    check(compiler, path)


@pytest.mark.parametrize("path", [*SOURCES, *HEADERS], ids=lambda path: path.name)
@pytest.mark.parametrize("compiler", ["aarch64-linux-gnu-gcc", "s390x-linux-gnu-gcc", "i686-linux-gnu-gcc"])
def test_processors(compiler: str, path: Path) -> None:
    """Vectors of ARM, 32 bits, bytes in the other order."""
    check(compiler, path, "-D_GNU_SOURCE")
