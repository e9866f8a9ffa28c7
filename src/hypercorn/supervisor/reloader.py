"""Monitors source files in a process of its own, which never sees the application, and reports changes by a pipe.

With `watchfiles` (the extra `reload`) the system reports changes; without it the files are looked at from time to time,
as seldom as it takes to cost next to nothing.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator

MIN_POLL_SECONDS = 0.25  # between two scans
POLL_SHARE = 400  # a scan may take up one part in so many of the time
DEBOUNCE_SECONDS = 0.05  # in which changes that belong together come in
# Sent to all processes of a group or a service, these are for the parent, whose end is this process's.
FOR_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT) if sys.platform != "win32" else ()
NOT_CODE = ("__pycache__", "node_modules", "site-packages")

Files = dict[str, tuple[int, int]]  # time of change and size, by path


class Rules:
    """Which files matter: those in `folders`, else in the working directory, and in the folders of `include`.

    Patterns are matched against a file's name and against its path below the folder.
    """

    def __init__(self, folders: list[str], include: list[str], exclude: list[str]) -> None:
        self.include = [one for one in include if not os.path.isdir(one)] or ["*.py"]
        self.exclude = [one.rstrip("/") for one in exclude]
        wanted = [*(folders or [os.getcwd()]), *(one for one in include if os.path.isdir(one))]
        self.folders = list(dict.fromkeys(os.path.abspath(one) for one in wanted))

    def leaves_out(self, path: str, name: str) -> bool:
        """True for a file or a folder that does not matter."""
        return name.startswith(".") or name in NOT_CODE or self.matches(self.exclude, path, name)

    def takes(self, path: str) -> bool:
        """True for a file that matters; no folder on the way to it is left out."""
        name = os.path.basename(path)
        if not self.matches(self.include, path, name):
            return False
        for folder in self.folders:
            below = os.path.relpath(path, folder)
            if not below.startswith(".."):
                walked = folder
                for part in below.split(os.sep):
                    walked = os.path.join(walked, part)
                    if self.leaves_out(walked, part):
                        return False
                return True
        return False

    def matches(self, patterns: list[str], path: str, name: str) -> bool:
        """True where one of the patterns fits."""
        for pattern in patterns:
            if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path, os.path.abspath(pattern)):
                return True
        return False

    def files(self) -> Files:
        """Time of change and size of every file that matters."""
        found: Files = {}
        for folder in self.folders:
            self.scan(folder, found)
        return found

    def scan(self, folder: str, found: Files) -> None:
        """Adds those of one folder and all below."""
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            return  # a virtual environment
        for entry in entries:
            if self.leaves_out(entry.path, entry.name):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    self.scan(entry.path, found)
                elif self.matches(self.include, entry.path, entry.name):
                    status = entry.stat()
                    found[entry.path] = (status.st_mtime_ns, status.st_size)
            except OSError:
                pass  # it has gone meanwhile


def polled(rules: Rules, alive: Callable[[], bool], before: Files) -> Iterator[list[str]]:
    """Yields the files that changed, each time that some did. `before` is how they were at the start."""
    pause = MIN_POLL_SECONDS
    while alive():
        time.sleep(pause)
        began = time.monotonic()
        now = rules.files()
        pause = max(MIN_POLL_SECONDS, POLL_SHARE * (time.monotonic() - began))
        pause = min(pause, 5.0)
        if now != before:
            time.sleep(DEBOUNCE_SECONDS)
            now = rules.files()
            yield differences(before, now)
            before = now


def differences(before: Files, now: Files) -> list[str]:
    """The files that are not what they were."""
    return sorted({path for path, _ in now.items() ^ before.items()})


def reported(
    rules: Rules,
    alive: Callable[[], bool],
    before: Files,
    watch_files: Callable[..., Iterator[Iterable[tuple[object, str]]]],
) -> Iterator[list[str]]:
    """Yields the files that changed, as the system reports them."""
    options = {"yield_on_timeout": True, "rust_timeout": 1000, "step": int(DEBOUNCE_SECONDS * 1000), "debounce": 400}
    began = False
    for changes in watch_files(*rules.folders, watch_filter=None, ignore_permission_denied=True, **options):
        if not alive():
            return
        changed = {path for _, path in changes if rules.takes(path)}
        if not began:  # nothing was reported of what changed before the system began to watch
            began = True
            changed.update(differences(before, rules.files()))
        if changed:
            yield sorted(changed)


def main(folders: list[str], include: list[str], exclude: list[str], parent: int) -> None:
    """The watching process: a line of JSON on stdout for each change, until its parent is gone."""
    for number in FOR_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_PARENT)
    rules = Rules(folders, include, exclude)

    def alive() -> bool:
        return os.getppid() == parent

    before = rules.files()
    print(json.dumps("watching"), flush=True)
    try:
        watch_files = importlib.import_module("watchfiles").watch
    except ImportError:
        changes = polled(rules, alive, before)
    else:
        changes = reported(rules, alive, before, watch_files)
    for changed in changes:
        print(json.dumps(changed), flush=True)


class Reloader:
    """The watching process, as the supervisor sees it."""

    watching = False  # it has seen how the files are: what changes from here on is noticed

    def __init__(
        self, folders: list[str], include: list[str], exclude: list[str], changed: Callable[[list[str]], None]
    ) -> None:
        self.changed = changed
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        arguments = f"{folders!r}, {include!r}, {exclude!r}, {os.getpid()}"
        work = f"from hypercorn.supervisor.reloader import main; main({arguments})"
        code = f"import sys; sys.path.insert(0, {root!r}); {work}"
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_PARENT)  # until it ignores them by itself
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self.rest = b""

    def fileno(self) -> int:
        """The pipe's descriptor."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> bool:
        """Reports the changes that came. False where the process has ended."""
        data = os.read(self.fileno(), 65536)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            found = json.loads(line)
            if isinstance(found, list):
                self.changed(found)
            else:
                self.watching = True
        return bool(data)

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self.close_in_worker()

    def close_in_worker(self) -> None:
        """Closes this end of the pipe."""
        if self.process.stdout is not None:
            self.process.stdout.close()
