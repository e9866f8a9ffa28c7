"""The preemption hook: a function of the operator's that returns once the machine is about to be taken away.

It runs in a process of its own, which has nothing to do but wait, so that neither the supervisor nor a worker imports
the operator's code, and nothing that it does can hold them up. `supervisor.preemption` is that process's side. It
answers by one line of JSON on its stdout; what the function prints goes to stderr. It ends with the server, as its
stdin does, also where the server is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.logs.logger import ErrorLog

FIRST_WAIT_SECONDS = 10.0  # after a call that failed, doubled each time
LONGEST_WAIT_SECONDS = 300.0  # a call that went on for so long makes it the first again
ANSWER_BYTES = 65536  # of an answer that are kept
END_SECONDS = 1.0  # that the process has to end


@dataclass(frozen=True)
class Notice:
    """The machine goes in so many seconds; None where that is not known."""

    seconds: float | None


def preemption_text(seconds: float | None) -> str:
    """The reason of a stop, for the log."""
    return "preemption notice" if seconds is None else f"preemption notice, {seconds:g} s left"


class PreemptionHook:
    """The process that waits for the notice; another takes its place where the function fails.

    again_at: when it is to be started, seconds of `time.monotonic`; infinity while it runs, and once it is over
    """

    def __init__(self, name: str, app_dir: str | None, log: ErrorLog) -> None:
        self.name = name
        self.folder = os.path.abspath(app_dir or "")
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.answer = b""
        self.again_at = 0.0
        self.started_at = 0.0
        self.wait = FIRST_WAIT_SECONDS

    @classmethod
    def of(cls, config: Config, log: ErrorLog) -> PreemptionHook | None:
        """The hook of a configuration, if it has one."""
        if config.preemption_hook is None:
            return None
        return cls(config.preemption_hook, config.app_dir, log)

    def start(self, now: float) -> bool:
        """Starts the process. Returns False where that is impossible for now; the log says why."""
        self.again_at = inf
        self.started_at = now
        self.answer = b""
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        program = (
            f"import sys; sys.path[:0] = [{self.folder!r}, {root!r}]; "
            f"from hypercorn.supervisor.preemption import answer_for; answer_for({self.name!r})"
        )
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        except OSError as error:
            self.failed(f"cannot be started: {error}", now)
            return False
        return True

    def fileno(self) -> int:
        """The descriptor that can be read once the process has something to say."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> bool:
        """Reads of the answer what there is, or waits for it. Returns True once it is whole."""
        data = os.read(self.fileno(), ANSWER_BYTES)
        self.answer = (self.answer + data)[:ANSWER_BYTES]
        return not data or b"\n" in data

    def result(self, now: float) -> Notice | None:
        """What a whole answer says. Returns None for an error, which is logged; the function is called again later."""
        self.end_process()
        try:
            found = json.loads(self.answer)
            seconds, error = found["seconds"], found["error"]
        except (ValueError, LookupError, TypeError):
            seconds, error = None, "its process ended without an answer"
        if error is None:
            return Notice(seconds)
        self.failed(error, now)
        return None

    def failed(self, reason: str, now: float) -> None:
        """Logs an error of the hook, and plans the next call."""
        if now - self.started_at > LONGEST_WAIT_SECONDS:
            self.wait = FIRST_WAIT_SECONDS
        self.log.log_error(
            "The preemption hook %s failed, trying again in %.0f seconds: %s", self.name, self.wait, reason
        )
        self.again_at = now + self.wait
        self.wait = min(2 * self.wait, LONGEST_WAIT_SECONDS)

    def end_process(self) -> None:
        """Ends the process."""
        process, self.process = self.process, None
        if process is None:
            return
        for file in (process.stdin, process.stdout):
            if file is not None:
                file.close()
        with suppress(OSError):
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)

    def close(self) -> None:
        """No notice is wanted any more."""
        self.again_at = inf
        self.end_process()

    def close_in_worker(self) -> None:
        """In a forked worker: lets go of the process, which must not outlive its parent because of this one."""
        process = self.process
        if process is not None:
            for file in (process.stdin, process.stdout):
                if file is not None:
                    file.close()


class PreemptionThread:
    """Waits for the notice in a thread, where a worker has no supervisor."""

    def __init__(self, hook: PreemptionHook, noticed: Callable[[Notice], object]) -> None:
        """`noticed` is called in the thread."""
        self.hook = hook
        self.noticed = noticed
        self.closing = threading.Event()
        threading.Thread(target=self.run, name="hypercorn-preemption", daemon=True).start()

    def run(self) -> None:
        """The thread."""
        hook = self.hook
        while not self.closing.wait(max(0.0, hook.again_at - time.monotonic())):
            if not hook.start(time.monotonic()):
                continue
            try:
                while not hook.read():
                    pass
            except OSError:  # it was closed meanwhile
                return
            if self.closing.is_set():
                return
            notice = hook.result(time.monotonic())
            if notice is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self.noticed(notice)
                return

    def close(self) -> None:
        """No notice is wanted any more. The process ends, and with it the thread."""
        self.closing.set()
        process = self.hook.process
        if process is not None:
            process.kill()
