"""Writes docs/migration/first-commands.md: what people type first, and what the command does with it.

python docs/make_first_commands.py            writes the page
python docs/make_first_commands.py --check    exits with 1 where the page is not what the command does
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import hypercorn.__main__
from hypercorn.asgi.loading import load_configured
from hypercorn.config import Config
from hypercorn.config.options import OPTIONS
from hypercorn.supervisor.exit_codes import explain
from hypercorn.supervisor.worker_classes import find_worker

PAGE = Path(__file__).with_name("migration") / "first-commands.md"
INTRODUCTION = """\
# First commands

<!-- Made by docs/make_first_commands.py: change the commands there, and run that. -->

These are the commands that newcomers type first: those in the documentation of uvicorn, gunicorn, Granian and Daphne,
with `hypercorn` in place of their names. An error is the text that stderr shows after `hypercorn: error:`; nothing is
served then. The tests run every row.
"""
# What the documentation of each server has its readers type.
COMMANDS: dict[str, list[str]] = {
    "uvicorn and FastAPI": [
        "main:app",
        "main:app --reload",
        "main:app --host 0.0.0.0 --port 80",
        "main:app --port 8001",
        "--host :: main:app",
        "main:app --workers 4",
        "--factory main:create_app",
        "main:create_app",
        "main:app --uds /tmp/app.sock",
        "main:app --fd 3",
        "main:app --log-level debug",
        "main:app --no-access-log",
        "main:app --loop uvloop",
        "main:app --http httptools",
        "main:app --ws websockets",
        "main:app --ssl-keyfile=key.pem --ssl-certfile=cert.pem",
        "main:app --proxy-headers --forwarded-allow-ips='*'",
        "main:app --forwarded-allow-ips='*'",
        "main:app --root-path /api/v1",
        "main:app --limit-max-requests 1000",
        "main:app --timeout-keep-alive 5",
        "main:app --timeout-graceful-shutdown 10",
        "main:app --env-file .env",
        "main:app --reload --reload-dir src",
        "main:app --app-dir src",
        "main:app --no-server-header",
        "main:app --interface wsgi",
        "run main:app",
        "dev main.py",
    ],
    "gunicorn, Flask and Django": [
        "app:app",
        "-w 4 app:app",
        "-w 4 -b 0.0.0.0:8000 app:app",
        "-b :8000 app:app",
        "-b 8000 app:app",
        "'app:create_app()'",
        "main:app -w 4 -k uvicorn.workers.UvicornWorker",
        "-k gevent app:app",
        "--bind unix:/tmp/app.sock -m 007 app:app",
        "--threads 4 app:app",
        "--timeout 120 app:app",
        "-D app:app",
        "--access-logfile - app:app",
        "--chdir src app:app",
        "--reload app:app",
        "--preload app:app",
        "--name shop app:app",
        "mysite.wsgi",
    ],
    "Granian": [
        "--interface asgi main:app",
        "--host 0.0.0.0 --port 8000 main:app",
        "--workers 4 --loop uvloop main:app",
        "--http 2 main:app",
        "--access-log main:app",
        "--blocking-threads 4 app:app",
        "--working-dir src main:app",
    ],
    "Daphne": [
        "mysite.asgi:application",
        "-b 0.0.0.0 -p 8001 mysite.asgi:application",
        "-u /tmp/daphne.sock mysite.asgi:application",
        "-e ssl:443:privateKey=key.pem:certKey=cert.pem mysite.asgi:application",
        "--fd 5 mysite.asgi:application",
    ],
    "Slips": [
        "",
        "main",
        "main.py",
        "src/main.py:app",
        "main:nothing",
        "main:ap",
        "main.app",
        "Main:app",
        "shop:app",
        "deep:app",
        "--prot 8001 main:app",
        "main:app --port http",
        "main:app --port",
        "main:app --workers many",
        "-p 8001 main:app",
        "main:app main:app",
        "runserver 0.0.0.0:8000",
    ],
}
ASGI = "async def app(scope, receive, send): ...\n\ndef create_app():\n    return app\n"
WSGI = "def app(environ, start_response): ...\n\ndef create_app():\n    return app\n"
FILES = {
    "main.py": ASGI,
    "app.py": WSGI,
    "src/main.py": ASGI,
    "src/deep.py": ASGI,
    "mysite/__init__.py": "",
    "mysite/asgi.py": ASGI.replace("app", "application"),
    "mysite/wsgi.py": WSGI.replace("app", "application"),
    ".env": "DEBUG_OF_FIRST_COMMANDS=1\n",
}
MODULES = ("main", "app", "deep", "mysite", "mysite.asgi", "mysite.wsgi")


@contextlib.contextmanager
def project() -> Iterator[str]:
    """A folder with applications as the working directory, and nothing of this machine's settings."""
    before, path, environ = os.getcwd(), list(sys.path), dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="first-commands-") as folder:
        for name, text in FILES.items():
            Path(folder, name).parent.mkdir(exist_ok=True)
            Path(folder, name).write_text(text)
        for name in [*os.environ]:
            if name in ("PORT", "WEB_CONCURRENCY") or (name.startswith("HYPERCORN_") and "PURE" not in name):
                del os.environ[name]
        os.chdir(folder)
        try:
            yield os.path.realpath(folder)
        finally:
            os.chdir(before)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(environ)
            for name in MODULES:
                sys.modules.pop(name, None)


def outcome(typed: str) -> str:
    """What the command does, as Markdown."""
    served: list[Config] = []

    def run(config: Config, **_: Any) -> int:
        try:
            find_worker(config.worker_class)
            load_configured(config)
        except Exception as error:
            text, code = explain(error, config)
            print(text, file=sys.stderr)
            return code
        served.append(config)
        return 0

    output, errors = io.StringIO(), io.StringIO()
    with project() as folder, mock.patch.object(hypercorn.__main__, "run", run):
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                hypercorn.__main__.main(shlex.split(typed))
            except SystemExit:
                pass
        lines = errors.getvalue().replace(folder, "/srv/app").splitlines()
    words = [f"serves on {' and '.join(map(code, served[0].bind))}{settings(served[0])}"] if served else []
    for line in filter(None, lines):
        kind, _, text = line.removeprefix("hypercorn: ").partition(": ")
        words.append(f"{kind}: {escape(text)}")
    return "; ".join(words)


def settings(config: Config) -> str:
    """What was set besides the address."""
    found = []
    for option in OPTIONS:
        if option.name not in ("application_path", "bind") and config.origin(option.name).startswith("flag "):
            found.append(code(f"{option.name} = {getattr(config, option.name)!r}"))
    return f", {', '.join(found)}" if found else ""


def code(text: str) -> str:
    """Text as code."""
    return f"`{text}`"


def escape(text: str) -> str:
    """Text of an error in a cell of a table."""
    return code(text.replace("|", "\\|"))


def rows() -> list[tuple[str, str]]:
    """Every command, and where it comes from."""
    return [(server, typed) for server, commands in COMMANDS.items() for typed in commands]


def row(typed: str) -> str:
    """A row of the page."""
    return f"| {code(f'hypercorn {typed}'.strip())} | {outcome(typed)} |"


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION.rstrip("\n")]
    for server, commands in COMMANDS.items():
        lines += ["", f"## {server}", "", "| Typed | What happens |", "|---|---|", *map(row, commands)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    text = page()
    if "--check" in arguments:
        if PAGE.read_text() == text:
            return 0
        print(f"{PAGE.name} is not what the command does: python docs/make_first_commands.py")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
