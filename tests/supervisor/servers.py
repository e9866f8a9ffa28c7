"""A supervised server as real processes, and a load of requests on it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.process.command import Command
from tests.support.live import eventually
from tests.support.peer import PATIENCE

APP = "tests.supervisor.apps:app"
WAIT = PATIENCE


class Server(Command):
    """`hypercorn` with workers. `how` and `file` go to the application."""

    def __init__(
        self,
        *arguments: str,
        app: str = APP,
        how: str = "",
        file: Any = "",
        bind: str = "127.0.0.1:0",
        **options: Any,
    ) -> None:
        variables = {"TEST_START": how, "TEST_FILE": str(file), "HYPERCORN_CONTROL": "none"}
        where = ("-b", bind) if bind else ()
        super().__init__(*where, *arguments, app, **{**variables, **options})

    def workers(self) -> set[int]:
        """The ids of its processes."""
        return children_of(self.process.pid)

    def serving(self, count: int) -> set[int]:
        """Waits until there are exactly that many workers that answer, and gives their ids."""
        self.address()

        def answering() -> set[int]:
            found = self.workers()
            if len(found) != count:
                return set()
            seen: set[int] = set()
            for _ in range(40 * count):
                seen.add(self.pid())
                if seen >= found:
                    return found
            return set()

        found: set[int] = eventually(answering, WAIT)
        return found

    def pid(self, path: str = "/") -> int:
        """The worker that answers a request."""
        with self.connect() as peer:
            response = peer.get(path)
            assert response.status == 200
            return int(response.body)

    def said(self, pattern: str) -> bool:
        """True where a line on stderr matches."""
        return any(re.search(pattern, line) for line in list(self.errors))

    def await_said(self, pattern: str) -> None:
        """Waits for a line on stderr."""
        eventually(lambda: self.said(pattern), WAIT)

    @property
    def complaint(self) -> str:
        """What it wrote to stderr beyond what went as it should."""
        return "".join(line for line in self.errors if "[INFO]" not in line)


def children_of(pid: int) -> set[int]:
    """The ids of a process's children, zombies left out."""
    if sys.platform != "linux":
        done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
        return {int(line) for line in done.stdout.split()}
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.add(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """True while a process runs; a zombie does not."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Sends a signal, also to what is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Load:
    """Clients that ask one request after the other on connections that they keep, until the block ends."""

    def __init__(self, server: Server, clients: int = 4, pause: float = 0.002) -> None:
        self.address = server.address()
        self.pause = pause
        self.done = 0
        self.failures: list[str] = []
        self.pids: set[int] = set()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(clients)]

    def ask(self) -> None:
        connection = None
        while not self.ending.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(*self.address, timeout=WAIT)
                connection.request("GET", "/")
                response = connection.getresponse()
                self.pids.add(int(response.read()))
                self.done += 1
                if response.status != 200:
                    self.failures.append(str(response.status))
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(repr(error))
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(self.pause)
        if connection is not None:
            connection.close()

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(WAIT)
