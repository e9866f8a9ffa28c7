"""The pid file: the process id of a running server, for other programs."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypercorn.errors import HypercornError


class PidFileError(HypercornError):
    """The pid file belongs to a process that runs, or cannot be written."""


@contextmanager
def pid_file(path: str | None, replaces: int | None = None) -> Iterator[Callable[[], None]]:
    """Keeps this process's id in the file at `path`, and removes it at the end.

    Where it `replaces` the process that the file names, that is done when what this gives is called. Raises
    PidFileError if the process that the file names is alive, or the file cannot be written.
    """
    if path is None:
        yield lambda: None
        return
    file = Path(path).absolute()  # the application may change the working directory
    pid = str(os.getpid())
    try:
        other = _read_pid(file)
        if other is not None and other != replaces and _is_alive(other):
            raise PidFileError(f"the pid file {path} names process {other}, which is running")
        if replaces is None:
            write_pid(file, pid)
    except OSError as error:
        raise PidFileError(f"the pid file {path} cannot be written: {error.strerror or error}") from error

    def claim() -> None:
        with suppress(OSError):
            write_pid(file, pid)

    try:
        yield (lambda: None) if replaces is None else claim
    finally:
        remove_pid_file(str(file))


def write_pid(file: Path, pid: str) -> None:
    """Writes a process id. Raises OSError, also for a symbolic link: whoever may make one in the file's folder would
    have this process, perhaps root's, overwrite any file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(file, flags, 0o644), "w") as stream:
        stream.write(pid)


def remove_pid_file(path: str | None) -> None:
    """Removes the pid file, where it names this process."""
    with suppress(OSError, ValueError):
        if path is not None and Path(path).read_text() == str(os.getpid()):
            os.unlink(path)


def _read_pid(file: Path) -> int | None:
    try:
        if file.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link")
        pid = int(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 0 and pid != os.getpid() else None


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return False  # os.kill(pid, 0) would be a Ctrl-C there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
