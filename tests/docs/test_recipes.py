"""The recipes: each page's files are written down, and each of its commands serves."""

from __future__ import annotations

import http.client
import importlib.util
import re
import shlex
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from tests.docs.pages import ROOT, Block, blocks_of, calls_of, command_lines, of
from tests.process.command import Command, environment
from tests.support.peer import PATIENCE

pytestmark = pytest.mark.live
PAGES = {path.stem: blocks_of(path) for path in sorted((ROOT / "docs" / "recipes").glob("*.md"))}
MANAGE = re.compile(r"Starting \w+ development server .* at https?://(.*):(\d+)/$")


def calls(blocks: list[Block]) -> list[list[str]]:
    """The commands of a page: `hypercorn` with its arguments, or a command of `manage.py`, which begins with that."""
    found = []
    for block in blocks:
        if block.language == "sh":
            found += calls_of(block.text)
            for line in command_lines(block.text):
                words = shlex.split(line, comments=True)
                if words[:2] == ["python", "manage.py"]:
                    found.append(words[1:])
    return found


CALLS = [pytest.param(page, call, id=f"{page}: {' '.join(call)}") for page in PAGES for call in calls(PAGES[page])]


def write(page: str, folder: Path) -> None:
    """Writes the files of a page; a Django project is what startproject makes, with the page's settings behind it."""
    if page == "django":
        command = [sys.executable, "-m", "django", "startproject", "mysite", "."]
        subprocess.run(command, cwd=folder, env=environment(), check=True)
        (folder / "static_root").mkdir()
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
    for block in PAGES[page]:
        if block.language == "python" and block.title:
            path = folder / block.title
            before = path.read_text() if path.name == "settings.py" else ""
            path.write_text(before + block.text)
    if page == "django":
        with (folder / "mysite" / "settings.py").open("a") as file:
            file.write('ALLOWED_HOSTS = ["*"]\nSTATIC_ROOT = "static_root"\n')


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_commands_serve(page: str, call: list[str], tmp_path: Path) -> None:
    for module in {"fastapi": ["fastapi"], "quart": ["quart", "quart_trio"]}.get(page, [page]):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    write(page, tmp_path)
    program: tuple[str, ...] = ("-m", "hypercorn")
    if call[0] == "manage.py":
        program, call = (call[0],), call[1:]
    if "runserver" in call:
        call = [call[0], "127.0.0.1:0", "--noreload", *(word for word in call[1:] if ":" not in word)]
    elif "-b" in call:
        place = call.index("-b") + 1
        call = [*call[:place], "127.0.0.1:0", *call[place + 1 :]]
    elif "collectstatic" not in call:
        call = [*call[:-1], "-b", "127.0.0.1:0", call[-1]]
    with Command(*call, cwd=tmp_path, program=program) as command:
        if "collectstatic" in call:
            assert command.code() == 0
            return
        if "runserver" in call:
            found = command.await_line(MANAGE, command.output)
            host, port = found[1], int(found[2])
        else:
            host, port = command.address()
        kind = http.client.HTTPSConnection if "--certfile" in call else http.client.HTTPConnection
        options = {"context": ssl._create_unverified_context()} if "--certfile" in call else {}
        with closing(kind(host, port, timeout=PATIENCE, **options)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status in (200, 404)  # a new project of Django has no page but admin's
        assert command.end() == 0
    assert "Traceback" not in "".join(command.errors)


def test_there_are_commands() -> None:
    assert {page for page in PAGES if calls(PAGES[page])} == set(PAGES) >= {"django", "fastapi", "flask"}


TESTED = sorted({block.page for block in of("python") if block.title.startswith("test_")})


@pytest.mark.parametrize("page", TESTED)
def test_tests_pass(page: str, tmp_path: Path) -> None:
    """Files that are named as tests are tests."""
    tests = 0
    for block in blocks_of(ROOT / page):
        if block.language == "python" and block.title:
            (tmp_path / block.title).write_text(block.text)
            if block.title.startswith("test_"):
                found = len(re.findall(r"^(?:async )?def test_", block.text, re.MULTILINE))
                assert found, f"{block.id} has no test"
                tests += found
    command = [sys.executable, "-m", "pytest", "-q", "-p", "hypercorn.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{tests} passed" in done.stdout
