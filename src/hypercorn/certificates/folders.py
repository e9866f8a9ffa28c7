"""Folders of the user in which keys and certificates are kept, and what several processes do there at the same time."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypercorn.errors import ConfigError

LOCK_SECONDS = 30.0  # that another process may hold a lock before a start gives up
RETRY_SECONDS = 0.05  # between two attempts to get it
OTHERS = 0o077  # the permissions of everybody but the owner


def data_folder() -> Path:
    """The folder for data of this user's programs that is this server's (XDG Base Directory Specification 0.8).

    Raises ConfigError for a user without a home.
    """
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME", "")
    if os.path.isabs(base):
        return Path(base, "hypercorn")
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise ConfigError("this user has no home for certificates: set XDG_DATA_HOME to a folder that it may write to")
    return Path(home, ".local", "share", "hypercorn")


def make_private(folder: Path, advice: str) -> None:
    """Makes a folder that only its owner may enter, or sees to it that it is one. So are those above that are made with
    it. Raises ConfigError with `advice`."""
    try:
        for one in (*reversed(folder.parents), folder):
            if not one.exists():
                one.mkdir(mode=0o700, exist_ok=True)
        if sys.platform != "win32":
            status = folder.stat()
            if status.st_uid != os.geteuid():
                raise ConfigError(f"the folder {folder} is another user's, who could read the keys; {advice}")
            if status.st_mode & OTHERS:
                folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be used: {error.strerror or error}; {advice}") from error


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes a file so that others see it whole or not at all. Raises OSError."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # with mode 0600
    try:
        with open(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode != 0o600:
            os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Keeps other processes out of the block. The lock ends with the process.

    Raises TimeoutError after so many seconds, OSError where there can be no lock.
    """
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        end = time.monotonic() + seconds
        while not take(file.fileno()):
            if time.monotonic() >= end:
                raise TimeoutError(f"another process has held the lock {path} for {seconds:g} seconds")
            time.sleep(RETRY_SECONDS)
        try:
            yield
        finally:
            release(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def take(number: int) -> bool:
        """Locks an open file. False where another process has locked it."""
        os.lseek(number, 0, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def release(number: int) -> None:
        """Unlocks it."""
        os.lseek(number, 0, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def take(number: int) -> bool:
        """Locks an open file. False where another process has locked it."""
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(number: int) -> None:
        """Unlocks it."""
        fcntl.flock(number, fcntl.LOCK_UN)
