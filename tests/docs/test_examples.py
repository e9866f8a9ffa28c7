"""What the documentation shows is executed or parsed: no example may be wrong."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import http.client
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
import yaml
from tests.docs.pages import BLOCKS, ROOT, Block, blocks_of, calls_in, calls_of, of

import hypercorn.asyncio
import hypercorn.trio
from hypercorn._toml import read_toml
from hypercorn.cli.check import command as check_command
from hypercorn.cli.check.target import parse_target
from hypercorn.cli.parser import apply_flags, expand, make_parser
from hypercorn.cli.trace import show as trace_show
from hypercorn.config import Config
from hypercorn.supervisor import client

# Those of the recipes are run by test_recipes.py as a user runs them, the others by `python -m bench.applications`.
UNRUN = ("docs/recipes/", "docs/applications.md")
PYTHON_PAGES = sorted({block.page for block in of("python") if not block.page.startswith(UNRUN)})
LANGUAGES = {
    "python",
    "sh",
    "toml",
    "ini",
    "yaml",
    "text",
    "nginx",
    "haproxy",
    "caddyfile",
    "dockerfile",
    "json",
    "promql",
}


def shown(block: Block) -> str:
    return block.id


# -- Python


def ask(address: str, mode: str | None = None) -> None:
    """One request to a server that an example started: it must answer, and not by a failure."""
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    if scheme == "https":
        context = ssl._create_unverified_context()
        connection: Any = http.client.HTTPSConnection(host, int(port), timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        assert response.status < 500


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`serve()` of both libraries and `hypercorn.run` take a port of the system's, are asked once, and end. Gives who
    was asked."""
    asked: list[str] = []

    async def on_asyncio(app: Any, config: Config, *, shutdown_trigger: Any = None, mode: Any = None) -> None:
        config.bind = ["127.0.0.1:0"]
        async with hypercorn.asyncio.server(app, config, mode=mode) as running:
            await asyncio.to_thread(ask, running.addresses[0])
            asked.append(running.addresses[0])
            if shutdown_trigger is not None:
                await asyncio.wait_for(shutdown_trigger(), 20)

    async def on_trio(app: Any, config: Config, *, shutdown_trigger: Any = None, mode: Any = None) -> None:
        config.bind = ["127.0.0.1:0"]
        async with hypercorn.trio.server(app, config, mode=mode) as running:
            await trio.to_thread.run_sync(ask, running.addresses[0])
            asked.append(running.addresses[0])
            if shutdown_trigger is not None:
                await shutdown_trigger()

    def in_one_call(app: Any, *, host: str, port: int, **options: Any) -> None:
        assert host
        assert port
        asyncio.run(on_asyncio(app, Config(**options)))

    monkeypatch.setattr(hypercorn, "run", in_one_call)
    monkeypatch.setattr(hypercorn.asyncio, "serve", on_asyncio)
    monkeypatch.setattr(hypercorn.trio, "serve", on_trio)
    return asked


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a certificate in it, from which modules are imported and forgotten again."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == tmp_path:
            del sys.modules[name]


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_runs(page: str, folder: Path, serving: list[str]) -> None:
    """Each block of a page, in order; those with a title are files that the later ones import."""
    for block in blocks_of(ROOT / page):
        if block.language != "python":
            continue
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text)
        names: dict[str, Any] = {"__name__": "__main__"}
        before = len(serving)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(block.text, block.id, "exec"), names)
        serves = "hypercorn.run(" in block.text or ("serve(" in block.text and "def serve" not in block.text)
        if serves and "run(" in block.text:
            assert len(serving) > before, f"{block.id} did not serve"
        elif callable(names.get("app")):
            answers(names["app"])


def answers(app: Callable[..., Any]) -> None:
    """An application of an example answers a request, or takes a WebSocket."""

    async def main() -> None:
        config = Config.from_mapping(bind="127.0.0.1:0", error_log=None)
        async with hypercorn.asyncio.server(app, config) as running:
            await asyncio.to_thread(ask_either, running.addresses[0])

    asyncio.run(main())


def ask_either(address: str) -> None:
    """A request, and where the application takes none, a WebSocket handshake."""
    try:
        ask(address)
    except AssertionError:
        host, _, port = address.partition("://")[2].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        with contextlib.closing(connection):
            key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
            connection.request("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "websocket", **key})
            response = connection.getresponse()
            assert response.status in (101, 401, 403)


# -- commands


def take_flags(arguments: list[str]) -> Config:
    """The configuration that a command line makes. Its file is not read. `check`, `ctl` and the like have none."""
    if arguments and arguments[0] == "trace":
        trace_show.make_parser().parse_args(arguments[1:])
        return Config()
    if arguments and arguments[0] == "check":
        parse_target(check_command.make_parser().parse_args(arguments[1:]).url)
        return Config()
    if arguments and arguments[0] == "ctl":
        assert arguments[1] in client.COMMANDS
        client.make_parser().parse_args(["4711" if word.startswith("$(") else word for word in arguments[1:]])
    if arguments and arguments[0] in ("ctl", "top"):
        return Config()
    config = Config()
    parsed = make_parser().parse_args(expand(arguments))
    apply_flags(config, parsed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.validate()
    return config


@pytest.mark.parametrize("block", of("sh"), ids=shown)
def test_commands_parse(block: Block) -> None:
    """A shell can read it, and each call of `hypercorn` has flags that exist, with values that are taken."""
    checked = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    for arguments in calls_of(block.text):
        take_flags(arguments)


def test_calls_are_found() -> None:
    text = "FOO=1 hypercorn a:b && pip install x | hypercorn -b \\\n  :1 c:d # not: hypercorn e:f\n"
    assert calls_of(text) == [["a:b"], ["-b", ":1", "c:d"]]
    assert calls_of("pip install hypercorn\n") == []
    assert len([call for block in of("sh") for call in calls_of(block.text)]) > 30


@pytest.mark.parametrize("flag", ["--keep-alives 5", "--keep-alive-timeout soon", "--quic-bind [::]:443"])
def test_wrong_commands_are_found(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SystemExit, ValueError, Warning)):
        take_flags(shlex.split(flag))


# -- configuration


@pytest.mark.parametrize("block", of("toml"), ids=shown)
def test_toml_is_a_configuration(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "hypercorn.toml"
    path.write_text(block.text)
    values = read_toml(str(path))
    if block.title != "hypercorn.toml":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = Config.from_toml(path)
        config.validate()
    assert values


@pytest.mark.parametrize("block", of("ini"), ids=shown)
def test_units_start_what_exists(block: Block) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    assert unit.sections()
    started = unit.get("Service", "ExecStart", fallback="")
    for arguments in calls_in(shlex.split(started)):
        take_flags(arguments)


@pytest.mark.parametrize("block", of("yaml"), ids=shown)
def test_manifests_start_what_exists(block: Block) -> None:
    documents = list(yaml.safe_load_all(block.text))
    assert documents
    for arguments in commands_in(documents):
        take_flags(arguments)


def commands_in(value: Any) -> Iterator[list[str]]:
    """The arguments of `hypercorn` in the `command` and `args` of manifests."""
    if isinstance(value, dict):
        words = [*value.get("command", []), *value.get("args", [])]
        if words and str(words[0]).endswith("hypercorn"):
            yield [str(word) for word in words[1:]]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from commands_in(item)


@pytest.mark.parametrize("block", of("nginx"), ids=shown)
def test_nginx_takes_its_configuration(block: Block, folder: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    servers = block.text.replace("listen 443", f"listen unix:{folder}/socket")  # the test opens what it listens on
    text = f"pid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{servers}}}\n"
    (folder / "nginx.conf").write_text(text)
    command = [nginx, "-t", "-q", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_block_says_its_language() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES
