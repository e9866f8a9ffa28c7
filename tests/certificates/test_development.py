"""`dev_tls`: an authority made once, a certificate of this machine's names, on every loop, by TCP and by QUIC."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from cryptography import x509
from examples.hello import app as hello_app
from tests.process.command import Command, environment
from tests.support.browser import Browser
from tests.support.live import DRIVERS, Live, eventually, hello
from tests.support.peer import Peer

from hypercorn.certificates import development, folders, issuing
from hypercorn.config import Config
from hypercorn.errors import ConfigError

Serve = Callable[..., Live]
NAMES = ("localhost", "127.0.0.1", "::1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the authority is, in a home of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "hypercorn" / "dev-tls"


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def client_of(folder: Path, *protocols: str) -> ssl.SSLContext:
    """A client that trusts the authority, and is as strict as browsers are."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(list(protocols))
    return context


def test_browsers_can_use_it(serve_app: Serve, folder: Path) -> None:
    live = serve_app(hello, dev_tls=True)
    assert live.url.startswith("https://")
    for name in (*NAMES, socket.gethostname().lower()):
        with Peer(("127.0.0.1", live.port)) as peer:
            peer.sock = client_of(folder, "h2", "http/1.1").wrap_socket(peer.sock, server_hostname=name)
            assert peer.sock.selected_alpn_protocol() == "h2"  # type: ignore[attr-defined]
    with live.connect(tls=client_of(folder)) as peer:
        assert peer.get().body == b"hello"
    lines = [text for text in live.log.texts() if "ca.pem" in text]
    assert len(lines) == 1, lines
    assert str(folder / "ca.pem") in lines[0]
    assert "\n" not in lines[0]
    assert live.errors() == []


def test_http3(serve_app: Serve, folder: Path) -> None:
    pytest.importorskip("aioquic")
    from tests.support.http3 import LiveClient

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    live = serve_app(hello, dev_tls=True, http3=True, bind=[f"127.0.0.1:{port}"])
    with LiveClient(
        live.port, server_name="localhost", cafile=str(folder / "ca.pem"), verify_mode=ssl.CERT_REQUIRED
    ) as client:
        assert client.ask().body == b"hello"
    assert live.errors() == []


def test_only_the_user_reads_the_keys(folder: Path) -> None:
    development.prepare()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "localhost.pem": 0o600, "lock": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    development.prepare()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert issuing.names_of(read(folder / "localhost.pem")) >= set(NAMES)


def changed(folder: Path) -> tuple[bool, bool]:
    """Whether the authority and the certificate are others once they have been seen to."""
    before = [read(folder / name).serial_number for name in ("ca.pem", "localhost.pem")]
    development.prepare()
    after = [read(folder / name).serial_number for name in ("ca.pem", "localhost.pem")]
    return before[0] != after[0], before[1] != after[1]


def test_made_once(folder: Path) -> None:
    development.prepare()
    assert changed(folder) == (False, False)


def test_made_anew_when_the_machine_has_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    development.prepare()
    monkeypatch.setattr(socket, "gethostname", lambda: "Other.example")
    assert changed(folder) == (False, True)
    assert issuing.names_of(read(folder / "localhost.pem")) == {*NAMES, "other.example", "other.local"}


def test_a_name_that_no_certificate_can_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("müller", "a..b", "x" * 64, ""):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        assert set(development.machine_names()) <= {*NAMES, "a.local"}


def test_made_anew_near_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    development.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(development, "RENEWED_AT", 0.9999)
        assert changed(folder) == (False, True)
    with monkeypatch.context() as patch:
        patch.setattr(development, "CERTIFICATE_DAYS", 3651)  # longer than the authority's
        assert changed(folder) == (True, True)


@pytest.mark.parametrize("name", ["ca.key", "ca.pem", "localhost.pem"])
@pytest.mark.parametrize(
    "content", [None, b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"]
)
def test_files_that_are_missing_or_broken_are_made_anew(folder: Path, name: str, content: bytes | None) -> None:
    development.prepare()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    development.prepare()
    Config(dev_tls=True).create_ssl_context()
    read(folder / "localhost.pem").verify_directly_issued_by(read(folder / "ca.pem"))
    assert read(folder / "localhost.pem").not_valid_after_utc > datetime.now(timezone.utc)


def test_another_authoritys_certificate_is_made_anew(folder: Path) -> None:
    development.prepare()
    other = (folder / "localhost.pem").read_bytes()
    for name in ("ca.pem", "ca.key"):
        (folder / name).unlink()
    development.prepare()
    (folder / "localhost.pem").write_bytes(other)
    assert changed(folder) == (False, True)


def test_a_server_serves_the_new_one(serve_app: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That another server, or its own next start, has made."""
    monkeypatch.setattr("hypercorn.net.tls.CHECK_SECONDS", 0.0)
    live = serve_app(hello, dev_tls=True)
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    development.prepare()
    with Peer(("127.0.0.1", live.port)) as peer:
        peer.sock = client_of(folder).wrap_socket(peer.sock, server_hostname="renamed")
    assert live.errors() == []


def test_many_start_at_once(folder: Path) -> None:
    code = (
        "from hypercorn.certificates.development import authority_path, certificate_path, prepare; prepare();"
        "print(hash(authority_path().read_bytes() + certificate_path().read_bytes()))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            env=environment(XDG_DATA_HOME=str(folder.parents[1]), PYTHONHASHSEED="1"),
        )
        for _ in range(6)
    ]
    seen = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0] * 6
    assert len(seen) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["ca.key", "ca.pem", "localhost.pem", "lock"]


def test_a_lock_that_is_not_given_back(tmp_path: Path) -> None:
    with (
        folders.locked(tmp_path / "lock"),
        pytest.raises(TimeoutError, match="has held the lock"),
        folders.locked(tmp_path / "lock", 0.1),
    ):
        pass
    with folders.locked(tmp_path / "lock", 0.1):
        pass


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.write(tmp_path / "a", b"before")

    def fail(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        folders.write(tmp_path / "a", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"


# -- what cannot be


@pytest.mark.parametrize("other", ["certfile", "keyfile", "keyfile_password"])
def test_it_excludes_files_of_a_certificate(other: str) -> None:
    with pytest.raises(ConfigError, match=rf"dev_tls \(Config\) and {other} \(Config\) exclude each other: leave one"):
        Config(dev_tls=True, **{other: "a.pem"}).validate()  # type: ignore[misc]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError, match=r"dev_tls \(Config\) needs cryptography: pip install 'hypercorn\[tls\]'"):
        Config(dev_tls=True).validate()


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cannot be used: Not a directory; set XDG_DATA_HOME to a folder of your own"):
        Config(dev_tls=True).create_ssl_context()


def test_another_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    development.prepare()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="is another user's, who could read the keys"):
        development.prepare()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(ConfigError, match="this user has no home"):
        development.prepare()
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~", "/home/a"))
    assert folders.data_folder() == Path("/home/a/.local/share/hypercorn")


@pytest.mark.parametrize(
    ("platform", "program"), [("linux", "certutil -d sql:"), ("darwin", "security "), ("win32", "certutil -user")]
)
def test_the_command_that_trusts_it(platform: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(development.sys, "platform", platform)
    monkeypatch.setattr(development, "authority_path", lambda: Path("/a b/ca.pem"))
    text = development.trust_text()
    assert re.search(rf"trust it: {program}.*(?P<quote>['\"])/a b/ca.pem(?P=quote)", text)


# -- the command


@pytest.mark.skipif(sys.platform == "win32", reason="one worker")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_share_it(method: str, folder: Path) -> None:
    with Command(
        *("--dev-tls", "-w", "2", "--start-method", method, "-b", "localhost:0", "examples.hello:app"),
        XDG_DATA_HOME=str(folder.parents[1]),
        HYPERCORN_CONTROL="none",
    ) as server:
        server.address()
        eventually(lambda: sum("is ready" in line for line in server.errors) == 2)
        for _ in range(6):
            with server.connect(tls=client_of(folder)) as peer:
                assert peer.get().status == 200
        assert server.end() == 0
        assert sum("ca.pem" in line for line in server.errors) == 1
        assert server.complaint == ""


def test_print_config_makes_nothing(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hypercorn", "--dev-tls", "--print-config"],
        capture_output=True,
        text=True,
        env=environment(XDG_DATA_HOME=str(folder.parents[1])),
        check=True,
    )
    assert "dev_tls = true  # flag --dev-tls" in done.stdout
    assert not folder.exists()


def test_nothing_of_it_is_imported_where_it_is_off(tmp_path: Path) -> None:
    program = (
        "import json, sys, asyncio, hypercorn.__main__, hypercorn.asyncio\n"
        "from hypercorn.config import Config\n"
        "from examples.hello import app\n"
        "async def main():\n"
        "    async with hypercorn.asyncio.server(app, Config(bind='127.0.0.1:0')): pass\n"
        "asyncio.run(main())\n"
        "print(json.dumps([name for name in sys.modules if name.split('.')[0] in ('cryptography', 'acme', 'josepy')"
        " or name.startswith('hypercorn.certificates')]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert json.loads(done.stdout) == []


# -- a browser


@pytest.mark.parametrize("backend", ["asyncio"])  # a browser does not see the loop
@pytest.mark.parametrize("driver", DRIVERS[:1])
def test_a_browser_that_trusts_it(
    serve_app: Serve, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command that the log names, word for word: HTTP/2, and HTTP/3 where Chromium is told to use it."""
    if shutil.which("certutil") is None:
        pytest.skip("certutil is missing (Debian: apt-get install libnss3-tools)")
    monkeypatch.setenv("HOME", str(tmp_path))
    database = tmp_path / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-N", "--empty-password"], check=True)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    live = serve_app(hello_app, dev_tls=True, http3=True, bind=[f"127.0.0.1:{port}"], graceful_timeout=0.1)
    command = next(text for text in live.log.texts() if "ca.pem" in text).partition("trust it: ")[2]
    subprocess.run(shlex.split(command), check=True)
    forced = f"--origin-to-force-quic-on=127.0.0.1:{port}"
    for flags, protocol in (((), "HTTP/2"), ((forced,), "HTTP/3")):
        with Browser.start(*flags, quic=bool(flags), strict=True) as browser:
            page = browser.open(f"https://127.0.0.1:{port}/")
            assert protocol in page.run("document.body.innerText")
            assert page.run("isSecureContext")
            page.close()
