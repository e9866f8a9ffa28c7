"""`hypercorn ctl`, `hypercorn top`, and the Python API."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import ROOT, environment
from tests.supervisor.servers import WAIT, Server, children_of, is_alive
from tests.support.live import eventually
from tests.support.peer import Peer, request

from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.supervisor import Supervisor, SupervisorError
from hypercorn.supervisor.client import ControlError, ask, duration, find_socket
from hypercorn.supervisor.control import control_folder, control_path
from hypercorn.supervisor.top import Numbers, sparkline

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")


@pytest.fixture(name="path", scope="module")
def _path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("c") / "control")


@pytest.fixture(name="server", scope="module")
def _server(path: str) -> Iterator[Server]:
    with Server("-w", "2", file=path + ".file", HYPERCORN_CONTROL=path, HYPERCORN_IDLE_GRACE="1") as server:
        server.serving(2)
        yield server
        assert server.end() == 0
        assert not os.path.exists(path)


def hypercorn(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "hypercorn", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT,
        cwd=ROOT,
        env=environment(COLUMNS="120", **variables),
        check=False,
    )


def test_only_its_owner_may_ask(server: Server, path: str) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert ask(path, {"do": "status"})["pid"] == server.process.pid


def test_status(server: Server, path: str) -> None:
    status = ask(path, {"do": "status"})
    assert (status["state"], status["target"], status["ready"]) == ("serving", 2, 2)
    assert {one["pid"] for one in status["workers"]} == server.workers()
    assert all(one["memory"] > 1_000_000 for one in status["workers"]) or sys.platform != "linux"
    text = hypercorn("ctl", "--socket", path, "status").stdout
    assert "2 of 2 workers ready" in text
    assert "http://127.0.0.1:" in text


def test_connections(server: Server, path: str) -> None:
    with server.connect() as peer:
        pid = int(peer.get().body)
        found = {one["pid"]: one["value"] for one in ask(path, {"do": "connections"})}
        assert [one["protocol"] for one in found[pid]] == ["http1"]
        assert found[pid][0]["client"] == list(peer.sock.getsockname())
        assert hypercorn("ctl", "--socket", path, "connections", str(pid)).stdout.count("http1") == 1


def test_requests(server: Server, path: str) -> None:
    with server.connect() as peer:
        pid = int(peer.get().body)
        peer.send(request("/slow/5?secret"))

        def found() -> list[Any]:
            return [one for worker in ask(path, {"do": "requests"}) for one in worker["value"][0]["requests"]]

        assert eventually(lambda: len(found()) == 1)
        (one,) = found()
        assert (one["method"], one["path"], one["state"]) == ("GET", "/slow/5", "in the application")
        assert "tests/support/answers.py" in one["at"]
        assert one["client"] == list(peer.sock.getsockname())
        line = hypercorn("ctl", "--socket", path, "requests", str(pid)).stdout.splitlines()[1]
        shown = r"HTTP/1\.1 .* in the application  GET /slow/5  tests/support/answers\.py:\d+ in pause"
        assert re.fullmatch(rf"{pid} +[0-9a-f]+  \d\.\ds +{shown}", line), line
        assert peer.response().status == 200


def test_slow_requests(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with Server("-w", "2", "--slow-request", "200ms", HYPERCORN_CONTROL=path) as server:
        server.serving(2)
        with server.connect() as peer:
            pid = int(peer.get("/slow/0.3?secret").body)
            peer.get("/")
            text = hypercorn("ctl", "--socket", path, "slow").stdout
            assert re.search(rf"^{pid} .* 3\d\d\.\d ms .* 200 +HTTP/1\.1 .* GET /slow/0\.3$", text, re.MULTILINE), text
            assert len(text.splitlines()) == 2
            found = {one["pid"]: one["value"][0] for one in ask(path, {"do": "slow"})}
            assert found[pid]["threshold"] == 0.2
            assert found[pid]["requests"][0]["client"] == list(peer.sock.getsockname())
        assert server.end() == 0


def test_slow_requests_without_the_option(server: Server, path: str) -> None:
    server.serving(2)
    assert "the option slow_request is not set" in hypercorn("ctl", "--socket", path, "slow").stdout


def test_a_trace(server: Server, path: str, tmp_path: Path) -> None:
    server.serving(2)
    file = str(tmp_path / "trace")
    command = [sys.executable, "-m", "hypercorn", "ctl", "--socket", path, "trace", "--client", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--for", "300s", "--output", file], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
    ) as process:
        assert eventually(lambda: all(one["value"] for one in ask(path, {"do": "trace-fetch"})))
        for _ in range(4):
            with server.connect() as peer:
                peer.send(b"GET /traced HTTP/1.1\r\nhost: a\r\ncookie: id=7\r\n\r\n")
                assert peer.response().status == 200
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        said = process.stdout.read()
        assert "interrupted" in said, said
        assert process.wait(WAIT) == 0
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    shown = hypercorn("trace", file).stdout
    assert shown.count("> GET /traced HTTP/1.1") == 4
    assert shown.count("cookie: [redacted, 4 characters]") == 4
    assert shown.count("http GET /traced (HTTP/1.1)") == 4
    assert "ended: interrupted" in shown
    again = hypercorn("ctl", "--socket", path, "trace", "--client", "*", "--output", file)
    assert (again.returncode, "name a new file" in again.stderr) == (1, True)
    for wrong in ({"clients": "*", "seconds": 1}, {"clients": [], "seconds": "x"}, {"clients": [1], "seconds": 1}):
        with pytest.raises(ControlError, match="trace needs"):
            ask(path, {"do": "trace", **wrong})


def test_the_stack_of_a_worker_that_stands_still(server: Server, path: str) -> None:
    """The question is answered though its loop does not turn; one to the loop itself is given up."""
    with server.connect() as peer:
        peer.send(request("/block-until-there-is-a-file"))
        server.await_line(re.compile("inside"), server.output)
        try:
            assert "time.sleep" in hypercorn("ctl", "--socket", path, "stack").stdout
            for question in ("connections", "requests"):
                answers = ask(path, {"do": question})
                assert sorted("error" in one for one in answers) == [False, True]
            assert (
                "it does not answer; where it stands: hypercorn ctl stack"
                in hypercorn("ctl", "--socket", path, "requests").stdout
            )
        finally:
            Path(path + ".file").touch()
        assert peer.response().status == 200


@pytest.mark.parametrize(
    "question", ["status", "workers", "connections", "requests", "stack", "log-level info", "scale 2"]
)
def test_answers_as_json(server: Server, path: str, question: str) -> None:
    done = hypercorn("ctl", "--socket", path, "--json", *question.split())
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if question in ("workers", "connections", "requests", "stack"):
        assert {one["pid"] for one in answer} == server.workers()
    else:
        assert answer.get("target", answer.get("ok")) in (2, True)


def test_scale_reload_and_drain(server: Server, path: str) -> None:
    before = server.serving(2)
    done = hypercorn("ctl", "--socket", path, "--json", "scale", "+1")
    assert json.loads(done.stdout) == {"target": 3}
    server.serving(3)
    assert ask(path, {"do": "scale", "value": "2"}) == {"target": 2}
    server.serving(2)
    assert hypercorn("ctl", "--socket", path, "reload").stdout == "done\n"
    eventually(lambda: not any(map(is_alive, before)), WAIT)
    victim = min(server.serving(2))
    ask(path, {"do": "drain", "value": str(victim)})
    eventually(lambda: not is_alive(victim), WAIT)
    server.serving(2)


def test_log_level(server: Server, path: str) -> None:
    ask(path, {"do": "log-level", "value": "debug"})
    victim = min(server.serving(2))
    ask(path, {"do": "drain", "value": str(victim)})
    server.await_said("DEBUG.*Started worker")
    ask(path, {"do": "log-level", "value": "info"})


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"do": "dance"}, "there is no dance"),
        ({"do": "scale", "value": "many"}, "needs a number"),
        ({"do": "scale", "value": "0"}, "there has to be a worker"),
        ({"do": "drain", "value": "1"}, "no worker 1"),
        ({"do": "log-level", "value": "loud"}, "a level is one of"),
        ({}, "not a question"),
        ([], "not a question"),
    ],
)
def test_what_cannot_be_done(server: Server, path: str, question: Any, words: str) -> None:
    with pytest.raises(ControlError, match=words):
        ask(path, question)


def test_nonsense_ends_only_its_own_connection(server: Server, path: str) -> None:
    deep = b"[" * 60_000
    number = b'{"do": "scale", "value": "' + b"9" * 5000 + b'"}'
    odd = [b'{"do": "drain", "value": "\\u00b2"}', b'{"do": ["status"]}', b'{"do": "\\ud800"}', b'{"do": 1e999}']
    for data in (b"\xff\xfe\n", b"{\n", b"x" * 100_000, deep + b"\n", number + b"\n", *(one + b"\n" for one in odd)):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(WAIT)
            sock.connect(path)
            try:
                sock.sendall(data)
                sock.recv(1000)
            except ConnectionError:
                pass
    idle = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    for sock in idle:
        sock.connect(path)
    assert ask(path, {"do": "status"})["state"] == "serving"
    for sock in idle:
        sock.close()


def test_top(server: Server, path: str) -> None:
    pytest.importorskip("rich")
    text = hypercorn("top", "--once", "--socket", path).stdout
    assert "2/2 workers" in text
    for word in ("requests/s", "p50", "p99", "5xx", "memory", "HTTP/1", *map(str, server.workers())):
        assert word in text


@pytest.mark.parametrize("key", [b"q", b"Q", b"\x03", b"\x04"], ids=["q", "Q", "ctrl-C", "ctrl-D"])
def test_top_is_left_by_a_key(server: Server, path: str, key: bytes) -> None:
    """On a terminal, which is as it was afterwards."""
    pytest.importorskip("rich")
    termios = pytest.importorskip("termios")
    terminal, ours = os.openpty()
    try:
        before = termios.tcgetattr(ours)
        process = subprocess.Popen(
            [sys.executable, "-c", AS_A_TERMINAL, "top", "--socket", path],
            stdin=ours,
            stdout=ours,
            stderr=ours,
            cwd=ROOT,
            env=environment(TERM="xterm"),
            start_new_session=True,
        )
        seen = b""
        while b"q to leave" not in seen:
            seen += os.read(terminal, 65536)
        os.write(terminal, key)
        drain = threading.Thread(target=read_all, args=(terminal,), daemon=True)
        drain.start()
        assert process.wait(WAIT) == 0
        assert termios.tcgetattr(ours) == before
    finally:
        os.close(ours)
        drain.join(WAIT)
        os.close(terminal)


# The terminal becomes the one that Ctrl-C of it is sent to.
AS_A_TERMINAL = """
import fcntl, signal, sys, termios
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where tests run in the background
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from hypercorn.__main__ import main
sys.exit(main())
"""


def read_all(terminal: int) -> None:
    """Takes what a program writes, so that it never waits."""
    with suppress(OSError):
        while os.read(terminal, 65536):
            pass


def test_stop_waits_for_the_end(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with Server(HYPERCORN_CONTROL=path, HYPERCORN_GRACEFUL_TIMEOUT="10") as server:
        with server.connect() as peer:
            peer.get()
            done = hypercorn("ctl", "stop", "--socket", path)
        assert server.process.poll() == 0 or server.code(1) == 0
    assert (done.returncode, done.stdout) == (0, f"stopped: process {server.process.pid} has ended\n")
    assert any("Stopping a worker (hypercorn ctl)" in line for line in server.errors)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which process has a socket")
@pytest.mark.parametrize("where", ["RUNTIME_DIRECTORY", "HYPERCORN_CONTROL"])
def test_a_server_is_found_by_its_process_id(where: str, tmp_path: Path) -> None:
    """By somebody who does not have the variables of the service, as systemd gives them."""
    name = str(tmp_path) if where == "RUNTIME_DIRECTORY" else str(tmp_path / "some-name")
    variables = {"HYPERCORN_CONTROL": "auto", where: name}
    with Server("-b", f"unix:{tmp_path}/http", bind="", **variables) as server:
        server.await_said("Running on")
        pid = str(server.process.pid)
        text = hypercorn("ctl", "status", "--pid", pid).stdout
        assert f"process {pid}, serving" in text
        assert hypercorn("ctl", "stop", "--pid", pid).returncode == 0
        assert hypercorn("ctl", "status", "--pid", pid).returncode == 1


def test_servers_are_found(tmp_path: Path) -> None:
    variables = {"HYPERCORN_CONTROL": "auto", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert hypercorn("ctl", "status", **variables).returncode == 1
    with Server(**variables) as server:
        server.address()
        assert f"process {server.process.pid}" in hypercorn("ctl", "status", **variables).stdout
        folder = tmp_path / "hypercorn"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        server.process.kill()
        server.process.wait()
        assert len(list(folder.iterdir())) == 1
        with Server(**variables) as other:
            other.address()
            assert [one.name for one in folder.iterdir()] == [f"{other.process.pid}.sock"]  # the stale one is gone
            other.end()


def test_the_configuration_of_the_folder_names_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    file = tmp_path / "hypercorn.toml"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("own.sock")
        sock.listen()
        for text in ("", "workers = 2", "control = 3", "control = 'other.sock'", "control ="):
            file.write_text(text)
            with pytest.raises(ControlError, match="no server has its control socket"):
                find_socket(None, None)
        file.write_text("control = 'own.sock'")
        assert find_socket(None, None) == "own.sock"


@pytest.mark.parametrize("how", ["writable", "another's", "link"])
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Whoever owns the folder could answer `ctl` and `top` in the server's name."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    folder = tmp_path / "hypercorn"
    if how == "link":
        (tmp_path / "theirs").mkdir()
        folder.symlink_to(tmp_path / "theirs")
    else:
        folder.mkdir(0o700)
    if how == "writable":
        folder.chmod(0o777)
    elif how == "another's":
        monkeypatch.setattr(os, "geteuid", lambda: os.stat(folder).st_uid + 1)
    for pid in (None, 7):
        with pytest.raises(ControlError, match="belongs to somebody else"):
            find_socket(None, pid)


def test_a_server_of_somebody_else_is_refused(server: Server, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(socket, "SO_PEERCRED"):
        pytest.skip("the system does not tell who answers")
    monkeypatch.setattr("hypercorn.supervisor.control.peer_uid", lambda _: 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ControlError, match="another user's process"):
        ask(path, {"do": "status"})


def test_a_connection_with_tls_is_listed_once(authority: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    files = authority.issue("localhost")
    arguments = ("-w", "1", "--certfile", files["certfile"], "--keyfile", files["keyfile"])
    with Server(*arguments, HYPERCORN_CONTROL=path) as server:
        host, port = server.address()
        plain = socket.create_connection((host, port), WAIT)
        with authority.client().wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000)
            (worker,) = ask(path, {"do": "connections"})
            assert [one["protocol"] for one in worker["value"]] == ["http1"]
            assert worker["value"][0]["client"][1] == client.getsockname()[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_an_abstract_control_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"unix:@hypercorn-test-{os.getpid()}"
    with Server("-w", "1", HYPERCORN_CONTROL=name) as server:
        server.serving(1)
        done = hypercorn("ctl", "status", "--socket", name)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(server.process.pid) in done.stdout
        done = hypercorn("top", "--once", "--socket", name)
        assert (done.returncode, done.stderr) == (0, "")
        assert not Path(name).exists()
        assert not Path(name[5:]).exists()
        with Server("-w", "1", HYPERCORN_CONTROL=name) as other:
            other.await_said(f"There is no control socket: another process has the socket {name}")
            other.end()
        with monkeypatch.context() as patch:
            patch.setattr("hypercorn.supervisor.control.peer_uid", lambda _: 12345)
            patch.setattr(os, "geteuid", lambda: 54321)
            with pytest.raises(ControlError, match="another user's process"):
                ask(name, {"do": "status"})
        assert server.end() == 0
    done = hypercorn("ctl", "status", "--socket", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Connection refused" in done.stderr


@pytest.mark.parametrize("name", ["unix:", "unix:@", "unix:@" + "a" * 108])
def test_a_control_socket_that_cannot_be(name: str) -> None:
    done = hypercorn("ctl", "status", "--socket", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"hypercorn ctl: error: {name}: ")
    with pytest.raises(ConfigError, match=r"control = .*: expected auto, none, a path, unix:path or unix:@name"):
        Config(control=name)


def test_a_path_may_be_written_as_for_bind(tmp_path: Path) -> None:
    with Server("-w", "1", HYPERCORN_CONTROL=f"unix:{tmp_path}/control") as server:
        server.serving(1)
        for path in (f"{tmp_path}/control", f"unix:{tmp_path}/control"):
            assert ask(path, {"do": "status"})["pid"] == server.process.pid
        assert server.end() == 0
    assert not os.path.exists(tmp_path / "control")


def test_where_the_control_socket_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert control_path("none") is None
    assert control_path("/some/where") == "/some/where"
    assert control_folder({"RUNTIME_DIRECTORY": str(tmp_path)}) == tmp_path
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert control_path("auto") == str(tmp_path / "hypercorn" / f"{os.getpid()}.sock")
    (tmp_path / "hypercorn").chmod(0o777)
    with pytest.raises(PermissionError, match="others may write"):
        control_path("auto")


def test_numbers_of_top() -> None:
    numbers = Numbers()
    fields = {"requests_ended": 0, "duration_0": 0, "duration_3": 0}
    status = {"total": fields, "workers": [{"pid": 7, "cpu": 1.0, "counts": fields}]}
    numbers.take_status(status, 100.0)
    assert numbers.percentile(50) == "-"
    later = {"requests_ended": 100, "duration_0": 90, "duration_3": 10}
    new = {"pid": 8, "cpu": None, "counts": fields}  # a worker that was not there before
    numbers.take_status({"total": later, "workers": [{"pid": 7, "cpu": 2.5, "counts": later}, new]}, 102.0)
    assert numbers.rate("requests_ended") == 50
    assert numbers.workers[7].rate("requests_ended") == 50
    assert numbers.workers[7].rate("cpu_milliseconds") == 750
    assert numbers.workers[8].rate("requests_ended") == 0
    assert numbers.workers[7].percentile(99) == "9.5 ms"
    assert numbers.percentile(50) == "0.6 ms"
    assert numbers.percentile(99) == "9.5 ms"
    assert sparkline([0, 1, 2]) == " ▄█"
    assert [duration(seconds) for seconds in (1.25, 75, 3700, 90000)] == ["1.2s", "1m 15s", "1h 1m", "1d 1h"]


# -- the Python API


def supervised(**options: Any) -> Config:
    """A configuration for the tests' application."""
    return Config.from_mapping(
        application_path="tests.supervisor.apps:app", bind=["127.0.0.1:0"], control="none", idle_grace=0.0, **options
    )


def test_a_supervisor_in_a_program(capfd: pytest.CaptureFixture[str]) -> None:
    before = children_of(os.getpid())
    with Supervisor(supervised(workers=1)) as supervisor:
        host, _, port = supervisor.addresses[0].removeprefix("http://").rpartition(":")
        with Peer((host, int(port))) as peer:
            (worker,) = supervisor.workers
            assert int(peer.get().body) == worker
        supervisor.scale(2)
        eventually(lambda: len(supervisor.workers) == 2, WAIT)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: len(supervisor.workers) == 2 and worker not in supervisor.workers, WAIT)
        first = set(supervisor.workers)
        supervisor.reload()
        eventually(lambda: len(supervisor.workers) == 2 and first.isdisjoint(supervisor.workers), WAIT)
        assert supervisor.stop() == 0
    assert children_of(os.getpid()) == before


def test_a_supervisor_that_cannot_start(capfd: pytest.CaptureFixture[str]) -> None:
    config = supervised()
    config.application_path = "tests.supervisor.nowhere:app"
    with pytest.raises(SupervisorError) as caught:
        Supervisor(config).start()
    assert caught.value.code == 3
    assert "module not found" in capfd.readouterr().err
