"""When a certificate of `acme` is got and renewed: starts the ACME client's process in time, and logs what came of it.
Nothing that goes wrong here ends the server.

The supervisor drives a `Renewal` from its loop; a worker without a supervisor has a `RenewalThread`.
"""

from __future__ import annotations

import enum
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from hypercorn.certificates.state import Settings, read_plan

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog

LONGEST_SLEEP_SECONDS = 3600.0  # after which the plan, which another server may have changed, is read again
PROCESS_SECONDS = 900.0  # after which a client that does not end is killed; it has limits of its own below that
RETRY_SECONDS = 60.0  # until another is started in the place of one that has not said what came of it
LOG_SECONDS = 3600.0  # between two records of failures
JOIN_SECONDS = 1.0  # that the thread has to end with its server
MAX_REPORT_BYTES = 65536
# From which times are counted: for `datetime.fromtimestamp`, some systems of 32 bits know none after January 2038.
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Sent to all processes of a group or a service, these are for the server, whose end is the client's.
FOR_SERVER = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP) if sys.platform != "win32" else ()


class RenewalState(enum.Enum):
    """What a renewal does."""

    WAITING = enum.auto()
    RUNNING = enum.auto()  # a process gets a certificate
    ENDED = enum.auto()


class Renewal:
    """Keeps one certificate."""

    def __init__(self, settings: Settings, log: ErrorLog) -> None:
        self.settings = settings
        self.log = log
        self.state = RenewalState.WAITING
        self.process: subprocess.Popen[bytes] | None = None
        self.output = b""
        self.logged_at: float | None = None  # when a failure was logged, in seconds of the monotonic clock
        self.next_at = 0.0  # when `check` wants to be called, in seconds of the monotonic clock
        self.lock = threading.Lock()  # over `state` and `process`, for `close` from another thread
        plan = read_plan(settings)
        self.sleep_until(plan.due)
        if plan.failures and self.next_at > time.monotonic():
            self.log_failure(f"{plan.reason}; delete {settings.plan_path} to try before", plan.due)

    def sleep_until(self, due: float) -> None:
        """Notes when there is something to do next. `due`: seconds since the epoch."""
        self.next_at = time.monotonic() + min(max(due - time.time(), 0.0), LONGEST_SLEEP_SECONDS)

    def check(self, now: float) -> bool:
        """Does what is due at `now`. True where it has started a process, whose report is to be read."""
        if now < self.next_at:
            return False
        if self.state is RenewalState.RUNNING:
            self.next_at = now + PROCESS_SECONDS
            self.kill()
            return False
        due = read_plan(self.settings).due
        if due > time.time():
            self.sleep_until(due)
            return False
        try:
            return self.start(now)
        except OSError as error:
            self.sleep_until(time.time() + RETRY_SECONDS)
            self.log_failure(f"the ACME client cannot be started: {error}", time.time() + RETRY_SECONDS)
            return False

    def start(self, now: float) -> bool:
        """Starts a process for one attempt. Raises OSError."""
        paths = [path for path in sys.path if path]
        code = f"import sys; sys.path[:] = {paths!r}; from hypercorn.certificates.acme_client import main; main()"
        with self.lock:
            if self.state is RenewalState.ENDED:
                return False
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_SERVER) if FOR_SERVER else None
            try:
                process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    start_new_session=True,
                )
            finally:
                if blocked is not None:
                    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self.process = process
            self.state = RenewalState.RUNNING
        self.output = b""
        self.next_at = now + PROCESS_SECONDS
        level = self.log.log_info if self.logged_at is None else self.log.log_debug
        level("Asking %s for a certificate for %s", self.settings.directory, self.settings.shown_names)
        with suppress(OSError):  # it has ended already, and its report is missed
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(self.settings)).encode())
            process.stdin.close()
        return True

    def fileno(self) -> int:
        """The descriptor that the report comes by, while there is a process."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> bool:
        """Reads a part of the report, and waits where there is none yet. False once there is no more."""
        data = os.read(self.fileno(), 65536)
        self.output = (self.output + data)[:MAX_REPORT_BYTES]
        return bool(data)

    def finish(self) -> None:
        """Takes the report, once it is there, and lets go of the process."""
        process = self.process
        if process is None:
            return
        process.kill()
        code = process.wait()
        self.close_in_worker()
        with self.lock:
            if self.state is RenewalState.ENDED:
                return
            self.state = RenewalState.WAITING
            self.process = None
        try:
            report = json.loads(self.output)
            state, due, text = str(report["state"]), float(report["plan"]["due"]), str(report["text"])
        except (ValueError, KeyError, TypeError):
            due = time.time() + RETRY_SECONDS
            state, text = "failed", f"the ACME client has ended with code {code} and said nothing"
        self.sleep_until(due)
        if state == "failed":
            self.log_failure(text, due)
        elif state == "issued":
            self.logged_at = None
            renewed = EPOCH + timedelta(seconds=due)
            names = self.settings.shown_names
            self.log.log_info(
                "New certificate for %s: %s, to be renewed from %s UTC", names, text, f"{renewed:%Y-%m-%d %H:%M}"
            )

    def log_failure(self, text: str, due: float) -> None:
        """Logs why there is no new certificate, once an hour at the most."""
        now = time.monotonic()
        often = self.logged_at is not None and now - self.logged_at < LOG_SECONDS
        if not often:
            self.logged_at = now
        level = self.log.log_debug if often else self.log.log_error
        when = EPOCH + timedelta(seconds=due)
        level(
            "No new certificate for %s: %s; next attempt at %s UTC",
            self.settings.shown_names,
            text,
            f"{when:%Y-%m-%d %H:%M:%S}",
        )

    def kill(self) -> None:
        """Ends the process, where there is one. Its report ends with it."""
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Ends it all. From any thread."""
        with self.lock:
            self.state = RenewalState.ENDED
            self.kill()

    def close_in_worker(self) -> None:
        """Closes this end of the pipe."""
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()


class RenewalThread(threading.Thread):
    """Keeps a certificate beside a worker without a supervisor."""

    def __init__(self, settings: Settings, log: ErrorLog) -> None:
        super().__init__(name="hypercorn-acme", daemon=True)
        self.renewal = Renewal(settings, log)
        self.ended = threading.Event()

    def run(self) -> None:
        """Sleeps until something is due, until the server ends."""
        while not self.ended.wait(max(0.0, self.renewal.next_at - time.monotonic())):
            if self.renewal.check(time.monotonic()):
                late = threading.Timer(PROCESS_SECONDS, self.renewal.kill)
                late.daemon = True
                late.start()
                while self.renewal.read():
                    pass
                late.cancel()
                self.renewal.finish()

    def stop(self) -> None:
        """Ends it with the server."""
        self.ended.set()
        self.renewal.close()
        self.join(JOIN_SECONDS)
