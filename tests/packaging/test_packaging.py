"""What is shipped: the sdist has all that a build needs, and what is built from it is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.packaging import wheels

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.{}(sys.argv[1]))"


def build(kind: str, tree: Path, out: Path) -> Path:
    """An sdist or a pure wheel of a tree, by the backend that pyproject.toml names."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HYPERCORN_")}
    code = BUILD.format(f"build_{kind}")
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        cwd=tree,
        env={**kept, "HYPERCORN_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a checkout has it."""
    tree = tmp_path_factory.mktemp("source") / "tree"
    ignored = shutil.ignore_patterns(".*", "*.so", "*.pyd", "*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=ignored)
    return tree


@pytest.fixture(scope="module")
def unpacked(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree in its sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", tree, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return next((folder / "unpacked").iterdir())


def files(tree: Path, *places: str) -> set[str]:
    return {
        path.relative_to(tree).as_posix()
        for place in places
        for path in (tree / place).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and ".egg-info" not in path.as_posix()
    }


def test_the_sdist_has_every_source(tree: Path, unpacked: Path) -> None:
    places = ("csrc", "src", "tests", "examples", "docs", "bench")
    wanted = files(tree, *places)
    assert {Path(name).suffix for name in wanted} >= {".c", ".h", ".pxd", ".pxi", ".pyx", ".py", ".pyi", ".typed"}
    assert files(unpacked, *places) == wanted
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "mkdocs.yml"):
        assert (unpacked / name).is_file(), name


def test_the_pure_wheel_is_built_from_the_sdist(unpacked: Path, tmp_path: Path) -> None:
    wheel = build("wheel", unpacked, tmp_path)
    assert re.fullmatch(r"hypercorn-[\d.]+-py3-none-any\.whl", wheel.name)
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {name.removeprefix("src/") for name in files(unpacked, "src") if name.endswith((".py", ".pxd", ".typed"))}
    assert sources <= names
    assert not [name for name in names if not name.startswith(("hypercorn/", "hypercorn-"))]
    assert not [name for name in names if name.endswith((".so", ".pyd", ".c"))]
    scripts = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("entry_points.txt")))
    assert b"hypercorn = hypercorn.__main__:main" in scripts
    assert b"[pyinstaller40]\nhook-dirs = hypercorn.__pyinstaller:get_hook_dirs" in scripts
    assert "hypercorn/__pyinstaller/hook-hypercorn.py" in names


@pytest.mark.slow
def test_a_wheel_serves_in_a_bare_environment() -> None:
    compiled, pure = wheels.main([sys.executable])
    assert compiled.build == "compiled"
    assert pure.wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="CC is not asked there")
def test_where_nothing_can_be_compiled_the_sdist_installs_as_the_pure_build(tmp_path: Path) -> None:
    sdist = wheels.build_sdist(tmp_path / "sdist")
    bare = wheels.environment(sys.executable, tmp_path / "bare")
    wheels.run(bare, "-m", "pip", "install", "-q", sdist, CC="false", CXX="false")
    wheels.run(bare, "-I", wheels.SMOKE, "pure")
