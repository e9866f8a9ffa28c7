"""Flags of other servers: what works, and what an error says in the place of what does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import hypercorn.__main__
from hypercorn.cli import addresses
from hypercorn.cli.parser import make_parser
from hypercorn.config import Config
from hypercorn.config.migration import IN_PYTHON, TABLES, advice, names_of, setting_advice
from hypercorn.config.options import BY_NAME

# What uvicorn 0.54, gunicorn 27.0, Granian 2.8 and Daphne 4.2 have.
THEIRS: dict[str, list[str]] = json.loads((Path(__file__).parents[1] / "data" / "other_servers.json").read_text())
FLAGS = {flag for action in make_parser().actions for flag in action.option_strings}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Mock:
    run = Mock(return_value=0)
    monkeypatch.setattr(hypercorn.__main__, "run", run)
    return run


def served(run: Mock, *arguments: str) -> Config:
    assert hypercorn.__main__.main([*arguments, "module:app"]) == 0
    config: Config = run.call_args[0][0]
    assert config.application_path == "module:app"
    return config


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        hypercorn.__main__.main(list(arguments))
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    errors = [line for line in said.err.splitlines() if not line.startswith("hypercorn: warning: ")]
    assert len(errors) == 1
    assert errors[0].startswith("hypercorn: error: ")
    return str(errors[0])


@pytest.mark.parametrize("server", list(THEIRS))
def test_every_flag_of_another_server_is_in_the_table(server: str) -> None:
    listed = {flag for row in TABLES[server] for flag in row.theirs.split()}
    missing = {flag for flag in THEIRS[server] if flag not in FLAGS} - listed
    assert {flag for flag in missing if flag.replace("--no-", "--") not in listed} == set()
    assert len(listed) > 15


@pytest.mark.parametrize(("server", "row"), [(server, row) for server, rows in TABLES.items() for row in rows])
def test_what_the_table_names_exists(server: str, row: Any) -> None:
    for flag in row.ours.split():
        assert flag in FLAGS or not flag.startswith("-"), flag
    assert row.ours or row.note, "a reader is left alone"


@pytest.mark.parametrize("server", list(THEIRS))
def test_each_flag_works_or_its_error_names_ours(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in THEIRS[server]:
        if flag in FLAGS:
            continue
        said = refused(capsys, flag, "1", "module:app")
        assert f"error: {flag} of " in said or f"error: {flag.replace('--no-', '--')} of " in said
        assert server in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--loop", "uvloop", "a:b"], "--loop of uvicorn and Granian is --worker-class here: asyncio, uvloop"),
        (["--no-server-header", "a:b"], "--no-server-header of uvicorn is --no-include-server-header here"),
        (
            ["--http=h11", "a:b"],
            "--http of uvicorn does not exist here: there is one parser, compiled or in pure Python; "
            "--http of Granian is --alpn",
        ),
        (["--proxy-headers", "--forwarded-allow-ips=*", "a:b"], "is --trusted-proxies here"),
        (["--proxy-headers", "a:b"], "is --trusted-proxies here"),
        (["--chdir", "/srv", "a:b"], "--chdir of gunicorn is --app-dir here"),
        (["-p", "8001", "a:b"], "a port is --port 8001"),
        (["-u", "/tmp/a.sock", "a:b"], "a unix socket is --uds /tmp/a.sock"),
        (["--access-log", "a:b"], "--access-log - a:b"),
        (["--workers"], "--workers needs a value"),
        (["--zzzqqq"], "unknown option --zzzqqq; --help-all lists all options"),
    ],
)
def test_an_error_says_what_to_write(arguments: list[str], words: str, run: Mock, capsys: Any) -> None:
    assert words in refused(capsys, *arguments)
    run.assert_not_called()


def test_advice_of_nobodys_flag() -> None:
    assert advice("--blacklog") is None


# -- settings

# What gunicorn's configuration files and uvicorn.run() call what has another name here.
SETTINGS = """
    address chdir disable_redirect_access_to_syslog do_handshake_on_connect forwarded_allow_ips host keepalive
    limit_max_requests limit_request_field_size limit_request_fields limit_request_line nworkers_changed on_exit
    on_reload on_starting pidfile port post_fork post_request post_worker_init pre_exec pre_fork pre_request preload_app
    default_proc_name proxy_allow_ips raw_env reload_engine reload_extra_files secure_scheme_headers ssl_certfile
    ssl_keyfile ssl_keyfile_password sendfile threads timeout timeout_graceful_shutdown timeout_keep_alive when_ready
    worker_abort worker_connections worker_exit worker_int worker_tmp_dir wsgi_app
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_another_server_is_answered_by_ours(name: str) -> None:
    said = setting_advice(name)
    assert said is not None
    if said.startswith("did you mean "):
        for ours in said.removeprefix("did you mean ").removesuffix("?").split(" or "):
            assert ours in BY_NAME
    else:
        assert re.fullmatch(rf"{name} of (gunicorn|uvicorn) does not exist here: .+", said)


def test_settings_that_are_options_get_no_advice() -> None:
    """A row may name an option of ours, which is then known before the table is asked; single words are variables."""
    names = {name for server in IN_PYTHON for row in TABLES[server] for name in names_of(row)}
    assert {"threads", "worker_connections"} <= names
    assert not {"loop", "http", "name", "config", "version"} & names


# -- what works


@pytest.mark.parametrize(
    ("arguments", "bind"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0:8000"),
        (["--port", "80"], "127.0.0.1:80"),
        (["--host", "::1", "--port", "80"], "[::1]:80"),
        (["--host", "[::1]", "--port=0"], "[::1]:0"),
        (["--uds", "/run/a.sock"], "unix:/run/a.sock"),
        (["--fd", "3"], "fd://3"),
        (["-b", "8001"], "8001"),
    ],
)
def test_parts_of_an_address(arguments: list[str], bind: str, run: Mock) -> None:
    config = served(run, *arguments)
    assert config.bind == [bind]
    assert config.origin("bind").startswith("flag ")


def test_the_other_part_stays_what_it_was(run: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCORN_BIND", "0.0.0.0:5000")
    assert served(run, "--host", "::1").bind == ["[::1]:5000"]
    assert served(run, "--port", "81").bind == ["0.0.0.0:81"]
    monkeypatch.setenv("HYPERCORN_BIND", "unix:/run/a.sock")
    assert served(run, "--port", "81").bind == ["127.0.0.1:81"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-b", "a:1", "--port", "2"], "--bind and --host or --port exclude each other"),
        (["--uds", "a", "--fd", "3"], "--uds and --fd exclude each other"),
        (["--port", "http"], "port = 'http' (flag --port): expected a number from 0 to 65535"),
        (["--port", "65536"], "from 0 to 65535"),
        (["--no-access-log", "--access-log", "-"], "exclude each other"),
    ],
)
def test_addresses_that_contradict(arguments: list[str], words: str, run: Mock, capsys: Any) -> None:
    assert words in refused(capsys, *arguments, "module:app")


def test_no_access_log_beats_the_configuration(run: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCORN_ACCESSLOG", "-")
    assert served(run).access_log == "-"
    assert served(run, "--no-access-log").access_log is None


def test_daemon_does_not_go_into_the_background(run: Mock, capsys: Any) -> None:
    served(run, "-D")
    assert "stays in the foreground" in capsys.readouterr().err


# -- abbreviations


@pytest.mark.parametrize(
    ("flag", "name", "value"), [("--keep", "keep_alive_timeout", 3.0), ("--grace", "graceful_timeout", 3.0)]
)
def test_abbreviations_of_earlier_releases(flag: str, name: str, value: float, run: Mock) -> None:
    assert getattr(served(run, flag, "3"), name) == value


@pytest.mark.parametrize("flag", ["--header-t", "--wsgi-th", "--por", "--max-b"])
def test_later_names_have_no_abbreviation(flag: str, run: Mock, capsys: Any) -> None:
    assert f"unknown option {flag}" in refused(capsys, flag, "3", "module:app")


def test_the_flags_of_addresses_are_known() -> None:
    assert set(addresses.FLAGS) <= FLAGS
