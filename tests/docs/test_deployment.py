"""Units, manifests and recipes of the deployment pages: their own tools take them, and their times fit each other."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.pages import BLOCKS, Block, of
from tests.docs.test_examples import commands_in, shown, take_flags
from tests.process.command import Command
from tests.support.peer import Peer

from hypercorn.cli.parser import apply_flags, make_parser
from hypercorn.config import Config

ANALYZE = shutil.which("systemd-analyze")
UNITS = [block for block in of("ini") if block.title.startswith("/etc/systemd")]
SERVICES = [block for block in UNITS if block.title.endswith(".service")]
SOCKETS = [block for block in UNITS if block.title.endswith(".socket")]


def unit_of(block: Block) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    return unit


def ending_seconds(config: Config) -> float:
    """How long a server with this configuration takes to end, at the most."""
    times = (config.shutdown_delay, config.graceful_timeout, config.shutdown_timeout)
    assert None not in times
    return sum(times) + 4.0  # and for threads that the application has left running


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed (Debian: systemd)")
@pytest.mark.parametrize("block", UNITS, ids=shown)
def test_systemd_takes_the_units(block: Block, tmp_path: Path) -> None:
    texts = {Path(SERVICES[-1].title).name: SERVICES[-1].text, Path(block.title).name: block.text}
    program = unit_of(SERVICES[0]).get("Service", "ExecStart").split()[0]
    for name, text in texts.items():
        (tmp_path / name).write_text(text.replace(program, sys.executable).replace("=/srv/app\n", f"={tmp_path}\n"))
    version = version_of_systemd()
    if "notify-reload" in block.text and version < 253:
        pytest.skip(f"systemd {version} has no Type=notify-reload")
    path = tmp_path / Path(block.title).name
    assert verify(path) == []


def version_of_systemd() -> int:
    said = subprocess.run([str(ANALYZE), "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"systemd (\d+)", said)[0])


def verify(path: Path) -> list[str]:
    """What systemd finds wrong with a unit; units of the system are not looked at."""
    checked = subprocess.run([str(ANALYZE), "verify", path], capture_output=True, text=True, check=False)
    return [
        line for line in checked.stderr.splitlines() if f"/{path.stem}." in line or line.startswith(f"{path.stem}.")
    ]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed (Debian: systemd)")
@pytest.mark.parametrize(
    ("was", "becomes"), [("Type=notify", "Type=notified"), ("/bin/kill", "kil"), ("WatchdogSec=30", "WatchdogSec=soon")]
)
def test_systemd_finds_what_is_wrong(was: str, becomes: str, tmp_path: Path) -> None:
    text = SERVICES[-1].text
    assert was in text
    path = tmp_path / "wrong.service"
    program = unit_of(SERVICES[-1]).get("Service", "ExecStart").split()[0]
    path.write_text(text.replace(program, sys.executable).replace(was, becomes))
    assert verify(path)


@pytest.mark.parametrize("block", SERVICES, ids=shown)
def test_services_have_time_to_stop(block: Block) -> None:
    service = unit_of(block)["Service"]
    config = take_flags([word for word in shlex.split(service["ExecStart"])[1:] if word != "$MAINPID"])
    assert ending_seconds(config) < float(service["TimeoutStopSec"])
    assert service["Type"] == "notify-reload" or "-HUP $MAINPID" in service["ExecReload"]
    assert service["RuntimeDirectory"]


@pytest.mark.parametrize("block", SOCKETS, ids=shown)
def test_socket_units_do_not_listen_twice(block: Block) -> None:
    """[::] takes IPv4 too, where it is not told otherwise."""
    ports = re.findall(r"^ListenStream=(?:.*:)?(\d+)$", block.text, re.MULTILINE)
    assert ports
    assert len(ports) == len(set(ports)) or "BindIPv6Only=ipv6-only" in block.text


def manifests() -> list[Any]:
    found = []
    for block in of("yaml"):
        found += [pytest.param(one, id=block.id) for one in yaml.safe_load_all(block.text) if isinstance(one, dict)]
    return found


@pytest.mark.parametrize("manifest", [one for one in manifests() if one.values[0].get("kind") == "Deployment"])
def test_pods_have_time_to_stop(manifest: dict[str, Any]) -> None:
    pod = manifest["spec"]["template"]["spec"]
    (arguments,) = commands_in(pod)
    config = take_flags(arguments)
    assert ending_seconds(config) < pod["terminationGracePeriodSeconds"]
    (container,) = pod["containers"]
    startup, ready, live = (container[f"{name}Probe"] for name in ("startup", "readiness", "liveness"))
    assert config.startup_timeout is not None
    assert startup["periodSeconds"] * startup["failureThreshold"] >= config.startup_timeout
    assert ready["httpGet"]["path"] != live["httpGet"]["path"]


@pytest.mark.parametrize("manifest", [one for one in manifests() if "services" in one.values[0]])
def test_compose_services_have_time_to_stop(manifest: dict[str, Any]) -> None:
    served = [one for one in manifest["services"].values() if "hypercorn" in str(one.get("command", ""))]
    assert served
    for service in served:
        config = take_flags(service["command"][1:])
        assert ending_seconds(config) < float(service["stop_grace_period"].removesuffix("s"))


COMPOSE_FILES = [block for block in of("yaml") if block.title == "compose.yaml"]


def check_compose(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What the schema of the Compose specification says of a file."""
    path = tmp_path / "compose.yaml"
    path.write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("block", COMPOSE_FILES, ids=shown)
def test_compose_files_fit_their_schema(block: Block, tmp_path: Path) -> None:
    checked = check_compose(block.text, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    wrong = check_compose(block.text.replace("restart: unless-stopped", "restarts: unless-stopped"), tmp_path)
    assert wrong.returncode != 0
    assert "restarts" in wrong.stdout


@pytest.mark.parametrize("page", ["docs/guide/docker.md", "docs/guide/platforms.md"])
def test_dockerfiles_run_what_is_there(page: str) -> None:
    """Each instruction is one of Docker's, the command is a list, and the server is its first process."""
    (text,) = [block.text for block in BLOCKS if block.page == page and block.title == "Dockerfile"]
    words = [line.split()[0] for line in text.splitlines() if line and not line.startswith(" ")]
    assert words[0] == "FROM"
    assert set(words) <= {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "CMD"}
    command = json.loads(text.partition("\nCMD ")[2])
    arguments = shlex.split(command[2].removeprefix("exec ")) if command[0] == "sh" else command
    assert arguments[0] == "hypercorn"
    assert command[0] == "hypercorn" or command[2].startswith("exec ")
    take_flags([word.replace("$PORT", "8080") for word in arguments[1:]])


# -- the proxies of the compose files

COMPOSE = [one for one in manifests() if "configs" in one.values[0]]
CADDY = shutil.which("caddy")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def content_of(name: str) -> str:
    """The configuration of that name, with variables as the proxy gets them."""
    (found,) = [one.values[0]["configs"][name]["content"] for one in COMPOSE if name in one.values[0]["configs"]]
    return str(found).replace("$$", "$")


@pytest.mark.skipif(CADDY is None, reason="caddy is not installed")
def test_caddy_takes_the_file_of_compose(tmp_path: Path) -> None:
    path = tmp_path / "Caddyfile"
    path.write_text(content_of("caddyfile"))
    command = [str(CADDY), "adapt", "--config", path, "--validate"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_takes_the_file_of_compose(tmp_path: Path) -> None:
    text = content_of("nginx").replace("listen 80;", f"listen unix:{tmp_path}/listen;")
    path = tmp_path / "nginx.conf"
    path.write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off;\n{text}}}\n")
    command = [str(NGINX), "-t", "-q", "-p", str(tmp_path), "-c", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_proxies_of_compose_are_those_of_the_guide() -> None:
    """That guide's text is served for real, with forged fields: tests/operations/test_real_proxies.py."""
    guide = {block.language: block.text for block in BLOCKS if block.page == "docs/guide/proxies.md"}
    fields = re.compile(r"(?:header_up|proxy_set_header) .*")
    assert fields.findall(content_of("caddyfile")) == fields.findall(guide["caddyfile"])
    assert fields.findall(content_of("nginx")) == fields.findall(guide["nginx"])
    ours, theirs = yaml.safe_load(content_of("routes"))["http"], yaml.safe_load(guide["yaml"])["http"]
    assert ours["middlewares"] == theirs["middlewares"]
    assert ours["routers"]["app"]["middlewares"] == theirs["routers"]["app"]["middlewares"]


# -- platforms

PLATFORMS = {block.title: block.text for block in BLOCKS if block.page == "docs/guide/platforms.md"}


def platform_commands() -> dict[str, str]:
    """The line that each platform gives to a shell."""
    cloud_run = json.loads(PLATFORMS["Dockerfile"].partition("\nCMD ")[2])
    assert cloud_run[:2] == ["sh", "-c"]
    fly = re.findall(r'^app = "(hypercorn .*)"$', PLATFORMS["fly.toml"], re.MULTILINE)
    return {
        "Heroku": PLATFORMS["Procfile"].partition("web: ")[2].strip(),
        "Fly": fly[0].replace("8080", "$PORT"),
        "Cloud Run": cloud_run[2],
    }


SECONDS_TO_END = {"Heroku": 30, "Fly": 60, "Cloud Run": 10}


@pytest.mark.live
@pytest.mark.parametrize("platform", SECONDS_TO_END)
def test_the_commands_of_platforms_serve(platform: str, tmp_path: Path) -> None:
    (tmp_path / "hypercorn.toml").write_text(PLATFORMS["hypercorn.toml"])
    (tmp_path / "app.py").write_text(
        "async def app(scope, receive, send):\n"
        "    text = f\"{scope['scheme']} {scope['client'][0]}\".encode()\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': text})\n"
    )
    (tmp_path / "hypercorn").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hypercorn "$@"\n')
    (tmp_path / "hypercorn").chmod(0o755)
    line = platform_commands()[platform]
    line = line if line.startswith("exec") else f"exec {line}"
    variables = {"PORT": "0", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    prefix = ("sh", "-c", f"{line} #")  # what Command adds is a comment
    with Command(cwd=tmp_path, prefix=prefix, **variables) as command:
        port = command.address()[1]
        with Peer(("127.0.0.1", port)) as peer:
            assert peer.get("/health").status == 200
        assert command.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("platform", SECONDS_TO_END)
def test_platforms_give_enough_time(platform: str, tmp_path: Path) -> None:
    words = shlex.split(platform_commands()[platform].removeprefix("exec ").replace("$PORT", "8080"))
    path = tmp_path / "hypercorn.toml"
    path.write_text(PLATFORMS["hypercorn.toml"])
    config = Config.from_toml(path)
    flags = make_parser().parse_args([word.replace("${WEB_CONCURRENCY:-1}", "1") for word in words[1:]])
    apply_flags(config, flags)
    assert ending_seconds(config) < SECONDS_TO_END[platform]


def test_there_are_pages() -> None:
    assert len(SERVICES) >= 2
    assert len(SOCKETS) >= 2
    assert len(COMPOSE) == 3
