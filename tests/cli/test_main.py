"""The command: flags, configuration files, environment, and which of them wins."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from ssl import VerifyMode
from typing import Any
from unittest.mock import Mock

import pytest

import hypercorn
import hypercorn.__main__
from hypercorn.config import Config
from hypercorn.config.options import ALIASES, OPTIONS
from hypercorn.errors import ConfigError


@pytest.fixture(name="run", autouse=True)
def _run(monkeypatch: pytest.MonkeyPatch) -> Mock:
    run = Mock(return_value=0)
    monkeypatch.setattr(hypercorn.__main__, "run", run)
    return run


@pytest.fixture(name="tls")
def _tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS is in order, whatever the files are."""
    monkeypatch.setattr(Config, "ssl_enabled", True)


def configured(run: Mock, *arguments: str) -> Config:
    assert hypercorn.__main__.main([*arguments, "module:app"]) == 0
    config = run.call_args[0][0]
    assert isinstance(config, Config)
    assert config.application_path == "module:app"
    return config


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        hypercorn.__main__.main(list(arguments))
    assert caught.value.code == 2
    return capsys.readouterr().err


# The flags of earlier releases.
FLAGS: list[tuple[str, str, str, Any]] = [
    ("--access-logformat", "jeff", "access_log_format", "jeff"),
    ("--access-logfile", "a.log", "accesslog", "a.log"),
    ("--backlog", "5", "backlog", 5),
    ("-b", "127.0.0.1:80", "bind", ["127.0.0.1:80"]),
    ("--bind", "127.0.0.1:80", "bind", ["127.0.0.1:80"]),
    ("--ca-certs", "/path", "ca_certs", "/path"),
    ("--certfile", "/path", "certfile", "/path"),
    ("--ciphers", "DHE-RSA-AES128-SHA", "ciphers", "DHE-RSA-AES128-SHA"),
    ("--error-logfile", "e.log", "errorlog", "e.log"),
    ("--log-file", "e.log", "errorlog", "e.log"),
    ("--graceful-timeout", "5", "graceful_timeout", 5.0),
    ("-g", "7", "group", 7),
    ("--group", "7", "group", 7),
    ("--insecure-bind", "127.0.0.1:80", "insecure_bind", ["127.0.0.1:80"]),
    ("--keep-alive", "20", "keep_alive_timeout", 20.0),
    ("--keyfile", "/path", "keyfile", "/path"),
    ("--keyfile-password", "pass", "keyfile_password", "pass"),
    ("--log-config", "log.ini", "logconfig", "log.ini"),
    ("--log-level", "debug", "loglevel", "DEBUG"),
    ("--max-requests", "5", "max_requests", 5),
    ("--max-requests-jitter", "6", "max_requests_jitter", 6),
    ("-p", "a.pid", "pid_path", "a.pid"),
    ("--pid", "a.pid", "pid_path", "a.pid"),
    ("--quic-bind", "127.0.0.1:80", "quic_bind", ["127.0.0.1:80"]),
    ("--read-timeout", "5", "read_timeout", 5.0),
    ("--root-path", "/a/", "root_path", "/a"),
    ("--server-name", "a.test", "server_names", ["a.test"]),
    ("--statsd-host", "localhost:8125", "statsd_host", "localhost:8125"),
    ("--statsd-prefix", "a", "statsd_prefix", "a"),
    ("-m", "022", "umask", 0o22),
    ("--umask", "22", "umask", 22),
    ("-u", "7", "user", 7),
    ("--user", "7", "user", 7),
    ("--verify-mode", "CERT_REQUIRED", "verify_mode", VerifyMode.CERT_REQUIRED),
    ("--websocket-ping-interval", "5", "websocket_ping_interval", 5.0),
    ("-k", "trio", "worker_class", "trio"),
    ("--worker-class", "trio", "worker_class", "trio"),
    ("-w", "2", "workers", 2),
    ("--workers", "2", "workers", 2),
    # abbreviations, which new flags must not make ambiguous
    ("--keep", "3", "keep_alive_timeout", 3.0),
    ("--grace", "3", "graceful_timeout", 3.0),
    # some of the new
    ("--max-body-size", "1MiB", "max_body_size", 1048576),
    ("--max-header-size", "4096", "max_header_size", 4096),
    ("--header-timeout", "none", "header_timeout", None),
    ("--lifespan", "on", "lifespan", "on"),
    ("--alpn-protocols", "http/1.1", "alpn_protocols", ["http/1.1"]),
]


@pytest.mark.filterwarnings("ignore::hypercorn.errors.ConfigWarning")
@pytest.mark.usefixtures("tls")
@pytest.mark.parametrize(("flag", "text", "name", "value"), FLAGS)
def test_flags(flag: str, text: str, name: str, value: object, run: Mock) -> None:
    config = configured(run, flag, text)
    assert getattr(config, name) == value
    untouched = Config()
    for option in OPTIONS:
        if option.name not in (ALIASES.get(name, name), "application_path", "cert_reqs"):
            assert getattr(config, option.name) == getattr(untouched, option.name), option.name


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["--debug"], "debug", True),
        (["--reload"], "use_reloader", True),
        (["-D"], "daemon", True),
        (["--no-daemon"], "daemon", False),
        (["--no-include-date-header"], "include_date_header", False),
    ],
)
def test_switches(flags: list[str], name: str, value: bool, run: Mock) -> None:
    assert getattr(configured(run, *flags), name) is value


def test_every_option_has_a_flag() -> None:
    flags = [flag for option in OPTIONS for flag in (*option.all_flags, *option.alias_flags)]
    assert len(flags) == len(set(flags))
    assert {option.name for option in OPTIONS if not option.all_flags} == {
        "application_path",
        "log_config_dict",
        "logger_class",
    }


def test_repeated_flags(run: Mock) -> None:
    assert configured(run, "-b", "a:1", "--bind", "b:2").bind == ["a:1", "b:2"]


def test_cert_reqs(run: Mock, capsys: pytest.CaptureFixture[str]) -> None:
    assert configured(run, "--cert-reqs", "2").verify_mode is VerifyMode.CERT_REQUIRED
    assert "Please use verify_mode instead" in capsys.readouterr().err


def test_the_result_is_that_of_run(run: Mock) -> None:
    run.return_value = 3
    assert hypercorn.__main__.main(["module:app"]) == 3


# --- errors


def test_wrong_values_name_the_flag(capsys: pytest.CaptureFixture[str], run: Mock) -> None:
    text = failing(capsys, "--workers", "many", "module:app")
    assert text.endswith("error: workers = 'many' (flag --workers): expected a whole number of 0 or more\n")
    assert "verify_mode = 'CERT_UNKNOWN' (flag --verify-mode)" in failing(capsys, "--verify-mode", "CERT_UNKNOWN", "m")
    run.assert_not_called()


def test_unknown_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--wrokers" in failing(capsys, "--wrokers", "2", "module:app")


def test_no_application(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no application given" in failing(capsys)


def test_an_empty_list_is_not_the_arguments_of_the_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["hypercorn", "module:app"])
    assert "no application given" in failing(capsys)
    assert hypercorn.__main__.main() == 0


def test_what_run_refuses_is_a_usage_error(run: Mock, capsys: pytest.CaptureFixture[str]) -> None:
    run.side_effect = ConfigError("No worker of class x exists")
    assert "error: No worker of class x exists" in failing(capsys, "-k", "x", "module:app")


# --- configuration files


@pytest.mark.parametrize(
    ("source", "loader", "argument"),
    [
        ("assets/config.toml", "from_toml", "assets/config.toml"),
        ("file:assets/config.py", "from_pyfile", "assets/config.py"),
        ("python:assets.config", "from_object", "assets.config"),
    ],
)
def test_load_config(source: str, loader: str, argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Mock()
    monkeypatch.setattr(hypercorn.__main__, "Config", config)
    hypercorn.__main__._load_config(source)
    getattr(config, loader).assert_called_once_with(argument)


def test_load_config_without_a_source() -> None:
    assert isinstance(hypercorn.__main__._load_config(None), Config)


def test_precedence(run: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.toml"
    path.write_text('workers = 2\nbacklog = 2\nstatsd_prefix = "file"\nroot_path = "/file"\nbind = ["file:1"]\n')
    monkeypatch.setenv("HYPERCORN_WORKERS", "3")
    monkeypatch.setenv("HYPERCORN_BACKLOG", "3")
    monkeypatch.setenv("HYPERCORN_BIND", "env:1,env:2")
    config = configured(run, "-c", str(path), "--workers", "4")
    assert (config.workers, config.backlog) == (4, 3)
    assert config.bind == ["env:1", "env:2"]
    assert (config.root_path, config.statsd_prefix) == ("/file", "file")  # Q-P-2


def test_the_application_and_the_file_may_come_from_elsewhere(
    run: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.toml"
    path.write_text('application_path = "from_file:app"\n')
    monkeypatch.setenv("HYPERCORN_CONFIG", str(path))
    assert hypercorn.__main__.main([]) == 0
    assert run.call_args[0][0].application_path == "from_file:app"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.toml", None, "cannot be read: No such file or directory"),
        ("c.toml", "x = ", "cannot be read: Invalid value"),
        ("c.toml", "workers = -1", "workers = -1 (file"),
        ("c.py", None, "cannot be read: No such file or directory"),
        ("c.py", "1 / 0", "ZeroDivisionError"),
        ("c.py", "int('x')", "Traceback"),
        ("c.py", "def", "SyntaxError"),
    ],
)
def test_broken_files(
    name: str, text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    source = f"file:{path}" if name.endswith(".py") else str(path)
    assert message in failing(capsys, "-c", source, "module:app")


def test_a_typo_in_a_file_warns_in_one_line(run: Mock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    path.write_text("wrokers = 2\n")
    configured(run, "-c", str(path))
    expected = f"hypercorn: warning: unknown option wrokers (file {path}); did you mean workers?\n"
    assert capsys.readouterr().err == expected


# --- what it says about itself


@pytest.mark.parametrize(
    ("flags", "loop"),
    [([], "EventLoop"), (["-k", "trio"], "trio"), (["-k", "uvloop"], "uvloop.Loop")],
)
def test_version(flags: list[str], loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert hypercorn.__main__.main(["--version", *flags]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"hypercorn {hypercorn.__version__} ({hypercorn.build()} build")
    assert f"{platform.python_implementation()} {platform.python_version()}" in text
    assert loop in text


@pytest.mark.filterwarnings("ignore::hypercorn.errors.ConfigWarning")
def test_print_config_can_be_loaded_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--header-timeout",
        "none",
        "--verify-mode",
        "CERT_REQUIRED",
        "-b",
        "a:1",
        "-b",
        "b:2",
        "--root-path",
        '/"',
    ]
    secret = ["--keyfile-password", "hunter2", "--certfile", "c", "--keyfile", "k"]
    assert hypercorn.__main__.main(["--print-config", *flags, *secret, "module:app"]) == 0
    text = capsys.readouterr().out
    assert "hunter2" not in text
    path = tmp_path / "c.toml"
    path.write_text(text)
    config = Config.from_toml(path)
    assert config.header_timeout is None
    assert config.verify_mode is VerifyMode.CERT_REQUIRED
    assert (config.bind, config.root_path, config.application_path) == (["a:1", "b:2"], '/"', "module:app")
    for option in OPTIONS:
        assert option.alias_of or option.name in text


def test_the_port_of_a_platform(run: Mock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PORT", "5000")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert hypercorn.__main__.main(["--print-config", "module:app"]) == 0
    shown = capsys.readouterr().out
    assert 'bind = ["0.0.0.0:5000"]  # env PORT\n' in shown
    assert "workers = 3  # env WEB_CONCURRENCY\n" in shown
    assert configured(run, "-b", "localhost:1", "-w", "2").bind == ["localhost:1"]
    config = configured(run, "--host", "127.0.0.1")
    assert (config.bind, config.workers) == (["127.0.0.1:5000"], 3)


def test_python_dash_m() -> None:
    command = [sys.executable, "-m", "hypercorn", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.startswith("hypercorn 1.")


def test_an_interruption_before_the_server_handles_signals_ends_in_peace(
    run: Mock, capsys: pytest.CaptureFixture[str]
) -> None:
    run.side_effect = KeyboardInterrupt
    assert hypercorn.__main__.main(["module:app"]) == 130
    assert capsys.readouterr() == ("", "")
