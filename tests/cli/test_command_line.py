"""What the command finds, checks and says by itself: files, origins, completion, and every error in one line."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hypercorn.__main__
from hypercorn._toml import read_toml
from hypercorn.cli.parser import make_parser
from hypercorn.config import Config
from hypercorn.config.options import OPTIONS
from hypercorn.config.sources import find_config, read_env_file
from hypercorn.errors import ConfigError

APP = """
async def app(scope, receive, send):
    pass

def make():
    return app

def not_ready():
    raise RuntimeError("no database")

number = 7
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an application, and nothing of this machine's environment."""
    for name in list(os.environ):
        if name.startswith("HYPERCORN_") and name != "HYPERCORN_PURE_PYTHON":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "newcomer.py").write_text(APP)
    monkeypatch.delitem(sys.modules, "newcomer", raising=False)
    yield tmp_path
    sys.modules.pop("newcomer", None)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that would have been served."""
    found: list[Config] = []

    def run(config: Config, **_: Any) -> int:
        found.append(config)
        return 0

    monkeypatch.setattr(hypercorn.__main__, "run", run)
    return found


def main(*arguments: str) -> int:
    """The exit code of the command."""
    try:
        return hypercorn.__main__.main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)


# -- files that are found


def test_hypercorn_toml_of_the_working_directory(folder: Path, ran: list[Config]) -> None:
    (folder / "pyproject.toml").write_text("[tool.hypercorn]\nbacklog = 7\n")
    assert main("newcomer:app") == 0
    (folder / "hypercorn.toml").write_text("backlog = 8\n")
    assert main("newcomer:app") == 0
    assert main("-c", "none", "newcomer:app") == 0
    (folder / "other.toml").write_text("backlog = 9\n")
    assert main("-c", "other.toml", "newcomer:app") == 0
    assert [config.backlog for config in ran] == [7, 8, 100, 9]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[tool.hypercorn]\n", True),
        ("[ tool . hypercorn ]\n", True),
        ("[tool.hypercorn.log_config_dict]\nversion = 1\n", True),
        ("[tool.other]\nhypercorn = 1\n", False),
        ("this is no TOML [tool.hypercornish]", False),
    ],
)
def test_a_project_without_our_table_is_left_alone(text: str, found: bool, folder: Path) -> None:
    (folder / "pyproject.toml").write_text(text)
    assert (find_config() is not None) is found


def test_an_application_in_the_configuration(folder: Path, ran: list[Config]) -> None:
    (folder / "hypercorn.toml").write_text('application_path = "newcomer:app"\n')
    assert main() == 0
    assert ran[0].application_path == "newcomer:app"


# -- what is checked


@pytest.mark.parametrize("arguments", [["--check-config"], ["--strict"]])
def test_unknown_keys_are_errors_where_that_is_asked_for(
    arguments: list[str], folder: Path, ran: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hypercorn.toml").write_text("blacklog = 8\n")
    assert main("newcomer:app") == 0
    assert "warning: unknown option blacklog (file hypercorn.toml); did you mean backlog?" in capsys.readouterr().err
    assert main(*arguments, "newcomer:app") == 2
    assert "error: unknown option blacklog (file hypercorn.toml); did you mean backlog?" in capsys.readouterr().err


def test_strict_in_the_file_and_in_a_program(folder: Path, ran: list[Config]) -> None:
    (folder / "hypercorn.toml").write_text("blacklog = 8\nstrict = true\n")
    assert main("newcomer:app") == 2
    with pytest.warns(Warning, match="blacklog"):
        config = Config.from_mapping(blacklog=8, strict=True)
    with pytest.raises(ConfigError, match="backlog"):
        config.validate()


def test_a_misspelt_variable_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCORN_BACKLOGG", "5")
    assert main("--check-config", "newcomer:app") == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["newcomer:app"], 0),
        (["--factory", "newcomer:make"], 0),
        ([], 0),
        (["newcomer:nothing"], 3),
        (["--factory", "newcomer:number"], 3),
        (["--factory", "newcomer:not_ready"], 3),
        (["--certfile", "a.pem", "--keyfile", "b.pem", "newcomer:app"], 2),
        (["-k", "gevent", "newcomer:app"], 2),
    ],
)
def test_check_config(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("--check-config", *arguments) == code
    said = capsys.readouterr()
    assert ("in order" in said.out) == (code == 0)
    assert ("hypercorn: error: " in said.err) == (code != 0)


# -- where values come from


def test_every_value_says_where_it_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hypercorn.toml").write_text('backlog = 8\nkeyfile_password = "secret"\n')
    monkeypatch.setenv("HYPERCORN_GRACEFUL_TIMEOUT", "7s")
    assert main("--print-config", "--keep-alive-timeout", "30s", "newcomer:app") == 0
    text = capsys.readouterr().out
    assert "backlog = 8  # file hypercorn.toml" in text
    assert "graceful_timeout = 7.0  # env HYPERCORN_GRACEFUL_TIMEOUT" in text
    assert "keep_alive_timeout = 30.0  # flag --keep-alive-timeout" in text
    assert 'bind = ["127.0.0.1:8000"]  # default' in text
    assert 'application_path = "newcomer:app"  # argument application' in text
    assert "secret" not in text.replace("secrets", "")
    assert "# keyfile_password: ***  (file hypercorn.toml)" in text
    (folder / "again.toml").write_text(text)
    assert read_toml("again.toml")["keep_alive_timeout"] == 30.0


def test_values_set_in_code() -> None:
    config = Config()
    config.backlog = 5
    config.bind = ["localhost:1"]
    assert [config.origin(name) for name in ("backlog", "bind", "workers")] == ["Config", "Config", "default"]


# -- factory, folder, variables


def test_an_application_elsewhere(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "elsewhere.py").write_text(APP)
    assert main("--check-config", "--app-dir", "deep", "elsewhere:app") == 0
    assert main("--check-config", "elsewhere:none") == 3
    sys.modules.pop("elsewhere")


def test_variables_from_a_file(folder: Path, ran: list[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCORN_BACKLOG", "3")
    monkeypatch.setenv("OF_THE_APPLICATION", "before")  # so that it is taken back
    monkeypatch.delenv("OF_THE_APPLICATION")
    monkeypatch.setenv("HYPERCORN_WORKERS", "")
    monkeypatch.delenv("HYPERCORN_WORKERS")
    (folder / ".env").write_text("HYPERCORN_WORKERS=4\nHYPERCORN_BACKLOG=5\nexport OF_THE_APPLICATION='a b' # why\n")
    assert main("--env-file", ".env", "newcomer:app") == 0
    assert (ran[0].workers, ran[0].backlog) == (4, 3), "what is set already stays"
    assert os.environ["OF_THE_APPLICATION"] == "a b"
    assert main("--env-file", "nowhere", "newcomer:app") == 2


def test_lines_of_such_a_file(folder: Path) -> None:
    lines = ["# no", "", "A=1", "B = two words  # why", 'C="a\\n\\"b\\" # c"', "D='#'", "export E=", "F=a#b", "G=\\x"]
    (folder / "env").write_text("\n".join(lines))
    values = {"A": "1", "B": "two words", "C": 'a\n"b" # c', "D": "#", "E": "", "F": "a#b", "G": "\\x"}
    assert read_env_file("env") == values
    for wrong in ("no value", "1A=2", "A='open"):
        (folder / "env").write_text(wrong)
        with pytest.raises(ValueError, match="line 1"):
            read_env_file("env")


# -- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_flag(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("--completion", shell) == 0
    script = capsys.readouterr().out
    for option in OPTIONS:
        for flag in option.all_flags:
            shown = f" {'-l' if flag.startswith('--') else '-s'} {flag.lstrip('-')} "
            assert (shown if shell == "fish" else flag) in script
    program = shutil.which(shell)
    if program:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    main("--completion", "bash")
    script = capsys.readouterr().out
    for words, expected in ((("--keep-alive-h",), "--keep-alive-header"), (("--log-format", "js"), "json")):
        line = " ".join(("hypercorn", *words))
        program = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _hypercorn; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected]


# -- help


def test_every_flag_is_documented_and_in_a_group() -> None:
    parser = make_parser()
    text = parser.format_help()
    groups = {option.group for option in OPTIONS}
    for group in groups:
        assert re.search(rf"^{group}:$", text, re.MULTILINE), group
    for option in OPTIONS:
        assert option.help.strip()

        for flag in option.all_flags:
            assert flag in text


# -- what newcomers meet

TOML = "bind = [\n"


@pytest.mark.parametrize(
    ("case", "arguments", "code", "words"),
    [
        ("module", ["nowhere:app"], 3, "nowhere"),
        ("attribute", ["newcomer:nothing"], 3, "newcomer:nothing"),
        ("no application", ["newcomer:number"], 3, "not an application"),
        ("port in use", ["-b", "127.0.0.1:{taken}", "newcomer:app"], 3, "address already in use"),
        ("permission", ["-b", "127.0.0.1:0", "newcomer:app"], 3, "permission denied"),
        ("not here", ["-b", "192.0.2.1:8000", "newcomer:app"], 3, "address not available"),
        ("certificate", ["--certfile", "cert.pem", "--keyfile", "key.pem", "newcomer:app"], 2, "certfile 'cert.pem'"),
        ("no certificate", ["--certfile", "a.toml", "--keyfile", "a.toml", "newcomer:app"], 2, "certfile and keyfile"),
        ("TOML", ["-c", "a.toml", "newcomer:app"], 2, "a.toml cannot be read"),
        ("TOML found", ["newcomer:app"], 2, "hypercorn.toml cannot be read"),
        ("no file", ["-c", "none.toml", "newcomer:app"], 2, "none.toml cannot be read"),
        ("option", ["--blacklog", "5", "newcomer:app"], 2, "did you mean --backlog?"),
        ("value", ["--backlog", "many", "newcomer:app"], 2, "backlog = 'many' (flag --backlog)"),
        ("duration", ["--keep-alive-timeout", "soon", "newcomer:app"], 2, "such as 5, 2.5, 500ms, 30s or 2m"),
        ("size", ["--max-body-size", "big", "newcomer:app"], 2, "such as 65536, 64KiB or 16MiB"),
        ("network", ["--trusted-proxies", "10.0.0.0/33", "newcomer:app"], 2, "trusted_proxies"),
        ("worker class", ["-k", "gevent", "newcomer:app"], 2, "gevent"),
        ("nothing", [], 2, "no application given"),
        ("log folder", ["--error-log", "nowhere/log", "newcomer:app"], 3, "nowhere/log"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_one_clear_line(
    case: str,
    arguments: list[str],
    code: int,
    words: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (folder / "a.toml").write_text(TOML)
    if case == "TOML found":
        (folder / "hypercorn.toml").write_text(TOML)
    if case == "permission":

        def bind(*_: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("hypercorn.net.sockets.socket.socket.bind", bind, raising=False)
    with socket.socket() as taken:
        if case == "port in use":
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            arguments = [text.format(taken=taken.getsockname()[1]) for text in arguments]
        assert main("-w", "0", *arguments) == code
    said = capfd.readouterr().err.splitlines()
    # On stderr itself, or in the error log: pytest's handlers on the root logger make it another place than stderr.
    lines = [line for line in said if line.startswith("hypercorn: error: ") or "] [ERROR] " in line]
    assert len(lines) == 1, lines
    assert words in lines[0]


@pytest.mark.parametrize("check", [[], ["--check-config"]])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--http3"], "http3 = True (flag --http3) needs a certificate: set certfile"),
        (["--quic-bind", "localhost:0"], "quic_bind = ['localhost:0'] (flag --quic-bind) needs a certificate"),
        (["--certfile", "alone.pem"], "certfile = 'alone.pem' (flag --certfile) holds no private key: set keyfile"),
    ],
)
def test_tls_without_its_files(
    arguments: list[str], said: str, check: list[str], tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """Exit code 2, before anything is served."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alone.pem").write_text("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n")
    with pytest.raises(SystemExit) as caught:
        hypercorn.__main__.main([*check, *arguments, "module:app"])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err
