"""Fifteen real applications under the server: `python -m bench.applications [NAME ...]`.

Each is installed into a virtual environment of its own, started with the line of docs/applications.md, used by Chromium
over HTTP/1.1 and over HTTP/2, and ended by Ctrl-C while the page is open. The table of that page is written anew.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import blocks_of
from tests.support.browser import Browser, Page

from bench.certificate import self_signed

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "applications.md"
START_SECONDS = 120.0
STOP_SECONDS = 60.0  # that are waited for
FAST_SECONDS = 1.0  # within which it should have ended
CLICK = "[...document.querySelectorAll('button, .bk-btn')].find(one => one.innerText.trim() == {!r}).click() || true"
TEXT = "document.body.innerText.includes({!r})"
# A WebSocket to a path of this origin that echoes; a promise of what came back.
ECHO = """new Promise((resolve, reject) => {{
  const socket = window.socket = new WebSocket(location.origin.replace('http', 'ws') + {!r});
  socket.onopen = () => socket.send('hello');
  socket.onmessage = event => resolve(event.data);
  socket.onerror = () => reject(new Error('refused'));
}})"""
POST = """fetch({!r}, {{method: 'POST', body: {!r}, headers: {{
  'content-type': 'application/json', accept: 'application/json, text/event-stream'
}}}}).then(answer => answer.text())"""
INITIALIZE = (
    '{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-03-26",'
    ' "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}'
)
# A subscription of the protocol graphql-transport-ws; a promise of the numbers that came.
COUNT = """new Promise((resolve, reject) => {
  const url = location.origin.replace('http', 'ws') + '/graphql';
  const socket = window.socket = new WebSocket(url, 'graphql-transport-ws');
  const numbers = [];
  socket.onopen = () => socket.send(JSON.stringify({type: 'connection_init'}));
  socket.onerror = () => reject(new Error('refused'));
  socket.onmessage = event => {
    const message = JSON.parse(event.data);
    if (message.type == 'connection_ack')
      socket.send(JSON.stringify({type: 'subscribe', id: '1', payload: {query: 'subscription { count }'}}));
    else if (message.type == 'next') numbers.push(message.payload.data.count);
    else resolve(numbers.join());
  };
})"""


@dataclass
class Application:
    """One of them: its heading in the page, what pip installs, and what Chromium does with it."""

    name: str
    packages: list[str]
    # JavaScript, one after the other: each is waited for until it is true.
    steps: list[str]
    path: str = "/"
    module: str = ""  # whose version is shown; the first package where it is empty
    before: list[str] = field(default_factory=list)  # commands in its environment
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Its name in file names."""
        return self.name.split()[-1].lower()


APPLICATIONS = [
    Application("Datasette", ["datasette"], [TEXT.format("dogs")], path="/pets"),
    Application("marimo", ["marimo"], [TEXT.format("42 is the answer")]),
    Application("Shiny", ["shiny"], [TEXT.format("Hello, world!")]),
    Application("NiceGUI", ["nicegui"], [CLICK.format("PRESS"), TEXT.format("pressed")]),
    Application(
        "Gradio",
        ["gradio"],
        [CLICK.format("Greet"), "[...document.querySelectorAll('textarea')].some(one => one.value == 'Hello, world!')"],
    ),
    Application("Streamlit", ["streamlit"], [TEXT.format("Press"), CLICK.format("Press"), TEXT.format("pressed")]),
    Application(
        "Panel",
        ["panel", "bokeh-fastapi", "fastapi"],
        ["typeof Bokeh != 'undefined' && Bokeh.index.roots && Bokeh.index.roots.length > 0"],
    ),
    Application(
        "Prefect",
        ["prefect"],
        [TEXT.format("Dashboard"), "fetch('/api/health').then(answer => answer.ok)"],
        variables={"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": "home"},
    ),
    Application(
        "mcp", ["mcp"], [POST.format("/mcp", INITIALIZE) + ".then(text => text.includes('serverInfo'))"], path="/mcp"
    ),
    Application(
        "strawberry",
        ["strawberry-graphql[fastapi]"],
        [
            POST.format("/graphql", '{"query": "{ hello }"}') + ".then(text => text.includes('world'))",
            COUNT + ".then(text => text == '0,1,2')",
        ],
        module="strawberry-graphql",
        path="/graphql",
    ),
    Application(
        "Django with Channels",
        ["django", "channels"],
        [TEXT.format("Hello from Django"), ECHO.format("/echo")],
        module="channels",
    ),
    Application(
        "Wagtail",
        ["wagtail"],
        [TEXT.format("Wagtail")],
        before=["wagtail start mysite .", "python manage.py migrate --verbosity 0"],
    ),
    Application("Flask", ["flask"], [TEXT.format("Hello from Flask")]),
    Application("Dash", ["dash"], [TEXT.format("Hello, world!")]),
    Application("Litestar", ["litestar"], [TEXT.format("Hello from Litestar"), ECHO.format("/echo")]),
]


@dataclass
class Result:
    """What a run over one version of HTTP gave; a fault is why it failed."""

    fault: str = ""
    protocol: str = ""
    stop: float = 0.0


def prepare(one: Application, environments: Path, work: Path, in_place: bool) -> tuple[str, list[str]]:
    """Installs an application and writes its files. Returns its version and the words of its line."""
    environment = environments / one.folder
    python = environment / "bin" / "python"
    if not (environment / ".done").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        own = ["hpack"] if in_place else [str(ROOT)]
        subprocess.run([python, "-m", "pip", "install", "-q", *own, *one.packages], check=True)
        (environment / ".done").touch()
    section = PAGE.read_text().partition(f"\n## {one.name}\n")[2].partition("\n## ")[0]
    folder = work / one.folder
    folder.mkdir()
    for block in blocks_of(PAGE):
        if block.title.startswith(f"{one.folder}/"):
            (work / block.title).write_text(block.text)
    path = {**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    for command in one.before:
        subprocess.run(shlex.split(command), cwd=folder, env=path, check=True, stdout=subprocess.DEVNULL)
    package = one.module or one.packages[0]
    version = f"import importlib.metadata as m; print(m.version({package!r}))"
    said = subprocess.run([python, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    line = re.findall(r"^```sh\n(hypercorn .*)\n```$", section, re.MULTILINE)[0]
    return said, shlex.split(line)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def run(
    one: Application, words: list[str], environment: Path, folder: Path, flags: list[str], in_place: bool
) -> Result:
    """Starts the application, uses it in Chromium, ends it by Ctrl-C."""
    port = free_port()
    variables = {**os.environ, **one.variables, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    if in_place:
        variables["PYTHONPATH"] = str(ROOT / "src")
    command = [str(environment / "bin" / "python"), "-m", "hypercorn", *words[1:], "-b", f"127.0.0.1:{port}", *flags]
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=output, stderr=output, start_new_session=True
        )
    result = Result()
    try:
        await_start(process, log)
        with Browser.start() as browser:
            page = browser.open(f"{'https' if flags else 'http'}://127.0.0.1:{port}{one.path}")
            for step in one.steps:
                wait_for(page, step)
            result.protocol = page.run("performance.getEntriesByType('navigation')[0].nextHopProtocol")
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            process.wait(STOP_SECONDS)
            result.stop = time.monotonic() - began
        if process.returncode != 0:
            result.fault = f"exit code {process.returncode}"
        elif result.stop > FAST_SECONDS:
            result.fault = f"took {result.stop:.1f} s to stop"
    except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
        result.fault = " ".join(str(error).split())[:300] or repr(error)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if result.fault:
        print(log.read_text(errors="replace")[-3000:], file=sys.stderr)
    return result


def await_start(process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the server says that it runs. Raises AssertionError."""
    end = time.monotonic() + START_SECONDS
    while "Running on" not in log.read_text(errors="replace"):
        assert process.poll() is None, f"exit code {process.returncode} at the start"
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.05)


def wait_for(page: Page, step: str) -> None:
    """Waits until a step is true; what cannot be done yet is tried again. Raises AssertionError."""
    end = time.monotonic() + 60.0
    while True:
        try:
            if page.run(step):
                return
            problem = f"not true: {step}"
        except AssertionError as error:
            problem = str(error)
        assert time.monotonic() < end, f"{problem[:150]} {page.run('document.body.innerText')[:200]}"
        time.sleep(0.2)


def row(one: Application, version: str, results: list[Result]) -> str:
    """The row of the table."""
    cells = [f"[{one.name}](#{one.name.lower().replace(' ', '-')}) {version}"]
    wanted = ("http/1.1", "h2")
    for result, protocol in zip(results, wanted, strict=True):
        fault = result.fault or ("" if result.protocol == protocol else f"over {result.protocol}")
        cells.append(fault or "works")
    cells.append(" / ".join(f"{result.stop:.2f} s" for result in results))
    return f"| {' | '.join(cells)} |"


def write(rows: dict[str, str]) -> None:
    """Puts rows into the table of the page; those of other applications stay."""
    text = PAGE.read_text()
    before, _, rest = text.partition("<!-- table -->\n")
    old, _, after = rest.partition("<!-- end of table -->")
    kept = {match[1]: match[0] for match in re.finditer(r"^\| \[(.+?)\].*$", old, re.MULTILINE)}
    kept.update(rows)
    ordered = [kept[one.name] for one in APPLICATIONS if one.name in kept]
    python = ".".join(map(str, sys.version_info[:2]))
    head = f"Last run on {datetime.date.today():%-d %B %Y}, on Python {python}:\n\n"
    head += "| Application | HTTP/1.1 | HTTP/2 | Time to stop |\n|---|---|---|---|\n"
    table = head + "\n".join(ordered) + "\n"
    PAGE.write_text(f"{before}<!-- table -->\n{table}<!-- end of table -->{after}")


def main() -> int:
    """Runs all, or those that are named. Returns the number of failures."""
    parser = argparse.ArgumentParser(prog="python -m bench.applications", description=__doc__)
    parser.add_argument("names", nargs="*", help="some of: " + ", ".join(one.folder for one in APPLICATIONS))
    parser.add_argument("--environments", type=Path, help="a folder of virtual environments that are kept")
    parser.add_argument("--in-place", action="store_true", help="serve with this folder's sources, compiled in place")
    options = parser.parse_args()
    failures = 0
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="applications-") as temporary:
        work = Path(temporary)
        environments = options.environments or work / "environments"
        certificate, key = self_signed(work)
        for one in APPLICATIONS:
            if options.names and one.folder not in options.names:
                continue
            shutil.rmtree(work / one.folder, ignore_errors=True)
            version, words = prepare(one, environments, work, options.in_place)
            results = [
                run(one, words, environments / one.folder, work / one.folder, flags, options.in_place)
                for flags in ([], ["--certfile", certificate, "--keyfile", key])
            ]
            rows[one.name] = row(one, version, results)
            print(rows[one.name], flush=True)
            failures += any(result.fault for result in results)
    write(rows)
    return failures


if __name__ == "__main__":
    sys.exit(main())
