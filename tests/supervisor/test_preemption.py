"""`preemption_hook`: a notice stops the server in time, and an error of the hook ends nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import Command, environment
from tests.runtime.serving import config_for
from tests.supervisor.servers import WAIT, Server, children_of, kill
from tests.support.live import BACKENDS, eventually, hello, library, new_logger, run

from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.runtime import preemption
from hypercorn.runtime.preemption import PreemptionHook, PreemptionThread
from hypercorn.supervisor.preemption import seconds_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")

HOOKS = """
import asyncio, os, time

FILE = os.environ["NOTICE"]

def wait():
    print("the hook waits")
    while not os.path.exists(FILE):
        time.sleep(0.02)
    return eval(open(FILE).read())

async def wait_async():
    while not os.path.exists(FILE):
        await asyncio.sleep(0.02)
    return eval(open(FILE).read())

def wrong():
    raise KeyError("of the hook")

def leaves():
    os._exit(3)
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "cloud.py").write_text(HOOKS)
    return tmp_path


def variables(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(folder), environment()["PYTHONPATH"]])
    return {"PYTHONPATH": path, "NOTICE": str(folder / "notice")}


def give(folder: Path, value: object) -> None:
    """The notice."""
    (folder / "new").write_text(repr(value))
    (folder / "new").rename(folder / "notice")


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("hook", ["wait", "wait_async"])
def test_a_notice_stops_the_server(workers: str, hook: str, folder: Path) -> None:
    arguments = ("-w", workers, "--preemption-hook", f"cloud:{hook}")
    with Server(*arguments, **variables(folder)) as server:
        server.pid()
        if hook == "wait":
            server.await_said("the hook waits")  # what it prints is not lost
        give(folder, None)
        assert server.process.wait(WAIT) == 0
        server.await_said(r"Stopping.*\(preemption notice\)")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_open_requests_end_within_the_seconds_that_are_left(workers: str, folder: Path) -> None:
    """graceful_timeout is longer; readiness fails for half of the time at most, and then what is open is cut."""
    options = ("--graceful-timeout", "60", "--shutdown-delay", "60", "--ready-path", "/ready")
    with Server("-w", workers, "--preemption-hook", "cloud:wait", *options, **variables(folder)) as server:
        server.pid()
        with server.connect() as peer:
            assert peer.get("/ready").status == 200
        with server.connect() as open_request, server.connect() as probe:
            open_request.send(b"GET /slow/30 HTTP/1.1\r\nhost: a\r\n\r\n")
            before = time.monotonic()
            give(folder, 2.0)
            eventually(lambda: probe.get("/ready").status == 503, WAIT)
            assert time.monotonic() - before < 1.0
            assert probe.get().status == 200
        assert server.process.wait(WAIT) == 0
        assert 1.5 < time.monotonic() - before < 6
        server.await_said(r"preemption notice, 2 s left")
        if workers == "0":
            server.await_said(r"Cut 1 request: graceful_timeout \(1 s\)")


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ("cloud:wrong", "KeyError: 'of the hook'"),
        ("cloud:leaves", "its process ended without an answer"),
        ("cloud:nothing", "has no attribute 'nothing'"),
        ("no_such_module:f", "No module named 'no_such_module'"),
    ],
)
def test_a_hook_that_fails_ends_nothing(workers: str, hook: str, text: str, folder: Path) -> None:
    with Server("-w", workers, "--preemption-hook", hook, **variables(folder)) as server:
        server.pid()
        server.await_said(f"The preemption hook {hook} failed, trying again in 10 seconds")
        server.await_said(re.escape(text))
        server.pid()
        assert server.end() == 0


@pytest.mark.parametrize("workers", ["0", "1"])
def test_the_process_of_the_hook_ends_with_the_server(workers: str, folder: Path) -> None:
    """Also with one that is killed; a worker that was forked since does not keep it."""
    with Server("-w", workers, "--preemption-hook", "cloud:wait", **variables(folder)) as server:
        server.pid()
        server.await_said("the hook waits")
        (hook,) = [pid for pid in children_of(server.process.pid) if b"answer_for" in command_of(pid)]
        if workers == "1":
            (worker,) = server.workers() - {hook}
            kill(worker, signal.SIGKILL)
            eventually(lambda: len(server.workers() - {hook, worker}) == 1, WAIT)
        kill(server.process.pid, signal.SIGKILL)
        eventually(lambda: b"answer_for" not in command_of(hook), WAIT)


def command_of(pid: int) -> bytes:
    """The command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_reload_brings_another_hook(folder: Path) -> None:
    file = folder / "hypercorn.toml"
    file.write_text('workers = 1\npreemption_hook = "cloud:wrong"\n')
    with Server("-c", str(file), **variables(folder)) as server:
        server.pid()
        server.await_said("The preemption hook cloud:wrong failed")
        file.write_text('workers = 1\npreemption_hook = "cloud:wait"\n')
        server.process.send_signal(signal.SIGHUP)
        server.await_said("the hook waits")
        give(folder, 5)
        assert server.process.wait(WAIT) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_embedded_server_stops_too(backend: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(folder).items():
        monkeypatch.setenv(name, value)
    config, log = config_for(preemption_hook="cloud:wait")
    give(folder, 1)
    run(backend, library(backend).serve, hello, config)  # returns
    assert any("preemption notice, 1 s left" in text for text in log.texts())
    assert config.graceful_timeout == 3.0  # the caller's own


def test_it_is_called_again_ever_more_seldom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(preemption, "FIRST_WAIT_SECONDS", 0.01)
    logger, records = new_logger("errors")
    config = Config(preemption_hook="cloud:wrong")
    config.error_log = logger
    hook = PreemptionHook.of(config, config.log)
    assert hook is not None
    hook.wait = 0.01
    notices: list[Any] = []
    thread = PreemptionThread(hook, notices.append)
    eventually(lambda: len(records.texts()) >= 3, WAIT)
    hook.name = "cloud:wait"
    give(folder, 7)
    eventually(lambda: notices, WAIT)
    assert notices == [preemption.Notice(7.0)]
    assert hook.wait >= 0.08
    thread.close()


def test_what_a_hook_may_return() -> None:
    async def later() -> int:
        return 3

    assert [seconds_of(value) for value in (None, 0, 2.5, later())] == [None, 0.0, 2.5, 3.0]
    for wrong in (True, "5", -1, float("inf"), float("nan")):
        with pytest.raises((TypeError, ValueError), match="the hook returned"):
            seconds_of(wrong)
    with pytest.raises(ConfigError, match="expected module:function"):
        Config(preemption_hook="module")


class Metadata(BaseHTTPRequestHandler):
    """The instance metadata of AWS, version 2: a token for each question, 404 as long as there is no notice."""

    notice: bytes | None = None
    asked = 0

    def do_PUT(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "60"
        self.answer(200, b"token-1")

    def do_GET(self) -> None:
        assert self.path == "/latest/meta-data/spot/instance-action"
        assert self.headers["X-aws-ec2-metadata-token"] == "token-1"
        type(self).asked += 1
        self.answer(404 if self.notice is None else 200, self.notice or b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(name="metadata")
def _metadata() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    Metadata.notice, Metadata.asked = None, 0
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_example_for_aws(metadata: HTTPServer) -> None:
    where = {"METADATA": f"http://127.0.0.1:{metadata.server_port}", "POLL_SECONDS": "0.05"}
    arguments = ("-b", "127.0.0.1:0", "-w", "1", "--preemption-hook", "examples.preemption:spot_notice")
    with Command(*arguments, "examples.hello:app", **where) as command:
        command.address()
        eventually(lambda: Metadata.asked > 2, WAIT)
        end = datetime.now(timezone.utc) + timedelta(seconds=120)
        Metadata.notice = json.dumps({"action": "terminate", "time": end.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
        assert command.process.wait(WAIT) == 0
        eventually(lambda: any("preemption notice, 1" in line for line in list(command.errors)), WAIT)
