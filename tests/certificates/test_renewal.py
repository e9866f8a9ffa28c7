"""When the ACME client is started, what is logged of it, how challenges are answered; the options of `acme`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import environment
from tests.support.harness import Answers, config, request, response
from tests.support.live import new_logger

from hypercorn.certificates import renewal, state
from hypercorn.certificates.challenges import Challenges
from hypercorn.certificates.renewal import Renewal, RenewalState
from hypercorn.certificates.state import DIRECTORIES, Plan, Settings, write_plan
from hypercorn.config import Config
from hypercorn.errors import ConfigError, ConfigWarning
from hypercorn.testing import MemoryServer

PORT_80 = ["127.0.0.1:80"]


class Process:
    """What comes of an attempt: a program in the client's place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code = ""
        self.started = 0
        popen = subprocess.Popen

        def start(arguments: list[str], **options: Any) -> Any:
            self.started += 1
            return popen(
                [sys.executable, "-c", f"import sys, json; given = json.load(sys.stdin); {self.code}"], **options
            )

        monkeypatch.setattr(renewal.subprocess, "Popen", start)

    def reports(self, name: str, due: float, text: str) -> None:
        report = {"state": name, "plan": {"due": due, "failures": 0, "reason": ""}, "text": text}
        self.code = f"print(json.dumps({report!r}))"


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(("a.test", "b.test"), "https://localhost/dir", str(tmp_path / "state"), eab_hmac_key="secret-key")
    state.prepare(found)
    return found


def run(one: Renewal) -> None:
    """One attempt, as the supervisor and the thread see to it."""
    one.next_at = 0.0
    assert one.check(time.monotonic())
    assert one.state is RenewalState.RUNNING
    while one.read():
        pass
    one.finish()


def new(settings: Settings) -> tuple[Renewal, Any]:
    logger, records = new_logger("errors")
    return Renewal(settings, Config(error_log=logger).log), records


def test_failures_are_logged_once_an_hour(
    process: Process, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, records = new(settings)
    process.reports("failed", time.time() + 60, "it is closed; wait")
    for _ in range(3):
        run(one)
    assert len(records.texts(40)) == 1
    assert records.texts(40)[0].startswith(
        "No new certificate for a.test, b.test: it is closed; wait; next attempt at "
    )
    assert len(records.texts(20)) == 2, "the others at DEBUG"
    assert len(records.texts()) == 6
    monkeypatch.setattr(renewal, "LOG_SECONDS", 0.0)
    run(one)
    assert len(records.texts(40)) == 2
    assert 55 < one.next_at - time.monotonic() <= 60
    assert one.state is RenewalState.WAITING


@pytest.mark.parametrize("code", ["", "print('no report')", "print('[]')", "import os; os.kill(os.getpid(), 9)", "1/0"])
def test_a_client_that_says_nothing(process: Process, settings: Settings, code: str) -> None:
    one, records = new(settings)
    process.code = code
    run(one)
    assert "the ACME client has ended with code" in records.texts(40)[0]
    assert 55 < one.next_at - time.monotonic() <= 60


def test_a_report_without_an_end_is_cut(process: Process, settings: Settings) -> None:
    one, records = new(settings)
    process.code = "print('x' * 10_000_000)"
    run(one)
    assert len(one.output) == renewal.MAX_REPORT_BYTES
    assert len(records.texts(40)) == 1


def test_a_client_that_cannot_be_started(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    one, records = new(settings)
    monkeypatch.setattr(renewal.subprocess, "Popen", fail)
    assert not one.check(time.monotonic() + 1)
    assert "the ACME client cannot be started: [Errno 11]" in records.texts(40)[0]
    assert one.next_at - time.monotonic() > 55


def test_a_client_that_does_not_end_is_killed(process: Process, settings: Settings) -> None:
    one, records = new(settings)
    process.code = "import time; time.sleep(60)"
    assert one.check(time.monotonic() + 1)
    assert not one.check(time.monotonic() + renewal.PROCESS_SECONDS - 1)
    one.check(time.monotonic() + renewal.PROCESS_SECONDS + 2)
    assert not one.read()
    one.finish()
    assert "ended with code -9" in records.texts(40)[0]


def test_success_is_logged_and_waited_after(process: Process, settings: Settings) -> None:
    one, records = new(settings)
    process.reports("issued", 4102444800.0, "valid until 2100-02-01 00:00 UTC")
    run(one)
    assert records.texts() == [
        "Asking https://localhost/dir for a certificate for a.test, b.test",
        "New certificate for a.test, b.test: valid until 2100-02-01 00:00 UTC, to be renewed from 2100-01-01 00:00 UTC",
    ]
    assert one.next_at - time.monotonic() <= renewal.LONGEST_SLEEP_SECONDS


def test_the_plan_of_another_server_holds(process: Process, settings: Settings) -> None:
    one, records = new(settings)
    write_plan(settings, Plan(time.time() + 1000))
    assert not one.check(time.monotonic() + 1)
    assert process.started == 0
    assert 990 < one.next_at - time.monotonic() <= 1000
    assert records.texts() == []


def test_settings_go_by_stdin_alone(process: Process, settings: Settings, tmp_path: Path) -> None:
    one, _ = new(settings)
    process.code = f"open({str(tmp_path / 'given')!r}, 'w').write(given['eab_hmac_key'])"
    run(one)
    assert (tmp_path / "given").read_text() == "secret-key"
    assert "secret-key" not in repr(settings)


def test_after_its_end_nothing_is_started(process: Process, settings: Settings) -> None:
    one, _ = new(settings)
    one.close()
    assert not one.check(time.monotonic() + 1)
    assert process.started == 0


# -- challenges


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = config(acme=["a.test"], insecure_bind=PORT_80, acme_state=str(tmp_path), limit_concurrency=1)
    state.prepare(found.acme_settings())
    (tmp_path / "challenges" / "to-ken_1").write_bytes(b"to-ken_1.digest")
    app = Answers()
    return MemoryServer(app, found), app


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_challenge_is_answered(server: Any, method: str) -> None:
    client = server[0].connect()
    client.send(request("/.well-known/acme-challenge/to-ken_1", method=method))
    answer = response(client, method)
    assert (answer.status, answer.body) == (200, b"to-ken_1.digest" if method == "GET" else b"")


@pytest.mark.parametrize("path", ["other", "", "../lock", "%2e%2e/lock", "to-ken_1/", "x" * 300, "to%2Dken_1%00", "."])
def test_anything_else_is_the_applications(server: Any, tmp_path: Path, path: str) -> None:
    (tmp_path / "lock").write_text("secret")
    client = server[0].connect()
    client.send(request(f"/.well-known/acme-challenge/{path}"))
    assert b"secret" not in response(client).body
    assert [scope["type"] for scope in server[1].scopes] == ["http"]


def test_a_challenge_under_a_path(tmp_path: Path) -> None:
    found = config(
        acme=["a.test"], insecure_bind=PORT_80, acme_state=str(tmp_path), root_path="/api", add_root_path=True
    )
    state.prepare(found.acme_settings())
    (tmp_path / "challenges" / "token").write_bytes(b"answer")
    client = MemoryServer(Answers(), found).connect()
    client.send(request("/.well-known/acme-challenge/token"))
    assert response(client).body == b"answer"


def test_an_answer_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"x" * 100_000)
    assert len(Challenges(tmp_path).answer("/.well-known/acme-challenge/token") or b"") == 1024


# -- options


def test_directories() -> None:
    for name, url in DIRECTORIES.items():
        settings = Config(acme="a.test", acme_directory=name).acme_settings()
        assert settings is not None
        assert settings.directory == url
    settings = Config(acme="A.Test.", acme_directory="https://ca.test/acme/directory").acme_settings()
    assert settings is not None
    assert settings.names == ("a.test",)
    assert Config().acme_settings() is None


@pytest.mark.parametrize(
    "name", ["*.a.test", "127.0.0.1", "::1", "-a.test", "a-.test", "a..test", "a b", "", "ä.test", "x" * 64, "a." * 130]
)
def test_names_that_no_certificate_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match=r"acme = .* expected a host name such as example\.org, in ASCII, no address"):
        Config(acme=name)


@pytest.mark.parametrize("url", ["http://ca.test/dir", "ca.test", "https://", "ftp://ca.test/", "https://ca.test/a b"])
def test_urls_that_are_no_directory(url: str) -> None:
    with pytest.raises(ConfigError, match=r"acme_directory = .* expected production, staging \(Let's Encrypt's\), or"):
        Config(acme_directory=url)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"insecure_bind": []}, r"needs insecure_bind, where the authority asks for http://a.test/.well-known/: set"),
        ({"certfile": "a.pem"}, r"acme \(Config\) and certfile \(Config\) exclude each other"),
        ({"keyfile_password": "x"}, r"acme \(Config\) and keyfile_password \(Config\) exclude each other"),
        ({"dev_tls": True}, r"acme \(Config\) and dev_tls \(Config\) exclude each other"),
        ({"certificate_reload": False}, r"needs certificate_reload, by which new certificates are served"),
        ({"acme_eab_kid": "x"}, r"acme_eab_kid and acme_eab_hmac_key belong together"),
        ({"acme_eab_hmac_key": "abcdefgh"}, r"acme_eab_kid and acme_eab_hmac_key belong together"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], said: str) -> None:
    pytest.importorskip("acme")
    with pytest.raises(ConfigError, match=said):
        Config(**{"acme": "a.test", "insecure_bind": PORT_80, **options}).validate()


def test_a_wrong_key_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="acme_eab_hmac_key = a hidden value") as caught:
        Config(acme_eab_hmac_key="no key!")
    assert "no key!" not in str(caught.value)
    assert "abcdefgh" not in repr(Config(acme_eab_hmac_key="abcdefgh"))


@pytest.mark.parametrize("name", ["acme_email", "acme_state", "acme_eab_kid", "acme_eab_hmac_key"])
def test_options_without_effect(name: str) -> None:
    with pytest.warns(ConfigWarning, match=f"{name} has no effect without acme"):
        Config(**{name: "abcdefgh"}).validate()  # type: ignore[misc]


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acme", None)
    with pytest.raises(ConfigError, match=r"acme \(Config\) needs acme: pip install 'hypercorn\[acme\]'"):
        Config(acme="a.test", insecure_bind=PORT_80).validate()


def test_a_frozen_program(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("acme")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigError, match="a frozen program has no interpreter that could run the ACME client"):
        Config(acme="a.test", insecure_bind=PORT_80).validate()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = Config(acme="a.test", insecure_bind=PORT_80, acme_state=tmp_path / "file" / "state")
    with pytest.raises(ConfigError, match="cannot be used: Not a directory; set acme_state to a folder that only"):
        found.create_ssl_context()


def test_no_process_that_lasts_has_the_libraries(tmp_path: Path, settings: Settings) -> None:
    """The first time, a temporary certificate takes `cryptography`; from then on nothing does."""
    program = (
        "import json, sys, time, asyncio, hypercorn.__main__, hypercorn.asyncio\n"
        "from hypercorn.config import Config\n"
        "from examples.hello import app\n"
        f"config = Config(bind='127.0.0.1:0', insecure_bind='127.0.0.1:0', acme=['a.test', 'b.test'],"
        f" acme_state={settings.folder!r}, acme_directory='https://localhost/dir')\n"
        "async def main():\n"
        "    async with hypercorn.asyncio.server(app, config): pass\n"
        "asyncio.run(main())\n"
        "print(json.dumps([name for name in ('acme', 'josepy', 'requests', 'cryptography') if name in sys.modules]))\n"
    )
    write_plan(settings, Plan(time.time() + 1000))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert json.loads(done.stdout) == []
