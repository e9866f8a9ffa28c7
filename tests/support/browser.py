"""A headless Chromium for tests, driven over its DevTools protocol.

with Browser.start() as browser:
    page = browser.open(live.url)
    page.wait("document.title === 'Chat'")
    page.run("document.title")
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--ignore-certificate-errors",
    "--window-size=900,800",
    "--remote-debugging-port=0",
)
PATIENCE = 60.0  # seconds for whatever is waited for


def chromium() -> str:
    """The program. Skips the test where there is none, and says so."""
    found = os.environ.get("HYPERCORN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium was found (Debian: apt-get install chromium)")
    return found


class Page:
    """A tab with cookies and cache of its own."""

    def __init__(self, browser: Browser, context: str, session: str) -> None:
        self.browser = browser
        self.context = context
        self.session = session

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited. Raises AssertionError for what it throws."""
        result = self.browser.call(
            "Runtime.evaluate", self.session, expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, json.dumps(result["exceptionDetails"])[:2000]
        return result["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Waits until an expression is true, and gives its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"{condition}\n{self.run('document.body.innerText')}"
            time.sleep(0.03)
        return value

    def type(self, text: str) -> None:
        """Types into what has the focus, waiting for it, then presses Enter."""
        self.wait("document.activeElement !== document.body")
        self.browser.call("Input.insertText", self.session, text=text)
        for kind in ("keyDown", "keyUp"):
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            self.browser.call("Input.dispatchKeyEvent", self.session, type=kind, **key)

    def screenshot(self, path: Path) -> None:
        """Writes a PNG of what is seen."""
        result = self.browser.call("Page.captureScreenshot", self.session, format="png")
        path.write_bytes(base64.b64decode(result["data"]))

    def close(self) -> None:
        """Closes the tab."""
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)


class Browser:
    """A running Chromium."""

    def __init__(self, connection: Any, ends: ExitStack) -> None:
        self.connection = connection
        self.ends = ends
        self.numbers = itertools.count(1)

    @classmethod
    def start(cls, *flags: str, quic: bool = False, strict: bool = False) -> Browser:
        """Starts one in a folder of its own; `flags` are Chromium's. A `strict` one checks certificates. Skips the test
        where there is none."""
        left_out = ("--disable-quic",) * quic + ("--ignore-certificate-errors",) * strict
        own = [flag for flag in FLAGS if flag not in left_out]
        program = chromium()
        client = pytest.importorskip("websockets.sync.client")
        with ExitStack() as ends:
            folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True))
            process = subprocess.Popen(
                [program, *own, *flags, f"--user-data-dir={folder}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            ends.callback(end, process)
            port, path = await_port(process, Path(folder) / "DevToolsActivePort")
            sock = socket.create_connection(("127.0.0.1", port))  # given, so that no proxy is asked
            times = {"open_timeout": PATIENCE, "close_timeout": 1}
            url = f"ws://127.0.0.1:{port}{path}"
            connection = ends.enter_context(client.connect(url, sock=sock, max_size=None, compression=None, **times))
            return cls(connection, ends.pop_all())
        raise AssertionError  # not reached

    def open(self, url: str) -> Page:
        """A new tab that has loaded a page."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, context, session)
        self.call("Emulation.setFocusEmulationEnabled", session, enabled=True)
        result = self.call("Page.navigate", session, url=url)
        assert "errorText" not in result, result
        page.wait("location.href !== 'about:blank' && document.readyState === 'complete'")
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol. Raises AssertionError for its error."""
        number = next(self.numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.connection.send(json.dumps(message))
        while (answer := json.loads(self.connection.recv(PATIENCE))).get("id") != number:
            continue  # an event
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """Ends it."""
        with suppress(Exception):
            self.call("Browser.close")
        self.ends.close()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def await_port(process: subprocess.Popen[bytes], file: Path) -> tuple[int, str]:
    """Port and path of the DevTools, once Chromium has written them down."""
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(FileNotFoundError):
            lines = file.read_text().split("\n")
            if len(lines) > 1 and lines[1]:
                return int(lines[0]), lines[1]
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        assert time.monotonic() < until, "Chromium did not start"
        time.sleep(0.03)


def end(process: subprocess.Popen[bytes]) -> None:
    """Waits for the end of the program and of all that it started."""
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        pass
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
