"""`hypercorn module:app` from end to end: what it serves, says, and exits with."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from tests.process.command import ROOT, Command, complaints, environment
from tests.process.unprivileged import privileged_port, unprivileged
from tests.supervisor.servers import children_of
from tests.support.live import BACKENDS, eventually
from tests.support.peer import Peer, request

import hypercorn
from hypercorn import Config
from hypercorn.errors import ConfigWarning

APP = "tests.process.apps:app"
PORT = ("-b", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("examples.hello:app", b"Hello!"),
        ("examples.hello", b"Hello!"),
        ("asgi:examples.hello:app", b"Hello!"),
        ("examples/hello.py:app", b"Hello!"),
        ("tests.process.apps:make('made {here}')", b"made {here}"),
        ("tests.process.apps:wsgi", b"wsgi"),
        ("wsgi:tests.process.apps:wsgi", b"wsgi"),
    ],
)
def test_forms_of_an_application(path: str, body: bytes) -> None:
    with Command(*PORT, path) as command, command.connect() as peer:
        response = peer.get()
        assert response.status == 200
        assert body in response.body
        assert command.end() == 0


@pytest.mark.parametrize("worker_class", BACKENDS)
def test_worker_classes(worker_class: str) -> None:
    with Command(*PORT, "-k", worker_class, "tests.process.apps:loop_name") as command:
        with command.connect() as peer:
            assert peer.get().body == worker_class.encode()
        assert command.end() == 0
        assert command.complaint == ""


LOADED = """
import sys

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": " ".join(sys.modules).encode()})
"""
# What only some configurations, messages or errors need, and the standard library's modules for that.
NOT_NEEDED = """
    acme aioquic cryptography isal trio uvloop watchfiles
    bz2 difflib email.utils hashlib hmac lzma pickle platform shlex shutil
    hypercorn.cli.overview hypercorn.config.migration hypercorn.certificates hypercorn.asgi.wsgi
    hypercorn.runtime.management hypercorn.trio hypercorn.typing
""".split()  # noqa: SIM905


def test_nothing_is_loaded_that_serving_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "loaded.py").write_text(LOADED)
    before = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    with Command(*PORT, "-w", "0", "--lifespan", "off", "loaded:app", cwd=tmp_path) as command:
        with command.connect() as peer:
            loaded = set(peer.get().body.decode().split())
        assert command.end() == 0
    assert "hypercorn.asyncio.worker" in loaded
    assert sorted(loaded.intersection(NOT_NEEDED) - set(before.stdout.split())) == []


@pytest.mark.parametrize(("flags", "name"), [([], APP), (["--process-name", "shop"], "shop")])
@pytest.mark.parametrize(("workers", "roles"), [("0", ["server"]), ("1", ["supervisor", "worker"])])
def test_titles_of_processes(workers: str, roles: list[str], flags: list[str], name: str, tmp_path: Path) -> None:
    """By setproctitle, here one that keeps what it is told."""
    (tmp_path / "setproctitle.py").write_text(
        "def setproctitle(text):\n    with open('titles', 'a') as file:\n        file.write(text + '\\n')\n"
    )
    paths = environment()["PYTHONPATH"]
    with Command(
        "-w", workers, *flags, *PORT, APP, cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{paths}"
    ) as command:
        command.address()
        assert command.end() == 0
    assert (tmp_path / "titles").read_text().splitlines() == [f"hypercorn: {role} ({name})" for role in roles]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="ps reads what /proc has")
def test_titles_by_the_real_package() -> None:
    pytest.importorskip("setproctitle")
    with Command("-w", "1", "--process-name", "shop", *PORT, APP) as command:
        command.address()
        (worker,) = children_of(command.process.pid)
        for pid, role in ((command.process.pid, "supervisor"), (worker, "worker")):
            title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
            assert title == f"hypercorn: {role} (shop)"
        assert command.end() == 0


def test_a_name_without_the_package_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", {"setproctitle": None}.get)
    with pytest.warns(ConfigWarning, match=r"process_name has no effect without setproctitle: pip install"):
        Config(process_name="shop").validate()


def test_example_in_a_browser() -> None:
    with Command(*PORT, "examples.hello:app") as command, command.connect() as peer:
        response = peer.get("/", "User-Agent: <script>alert(1)</script>")
        assert response.header("content-type") == "text/html; charset=utf-8"
        assert b"&lt;script&gt;" in response.body
        assert b"<script>" not in response.body
        assert peer.get("/other").status == 404
        assert peer.get("/", method="HEAD").status == 200


def test_without_a_port_it_is_8000() -> None:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 8000))
        except OSError:
            pytest.skip("another program has port 8000")
    with Command("examples.hello:app") as command:
        assert command.address() == ("127.0.0.1", 8000)


def test_banner_names_every_address(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Command(*PORT, "-b", "127.0.0.1:0", "-b", f"unix:{path}", APP) as command:
        command.await_line(re.compile(re.escape(f"Running on http://unix:{path} ")))
        ports = [match[1] for line in command.errors if (match := re.search(r"http://127.0.0.1:(\d+) ", line))]
        assert len(set(ports)) == 2
        assert "0" not in ports


@pytest.mark.parametrize("form", ["toml", "file", "python", "environment"])
def test_configuration(form: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('bind = "127.0.0.1:0"\ninclude_server_header = false\n')
    (tmp_path / "a.py").write_text("bind = ['127.0.0.1:0']\ninclude_server_header = False\nimport os\n")
    arguments = {
        "toml": ["-c", str(tmp_path / "a.toml")],
        "file": ["--config", f"file:{tmp_path / 'a.py'}"],
        "python": ["-c", "python:tests.process.settings"],
        "environment": [],
    }[form]
    variables = {"HYPERCORN_CONFIG": str(tmp_path / "a.toml")} if form == "environment" else {}
    with Command(*arguments, APP, **variables) as command, command.connect() as peer:
        assert command.address()[1] != 8000
        assert peer.get().header("server") is None


def test_options_from_the_environment() -> None:
    variables = {"HYPERCORN_BIND": "127.0.0.1:0", "HYPERCORN_INCLUDE_DATE_HEADER": "false"}
    with Command(APP, **variables) as command, command.connect() as peer:
        assert peer.get().header("date") is None


def test_application_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from tests.process.apps import make\napp = make('mine')\n")
    with Command(*PORT, "mine:app", cwd=tmp_path) as command, command.connect() as peer:
        assert peer.get().body == b"mine"


def test_access_log() -> None:
    with Command(*PORT, "--access-log", "-", "--access-log-format", "%(r)s %(s)s", APP) as command:
        with command.connect() as peer:
            peer.get("/x%0ay")
            command.await_line(re.compile(r"GET /x.*y HTTP/1\.1 200"), command.output)
        assert command.end() == 0


def test_pid_file(tmp_path: Path) -> None:
    """F-37: a stale one is replaced, a live process's is respected, and one that cannot be written is an error."""
    path = tmp_path / "pid"
    path.write_text("999999999")
    with Command(*PORT, "-p", str(path), APP) as command:
        command.address()
        assert int(path.read_text()) == command.process.pid
        done = run(*PORT, "-p", str(path), APP)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert f"names process {command.process.pid}, which is running" in done.stderr
        assert command.end() == 0
    assert not path.exists()
    done = run(*PORT, "-p", str(tmp_path / "nowhere" / "pid"), APP)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "cannot be written" in done.stderr


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no symbolic links to refuse")
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_pid_file_is_no_link(tmp_path: Path, workers: str) -> None:
    """Whoever may write to its folder could have root overwrite any file."""
    for target in ("precious", "missing"):
        (tmp_path / "precious").write_text("precious")
        link = tmp_path / f"to-{target}"
        link.symlink_to(tmp_path / target)
        done = run(*PORT, "-w", workers, "-p", str(link), APP)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert "symbolic link" in done.stderr
        assert (tmp_path / "precious").read_text() == "precious"
        assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_closed_standard_streams(workers: str, method: str, tmp_path: Path) -> None:
    """Descriptors 0 to 2 are /dev/null, in workers too: a socket or a log file there would get what libraries print."""
    log, pid = tmp_path / "log", tmp_path / "pid"
    options = (*PORT, "-w", workers, "--error-log", str(log), "-p", str(pid), "--start-method", method)
    close = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    process = subprocess.Popen([*close, sys.executable, "-m", "hypercorn", *options, APP], cwd=ROOT, env=environment())
    try:
        found = eventually(lambda: log.exists() and re.search(r"Running on http://(.*?):(\d+) ", log.read_text()))
        with Peer((found[1], int(found[2]))) as peer:
            assert peer.get().body == b"ok"
        eventually(lambda: len(children_of(process.pid)) == int(workers))
        for one in (process.pid, *children_of(process.pid)):
            assert {os.readlink(f"/proc/{one}/fd/{number}") for number in range(3)} == {"/dev/null"}
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()


def run(*arguments: str, prefix: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """The command to its end, which comes by itself."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "hypercorn", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=ROOT,
        env=environment(**variables),
    )


def test_version() -> None:
    done = run("--version", "-k", "uvloop")
    assert done.returncode == 0
    assert done.stdout.startswith(f"hypercorn {hypercorn.__version__} ({hypercorn.build()} build")
    assert f"Python {'.'.join(map(str, sys.version_info[:3]))}" in done.stdout
    assert "uvloop" in done.stdout
    assert done.stderr == ""


def test_pure_python_on_demand() -> None:
    assert "(pure build)" in run("--version", HYPERCORN_PURE_PYTHON="1").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere:app"], 3, ["nowhere", "module not found"]),
        (["examples.nowhere:app"], 3, ["examples.nowhere", "module not found"]),
        (["tests.process.apps:missing"], 3, ["tests.process.apps:missing", "not found"]),
        (["tests.process.apps:not_an_app"], 3, ["not_an_app", "not an application"]),
        (["tests.process.apps:failing"], 3, ["startup", "no database"]),
        (["--blacklog", "5", APP], 2, ["--blacklog", "--backlog"]),
        (["--backlog", "many", APP], 2, ["backlog", "many", "--backlog"]),
        (["-k", "gevent", APP], 2, ["gevent"]),
        (["-c", "nowhere.toml", APP], 2, ["nowhere.toml"]),
        (["-c", "tests/process/broken.toml", APP], 2, ["broken.toml", "line 2"]),
        (["-b", "127.0.0.1:port", APP], 2, ["127.0.0.1:port"]),
        (["-b", "192.0.2.1:0", APP], 3, ["192.0.2.1:0", "no interface with that address"]),
        (["-b", "nowhere.invalid:0", APP], 3, ["nowhere.invalid", "unknown host name"]),
        (["-b", "unix:/nowhere/at/all", APP], 3, ["unix:/nowhere/at/all", "No such file"]),
        (["-b", "unix:/proc/self/mem", APP], 3, ["/proc/self/mem", "it is not a socket"]),
        (["--certfile", "nowhere.pem", "--keyfile", "nowhere.pem", APP], 2, ["certfile", "nowhere.pem"]),
        ([], 2, ["no application"]),
    ],
)
def test_one_line_says_what_is_wrong(arguments: list[str], code: int, words: list[str]) -> None:
    done = run(*PORT, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    found = complaints(done.stderr.splitlines())
    assert len(found) == 1, done.stderr
    for word in words:
        assert word in found[0]


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-b", "127.0.0.1:{port}"], ["cannot bind 127.0.0.1:{port}", "permission denied", "ports below 1024"]),
        (["-b", "unix:{folder}/socket"], ["cannot bind unix:{folder}/socket", "permission denied"]),
        (["-b", "127.0.0.1:0", "-p", "{folder}/pid"], ["{folder}/pid", "cannot be written"]),
        (["-b", "127.0.0.1:0", "--error-log", "{folder}/log"], ["{folder}/log", "Permission denied"]),
        (["-b", "127.0.0.1:0", "--access-log", "{folder}/log"], ["{folder}/log", "Permission denied"]),
    ],
    ids=["port", "unix", "pid", "error log", "access log"],
)
def test_what_is_not_permitted(tmp_path: Path, workers: str, arguments: list[str], words: list[str]) -> None:
    """F-28: a privileged port, and folders that are not this user's."""
    prefix = unprivileged()
    values = {"folder": tmp_path, "port": privileged_port()}
    tmp_path.chmod(0o555)
    done = run("-w", workers, *(text.format(**values) for text in arguments), APP, prefix=prefix)
    assert done.returncode == 3, done.stderr
    found = complaints(done.stderr.splitlines())
    assert len(found) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word.format(**values) in found[0]


def test_a_wrong_value_names_its_source(tmp_path: Path) -> None:
    done = run(APP, HYPERCORN_BACKLOG="many")
    assert done.returncode == 2
    assert "HYPERCORN_BACKLOG" in done.stderr
    file = tmp_path / "a.toml"
    file.write_text("backlog = 'many'\n")
    done = run("-c", str(file), APP)
    assert done.returncode == 2
    assert str(file) in done.stderr


def test_an_unknown_key_warns_and_is_let_through(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('bind = "127.0.0.1:0"\nblacklog = 5\n')
    with Command("-c", str(file), APP) as command:
        command.address()
        assert command.end() == 0
        assert "blacklog" in command.complaint
        assert "backlog" in command.complaint.replace("blacklog", "")


@pytest.mark.parametrize("worker_class", BACKENDS)
def test_a_port_in_use(worker_class: str) -> None:
    """F-28."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("-k", worker_class, "-b", address, APP)
    assert done.returncode == 3
    assert f"cannot bind {address}: address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_import_that_fails_shows_where() -> None:
    done = run(*PORT, "tests.process.broken:app")
    assert done.returncode == 3
    assert "broken on purpose" in done.stderr
    assert "hypercorn/" not in done.stderr  # the application's own frames alone


@pytest.mark.parametrize("worker_class", BACKENDS)
def test_failing_lifespans(worker_class: str) -> None:
    done = run(*PORT, "-k", worker_class, "tests.process.apps:failing")
    assert done.returncode == 3
    assert "Lifespan failure in startup. 'no database'" in done.stderr
    assert "Traceback" not in done.stderr
    with Command(*PORT, "-k", worker_class, "tests.process.apps:failing_shutdown") as command:
        command.address()
        assert command.end(signal.SIGTERM) == 3
        assert "Lifespan failure in shutdown. 'still busy'" in command.complaint


@pytest.mark.parametrize("worker_class", BACKENDS)
def test_a_failed_handshake_is_only_for_debugging(worker_class: str, tmp_path: Path) -> None:
    """Under the command line it is logged at DEBUG."""
    trustme = pytest.importorskip("trustme")
    issued = trustme.CA().issue_cert("localhost")
    files = []
    for name, blob in (("key", issued.private_key_pem), ("cert", issued.cert_chain_pems[0])):
        blob.write_to_path(str(tmp_path / name))
        files += [f"--{name}file", str(tmp_path / name)]
    for level, lines in (("info", 0), ("debug", 1)):
        with Command(*PORT, "-k", worker_class, *files, "--log-level", level, APP) as command:
            with command.connect() as peer:
                peer.send(request())
                try:
                    peer.rest()
                except ConnectionError:
                    pass
            with pytest.raises(ssl.SSLCertVerificationError):
                command.connect(tls=ssl.create_default_context())
            assert command.end() == 0
            failures = [line for line in command.errors if "handshake" in line]
            assert len(failures) >= lines
            assert lines or not failures
            assert "Traceback" not in command.complaint


@pytest.mark.parametrize("name", ["python:options", "python:options.config"])
def test_a_configuration_module_of_the_working_directory(name: str, tmp_path: Path) -> None:
    """The installed command, unlike `python -m`, has a path without that folder."""
    (tmp_path / "options.py").write_text(
        "from hypercorn.config import Config\nbind = ['127.0.0.1:0']\nconfig = Config.from_mapping(bind=bind)\n"
    )
    (tmp_path / "app.py").write_text("async def app(scope, receive, send): ...\n")
    script = "import sys; sys.path.pop(0); from hypercorn.__main__ import main; sys.exit(main())"
    with Command("-c", name, "app:app", cwd=tmp_path, program=("-c", script)) as command:
        command.address()
        assert command.end() == 0
