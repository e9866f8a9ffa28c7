"""Server processes: started, measured with all their children, and always ended."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 15.0  # seconds for a server to listen
PORTS = range(12000, 32000)
GRACE = 2.0  # seconds for it to end when asked


class ServerError(Exception):
    """A server did not do its part; the text says what happened."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, from below those that the system itself gives to connections (a
    load generator needs many of them). Raises ServerError where all are taken."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerError("no free port was found")


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{current}/task"):
                with suppress(OSError):
                    todo += map(int, Path(f"/proc/{current}/task/{thread}/children").read_text().split())
    return found


def is_running(pid: int) -> bool:
    """False for a process that is gone, or waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def cpu_times(pid: int) -> tuple[float, float]:
    """User and system time of the family so far in seconds, of children that have ended too."""
    user = system = 0
    for member in family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            utime, stime, cutime, cstime = map(int, fields[11:15])
            user += utime + cutime
            system += stime + cstime
    return user / TICKS, system / TICKS


def cpu_seconds(pid: int) -> float:
    """CPU time of the family so far, of children that have ended too."""
    return sum(cpu_times(pid))


def memory_kib(pid: int, kind: str = "Pss:") -> int:
    """Memory of the family in KiB, as PSS: pages that several processes share count once. `Pss_Anon:` leaves out the
    pages of files, whose share changes with every process elsewhere that maps them."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith(kind):
                    total += int(line.split()[1])
    return total


class ServerProcess:
    """A server on a port of its own, for the length of a `with` block. Raises ServerError if it does not start."""

    def __init__(self, command: Sequence[str], port: int, environment: Mapping[str, str]) -> None:
        self.command = command
        self.port = port
        self.environment = environment
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `stop`
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> ServerProcess:
        try:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.wait_until_listening()
        except OSError as error:
            self.stop()
            raise ServerError(f"could not be run: {error.strerror}") from error
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if isinstance(error, ServerError):  # what the server itself said may tell why
                ended = "; it had ended by itself" if self.has_ended() else ""
                raise ServerError(f"{error}{ended}{self.last_words()}") from error
        finally:
            self.stop()

    def wait_until_listening(self) -> None:
        """Returns when a connection is accepted. Raises ServerError."""
        assert self.process is not None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.has_ended():
                self.kill_group()
                code = self.process.wait()
                raise ServerError(f"ended at start with code {code}{self.last_words()}")
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return
            time.sleep(0.02)
        raise ServerError(f"did not listen within {PATIENCE:g} s{self.last_words()}")

    def last_words(self) -> str:
        """The last line that the server wrote, to put into a message."""
        self.log.seek(0)
        lines = self.log.read()[-4000:].decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f" ({said[-1][:200]})" if said else ""

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def memory_kib(self, kind: str = "Pss:") -> int:
        return memory_kib(self.pid, kind)

    def has_ended(self) -> bool:
        """True once the server is no more; its number stays reserved until `stop`."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def stop(self) -> None:
        """Ends the server and all its children, politely first."""
        process = self.process
        if process is not None and process.returncode is None:
            children = family(process.pid)[1:]
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            end = time.monotonic() + GRACE
            while not self.has_ended() and time.monotonic() < end:
                time.sleep(0.01)
            self.kill_group()
            for child in children:  # one that went to a group of its own; the number may be another's by now
                with suppress(OSError):
                    if os.getsid(child) == process.pid:
                        os.kill(child, signal.SIGKILL)
            process.wait()
            end = time.monotonic() + GRACE
            while any(map(is_running, children)) and time.monotonic() < end:  # killed, but not yet gone
                time.sleep(0.01)
        self.process = None
        self.log.close()

    def kill_group(self) -> None:
        """Ends what is left of the server's process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def raise_file_limit() -> None:
    """Lets this process, and the servers that it starts, open as many connections as the system allows."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_on_termination() -> None:
    """SIGTERM ends this process as Ctrl-C does, so that the servers it started end too."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
