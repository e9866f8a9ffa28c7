"""The command as a process: started, talked to, sent signals, and its exit code and output looked at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.peer import PATIENCE, Peer

ROOT = Path(__file__).resolve().parents[2]
# Byte code for all processes that the tests start, where this one writes none: without, each would compile everything.
BYTE_CODE = tempfile.TemporaryDirectory(prefix="hypercorn-tests-")
RUNNING = re.compile(r"Running on (\w+)://(.*?) \(CTRL \+ C to quit\)")


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, without options of its own and with its import paths."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HYPERCORN_") or name == "HYPERCORN_PURE_PYTHON"
    }
    # Where the package comes from, and the root for `examples` and `tests`.
    paths = [path for path in sys.path if path and Path(path, "hypercorn").is_dir()]
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    own = {
        "PYTHONPYCACHEPREFIX": BYTE_CODE.name,
        "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)]),
        "PYTHONWARNINGS": "",
        "HYPERCORN_IDLE_GRACE": "0",  # most tests end with connections that they have just used
    }
    return {**kept, **own, **variables}


def complaints(lines: Iterable[str]) -> list[str]:
    """The lines that say why a server did not start: records of its error log, or on stderr where there is none yet."""
    return [line for line in lines if line.startswith("hypercorn: error: ") or "] [ERROR] " in line]


class Command:
    """`hypercorn ARGUMENTS` as a child process."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        program: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        **variables: str,
    ):
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *(program or ("-m", "hypercorn")), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT if cwd is None else cwd,
            env=environment(**variables),
        )
        self.errors: list[str] = []  # lines on stderr
        self.output: list[str] = []  # lines on stdout
        self.ended = False  # it has closed one of them
        self.arrived = threading.Condition()
        self.readers = [
            threading.Thread(target=self.read, args=(self.process.stderr, self.errors), daemon=True),
            threading.Thread(target=self.read, args=(self.process.stdout, self.output), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self.arrived:
                    lines.append(line)
                    self.arrived.notify_all()
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()

    def await_line(self, pattern: re.Pattern[str], lines: list[str] | None = None) -> re.Match[str]:
        """The first line on stderr, or in `lines`, that matches."""
        where = self.errors if lines is None else lines

        def search() -> re.Match[str] | None:
            return next((found for line in where if (found := pattern.search(line))), None)

        with self.arrived:
            self.arrived.wait_for(lambda: search() or self.ended, PATIENCE)
        found = search()
        assert found, f"no {pattern.pattern!r}; exit code {self.process.poll()}; {''.join(self.errors)}"
        return found

    def address(self) -> tuple[str, int]:
        """Where it says that it runs."""
        host, _, port = self.await_line(RUNNING)[2].rpartition(":")
        return host.strip("[]"), int(port)

    def connect(self, **options: Any) -> Peer:
        """A connection to where it says that it runs."""
        return Peer(self.address(), **options)

    def refused(self) -> bool:
        """True where nobody listens any more."""
        try:
            Peer(self.address()).close()
        except ConnectionError:
            return True
        return False

    def notify(self, number: int) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def code(self, within: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(within)
        for reader in self.readers:
            reader.join(PATIENCE)
        return code

    def end(self, number: int = signal.SIGINT) -> int:
        """Ends it by a signal, and gives the exit code."""
        self.notify(number)
        return self.code()

    @property
    def complaint(self) -> str:
        """What it wrote to stderr beyond what went as it should."""
        return "".join(line for line in self.errors if "[INFO]" not in line)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(PATIENCE)
