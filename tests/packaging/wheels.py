"""Builds the sdist and, out of it, the wheels; installs each in a bare environment, and lets it serve.

    python tests/packaging/wheels.py                      with this Python
    python tests/packaging/wheels.py PYTHON ...           with each of these
    python tests/packaging/wheels.py --out DIR            keeps what was built

What cibuildwheel does for every platform, done here for this one: `pip wheel`, `auditwheel repair`. Needs the extra
`packaging`. Prints a table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SMOKE = Path(__file__).with_name("smoke.py")


class Built(NamedTuple):
    """A wheel, and what it took."""

    wheel: Path
    build: str  # compiled or pure
    seconds: float

    @property
    def line(self) -> str:
        size = self.wheel.stat().st_size / 1024
        unpacked = sum(entry.file_size for entry in zipfile.ZipFile(self.wheel).infolist()) / 1024
        return f"{self.wheel.name:75} {self.build:9} {self.seconds:6.0f} s {size:7.0f} KiB {unpacked:8.0f} KiB unpacked"


def run(*command: str | Path, **variables: str) -> None:
    """Runs a command; what it says is shown only where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=tempfile.gettempdir(),
        env={**clean_environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout[-4000:]}")


def clean_environment() -> dict[str, str]:
    """This environment without what would let the source tree be found."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    dropped = ("HYPERCORN_", "PYTHONPATH")
    return {**{name: text for name, text in os.environ.items() if not name.startswith(dropped)}, "PATH": tools}


def build_sdist(out: Path) -> Path:
    """The sdist, from a copy of the tree without what builds left in it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        ignored = shutil.ignore_patterns(".*", "*.so", "*.pyd", "*.egg-info", "build", "dist", "__pycache__", "site")
        shutil.copytree(ROOT, tree, ignore=ignored)
        run(sys.executable, "-m", "build", "--sdist", "--outdir", out, tree)
    return next(out.glob("*.tar.gz"))


def unpack(sdist: Path, folder: Path) -> Path:
    """The tree in an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


def environment(python: str, folder: Path) -> Path:
    """A bare virtual environment; its interpreter."""
    run(python, "-m", "venv", folder)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def build_wheel(python: Path, tree: Path, out: Path, *, pure: bool) -> Built:
    """One wheel; a compiled one is repaired where the platform has auditwheel."""
    raw = out / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    setting = {"HYPERCORN_NO_EXTENSIONS": "1"} if pure else {"HYPERCORN_REQUIRE_EXTENSIONS": "1"}
    run(python, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", raw, tree, **setting)
    seconds = time.monotonic() - began
    wheel = next(raw.glob("*.whl"))
    if not pure and sys.platform == "linux":
        run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", out, wheel)
    else:
        shutil.copy(wheel, out)
    shutil.rmtree(raw)
    wheel = next(out.glob("*.whl"))
    run(Path(sys.executable).with_name("check-wheel-contents"), "--config", ROOT / "pyproject.toml", wheel)
    run(sys.executable, "-m", "twine", "check", "--strict", wheel)
    return Built(wheel, "pure" if pure else "compiled", seconds)


def try_out(built: Built, python: str, folder: Path) -> None:
    """Installs a wheel in a bare environment, where it has to serve."""
    bare = environment(python, folder)
    run(bare, "-m", "pip", "install", "-q", built.wheel)
    run(bare, "-I", SMOKE, built.build)


def main(arguments: list[str] | None = None) -> list[Built]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("python", nargs="*", default=[sys.executable])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    made: list[Built] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sdist = build_sdist(work / "sdist")
        run(sys.executable, "-m", "twine", "check", "--strict", sdist)
        tree = unpack(sdist, work / "unpacked")
        builder = environment(options.python[0], work / "builder")
        pure = build_wheel(builder, tree, work / "pure", pure=True)
        for number, python in enumerate(options.python):
            builder = environment(python, work / f"builder-{number}")
            compiled = build_wheel(builder, tree, work / f"wheels-{number}", pure=False)
            try_out(compiled, python, work / f"compiled-{number}")
            try_out(pure, python, work / f"pure-{number}")
            made.append(compiled)
            print(compiled.line, flush=True)
        made.append(pure)
        print(pure.line)
        print(f"{sdist.name:75} {'sdist':9} {'':8} {sdist.stat().st_size / 1024:7.0f} KiB")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            for path in [sdist, *(built.wheel for built in made)]:
                shutil.copy(path, options.out)
    return made


if __name__ == "__main__":
    main()
