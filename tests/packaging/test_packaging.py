"""What is shipped: the sdist has all that a build needs, and what is built from it is whole."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from tests.docs.pages import BLOCKS, command_lines
from tests.packaging import wheels

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.{}(sys.argv[1]))"


def build(kind: str, tree: Path, out: Path, **variables: str) -> Path:
    """An sdist or a pure wheel of a tree, by the backend that pyproject.toml names."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HYPERCORN_")}
    code = BUILD.format(f"build_{kind}")
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        cwd=tree,
        env={**kept, "HYPERCORN_NO_EXTENSIONS": "1", **variables},
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
    assert {Path(name).suffix for name in wanted} >= {".c", ".h", ".pxd", ".pyx", ".py", ".pyi", ".typed"}
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


# -- the package page

SITE = "https://forge.example/hypercorn"


@pytest.fixture(scope="module")
def released(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist as a release makes it, and a wheel that somebody else has made of it."""
    folder = tmp_path_factory.mktemp("release")
    said = {"HYPERCORN_PROJECT_URL": f"{SITE}/", "HYPERCORN_AUTHOR_EMAIL": "authors@forge.example"}
    sdist = build("sdist", tree, folder, **said)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return sdist, build("wheel", next((folder / "unpacked").iterdir()), folder)


def test_the_package_page(released: tuple[Path, Path]) -> None:
    """Links and authors are there, also in what is built from the sdist; no link is relative, and none is local."""
    archive = zipfile.ZipFile(released[1])
    metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
    page = message_from_string(archive.read(metadata).decode())
    urls = dict(line.split(", ", 1) for line in page.get_all("Project-URL", []))
    assert urls.keys() == {"Homepage", "Documentation", "Source", "Issues", "Changelog", "Security"}
    assert all(url.startswith(SITE) for url in urls.values())
    assert page["Author"] == "The Hypercorn authors"
    assert page["Author-email"] == "authors@forge.example"
    classifiers = page.get_all("Classifier", [])
    assert "Programming Language :: Python :: 3.15" in classifiers
    text = page.get_payload()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert f"]({SITE}/raw/v{page['Version']}/docs/chart.svg)" in text


def test_links_of_the_package_page_lead_to_files(released: tuple[Path, Path]) -> None:
    archive = zipfile.ZipFile(released[1])
    metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
    found = re.findall(rf"{SITE}/(?:blob|raw)/v[\d.]+/([^)#\s]+)", archive.read(metadata).decode())
    assert len(found) > 20
    assert [path for path in found if not (ROOT / path).is_file()] == []


def test_without_the_repositorys_place_no_link_is_made_up(unpacked: Path, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(build("wheel", unpacked, tmp_path))
    metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
    assert b"Project-URL" not in archive.read(metadata)


@pytest.mark.slow
def test_the_package_page_is_rated_ten_of_ten(released: tuple[Path, Path]) -> None:
    tools = Path(sys.executable).parent
    for command in (["twine", "check", "--strict", *released], ["pyroma", "--min", "10", released[0]]):
        done = subprocess.run([tools / command[0], *command[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Final rating: 10/10" in done.stdout + done.stderr


# -- the first minutes


def readme_fastapi() -> tuple[str, list[str]]:
    """The FastAPI application of the README, and the commands below it."""
    blocks = [block for block in BLOCKS if block.page == "README.md"]
    (place,) = [number for number, block in enumerate(blocks) if "FastAPI()" in block.text]
    return blocks[place].text, command_lines(blocks[place + 1].text)


def test_the_readme_needs_three_commands() -> None:
    application, commands = readme_fastapi()
    compile(application, "main.py", "exec")
    assert [command.split()[0] for command in commands] == ["pip", "hypercorn", "curl"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32" or shutil.which("curl") is None, reason="needs a shell and curl")
def test_from_pip_install_to_an_answered_request(unpacked: Path, tmp_path: Path) -> None:
    """The README's three commands in a fresh environment, character by character; this version is what pip finds."""
    wheel = build("wheel", unpacked, tmp_path)
    wheels.environment(sys.executable, tmp_path / "fresh")
    variables = wheels.clean_environment()
    variables["PATH"] = os.pathsep.join([str(tmp_path / "fresh" / "bin"), variables["PATH"]])
    variables["PIP_FIND_LINKS"] = str(wheel.parent)
    application, (install, serve, ask) = readme_fastapi()
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "main.py").write_text(application)
    installed = subprocess.run(install, shell=True, cwd=folder, env=variables, capture_output=True, check=False)
    assert installed.returncode == 0, installed.stderr
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 8000))
        except OSError:
            pytest.skip("another program has port 8000")
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(["sh", "-c", f"exec {serve}"], cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while "Running on http://127.0.0.1:8000" not in (folder / "log.txt").read_text():
            assert server.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        answer = subprocess.run(ask, shell=True, env=variables, capture_output=True, text=True, check=True)
        assert answer.stdout == '{"hello":"world"}'
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == 0


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
