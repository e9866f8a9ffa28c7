"""`manage.py runserver` and `manage.py hypercorn` of the app `hypercorn.django`, in a project of its own."""

from __future__ import annotations

import os
import re
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from tests.django_app.project import ASGI_SETTING, WSGI_SETTING, make_project
from tests.process.command import RUNNING, Command
from tests.support.peer import PATIENCE

pytest.importorskip("django")
STARTING = re.compile(r"Starting (ASGI|WSGI) development server \(Hypercorn .*\) at (\S+)/$")


# In a session of its own, and with SIGINT as a terminal's processes have it: it is ignored where a shell runs tests in
# the background.
IN_A_SESSION = """
import os, signal, sys
os.setsid()
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def manage(path: Path, *arguments: str) -> Command:
    """`manage.py ARGUMENTS` in a session of its own, as a terminal starts it."""
    prefix = () if sys.platform == "win32" else (sys.executable, "-c", IN_A_SESSION)
    return Command(*arguments, cwd=path.parent, program=(path.name,), prefix=prefix)


def interrupt(command: Command) -> int:
    """Ctrl-C in a terminal: for all processes of the session. Gives the exit code; ends within two seconds."""
    os.killpg(command.process.pid, signal.SIGINT)
    return command.code(2)


def read(url: str, path: str = "/", context: ssl.SSLContext | None = None) -> str:
    with closing(urllib.request.urlopen(url + path, timeout=PATIENCE, context=context)) as response:
        text: str = response.read().decode()
    return text


def url_of(command: Command, interface: str) -> str:
    """Where `runserver` says that it serves."""
    found = command.await_line(STARTING, command.output)
    assert found[1] == interface
    return found[2]


@pytest.mark.parametrize("flags", [[], ["--noreload"]], ids=["reload", "noreload"])
@pytest.mark.parametrize(
    ("setting", "interface", "request_class"),
    [(ASGI_SETTING, "ASGI", "ASGIRequest"), (WSGI_SETTING, "WSGI", "WSGIRequest"), ("", "WSGI", "WSGIRequest")],
    ids=["asgi", "wsgi", "neither"],
)
def test_runserver(flags: list[str], setting: str, interface: str, request_class: str, tmp_path: Path) -> None:
    path = make_project(tmp_path, setting)
    with manage(path, "runserver", "127.0.0.1:0", *flags) as command:
        url = url_of(command, interface)
        assert read(url).startswith(f"first {request_class} http ")
        assert read(url, "/static/hello.css") == "body {}\n"
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            read(url, "/static/missing.css")
        missing.value.close()
        command.await_line(re.compile(r'"GET / 1.1" 200 \d+'))
        command.await_line(re.compile(r'"GET /static/missing.css 1.1" 404'))
        assert interrupt(command) == 0
    assert "Traceback" not in "".join(command.errors)


def test_runserver_takes_websockets(tmp_path: Path) -> None:
    client = pytest.importorskip("websockets.sync.client")
    with manage(make_project(tmp_path), "runserver", "127.0.0.1:0", "--noreload") as command:
        url = url_of(command, "ASGI")
        with client.connect(f"ws{url[4:]}/echo") as websocket:
            websocket.send("hello")
            assert websocket.recv(PATIENCE) == "hello"
            os.killpg(command.process.pid, signal.SIGINT)
            with pytest.raises(Exception, match="1012"):  # the close code of a restart
                websocket.recv(PATIENCE)
        assert command.code(2) == 0
    assert "Traceback" not in "".join(command.errors)


def test_runserver_serves_new_code(tmp_path: Path) -> None:
    path = make_project(tmp_path)
    with manage(path, "runserver", "127.0.0.1:0") as command:
        first = read(url_of(command, "ASGI"))
        command.output.clear()
        time.sleep(1.1)  # Django looks at the files once a second
        views = tmp_path / "shop" / "urls.py"
        views.write_text(views.read_text().replace("first", "second"))
        second = read(url_of(command, "ASGI"))
        assert second.startswith("second ASGIRequest")
        assert first.split()[-1] != second.split()[-1]
        assert interrupt(command) == 0
    assert "Traceback" not in "".join(command.errors)


def test_runserver_serves_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with manage(make_project(tmp_path), "runserver", "127.0.0.1:0", "--noreload", "--certfile=cert.pem") as command:
        url = url_of(command, "ASGI")
        assert url.startswith("https://")
        assert read(url, context=context).startswith("first ASGIRequest https ")


def test_runserver_can_leave_asgi_out(tmp_path: Path) -> None:
    with manage(make_project(tmp_path), "runserver", "127.0.0.1:0", "--noreload", "--noasgi", "--nostatic") as command:
        url = url_of(command, "WSGI")
        assert "WSGIRequest" in read(url)
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            read(url, "/static/hello.css")
        missing.value.close()


@pytest.mark.parametrize("flags", [[], ["--noreload"]], ids=["reload", "noreload"])
def test_runserver_says_that_the_address_is_taken(flags: list[str], tmp_path: Path) -> None:
    path = make_project(tmp_path)
    with manage(path, "runserver", "127.0.0.1:0", "--noreload") as command:
        address = url_of(command, "ASGI").partition("://")[2]
        with manage(path, "runserver", address, *flags) as other:
            assert other.code() == 1
    assert any(line.startswith("Error: ") and address in line for line in other.errors)
    assert "Traceback" not in "".join(other.errors)


def test_runserver_says_what_asgi_application_is_wrong(tmp_path: Path) -> None:
    path = make_project(tmp_path, 'ASGI_APPLICATION = "shop.asgi.missing"')
    with manage(path, "runserver", "127.0.0.1:0", "--noreload") as command:
        assert command.code() != 0
    assert "ASGI_APPLICATION 'shop.asgi.missing' cannot be loaded" in "".join(command.errors)


def test_the_app_has_to_stand_first(tmp_path: Path) -> None:
    path = make_project(tmp_path, apps=["django.contrib.staticfiles", "hypercorn.django"])
    with manage(path, "check") as command:
        assert command.code() == 1
    assert "hypercorn.E001" in "".join(command.errors)


@pytest.mark.parametrize(
    ("setting", "request_class"),
    [(ASGI_SETTING, "ASGIRequest"), (WSGI_SETTING, "WSGIRequest"), ("", "WSGIRequest")],
    ids=["asgi", "wsgi", "neither"],
)
def test_hypercorn(setting: str, request_class: str, tmp_path: Path) -> None:
    path = make_project(tmp_path, setting)
    flags = ("-b", "127.0.0.1:0", "--settings=shop.settings", "--access-log", "-")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Command("hypercorn", *flags, cwd=elsewhere, program=(str(path),)) as command:
        host, port = command.address()
        assert read(f"http://{host}:{port}").startswith(f"first {request_class} http ")
        assert command.end(signal.SIGTERM) == 0
    assert "Traceback" not in "".join(command.errors)


@pytest.mark.skipif(sys.platform == "win32", reason="one worker serves there")
def test_hypercorn_has_workers(tmp_path: Path) -> None:
    with manage(make_project(tmp_path), "hypercorn", "-b", "127.0.0.1:0", "-w", "2") as command:
        host, port = command.address()
        assert read(f"http://{host}:{port}").split()[-1] != str(command.process.pid)
        assert command.end(signal.SIGTERM) == 0


def test_hypercorn_says_what_flag_is_wrong(tmp_path: Path) -> None:
    with manage(make_project(tmp_path), "hypercorn", "--wrokers", "2") as command:
        assert command.code() == 2
    assert "--workers" in "".join(command.errors)


def test_hypercorn_is_called_from_code(tmp_path: Path) -> None:
    path = make_project(tmp_path)
    (tmp_path / "call.py").write_text(
        "import django, os\n"
        "from django.core.management import call_command\n"
        'os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"\n'
        "django.setup()\n"
        'call_command("hypercorn")\n'
    )
    with Command(cwd=path.parent, program=("call.py",), HYPERCORN_BIND="127.0.0.1:0") as command:
        command.await_line(RUNNING)
        assert command.end(signal.SIGTERM) == 0
