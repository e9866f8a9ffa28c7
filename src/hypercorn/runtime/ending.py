"""The last seconds of a process: threads of the application may not keep it for ever.

Python waits without limit for threads that are not daemons, for the threads of a loop's default executor and, on trio,
for those of `trio.to_thread`. No thread can be ended from outside. So a thread of the server's own watches the end: it
says which threads are waited for and, when the time is over, ends the process without them.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType

from hypercorn._cpython import process
from hypercorn.logs.logger import ErrorLog

NOTICE_SECONDS = 0.1  # seconds in which idle threads of a pool end by themselves
EXIT_FUNCTIONS_SECONDS = 3.0  # seconds that functions of `atexit` have
LAST_FUNCTIONS_SECONDS = 0.15  # ... and where threads have used up the time
# Packages whose frames say nothing about the work that a thread does.
_POOLS = ("threading", "concurrent", "queue", "asyncio", "uvloop", "trio", "anyio", "outcome", "contextvars")


class Ending:
    """Ends this process in time, once `begin` was called.

    `last` is called before a forced end. Without `exits` it only tells of the threads, as the process is another
    program's.
    """

    def __init__(self, *, exits: bool, last: Callable[[], None] | None = None) -> None:
        self.exits = exits
        self.last = last
        self.log: ErrorLog
        self.code = 0
        self.report: Callable[[], int] | None = None  # says what went wrong and gives the exit code, if nobody has yet
        self.lock = threading.Lock()
        self.until = 0.0
        self.joined = False
        self.cut_short = threading.Event()
        self.cancelled = False

    def begin(self, log: ErrorLog, seconds: float, report: Callable[[], int] | None) -> None:
        """The server has ended; the process has so many seconds left. From any thread."""
        self.log = log
        self.report = report
        self.until = time.monotonic() + seconds
        if self.exits:
            atexit.register(self.threads_joined)  # called first, as the last that is registered
        threading.Thread(target=self.wait, name="hypercorn-end", daemon=True).start()

    def take_signals(self, actions: Mapping[str, Callable[[], object]]) -> None:
        """Does on signals what `actions` says, by name. From `begin` on SIGTERM, which may come late and more than
        once, does nothing, and the others end the wait.

        The loops take no part: asyncio's and uvloop's set the default, which ends the process, as they give a signal
        back. They wake for these signals too, as long as they handle any other.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for name, action in actions.items():

            def handle(number: int, _: object, action: Callable[[], object] = action) -> None:
                if not self.until:
                    with suppress(RuntimeError):  # there is no loop any more
                        action()
                elif number != signal.SIGTERM:
                    self.until = time.monotonic()
                    self.cut_short.set()

            signal.signal(getattr(signal, name), handle)

    def settle(self, code: int) -> int:
        """The main thread has said what went wrong, and knows the exit code. Gives it back.

        From here SIGTERM is ignored until the process is gone, where it ends with the server.
        """
        if self.exits and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a function would be replaced as the interpreter ends
        with self.lock:
            self.report = None
            self.code = code
        return code

    def cancel(self) -> None:
        """Somebody else's program goes on from here."""
        self.cancelled = True
        self.cut_short.set()

    def threads_joined(self) -> None:
        """No thread is left to wait for: the interpreter runs the functions of `atexit`."""
        self.joined = True
        self.until = time.monotonic() + EXIT_FUNCTIONS_SECONDS

    def wait(self) -> None:
        """The thread. Signals are for the main thread, which may have blocked them for a moment."""
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.cut_short.wait(min(NOTICE_SECONDS, max(0.0, self.until - time.monotonic())))
        threads = busy_threads()
        left = self.until - time.monotonic()
        if threads and left > NOTICE_SECONDS and not self.joined and not self.cancelled:
            self.log.log_info("Waiting up to %.1f s for %s", left, named(threads))
        while (left := self.until - time.monotonic()) > 0 and not self.cut_short.wait(left):
            pass  # the time has perhaps changed meanwhile
        if self.cancelled or not self.exits:
            return
        threads = busy_threads()
        if threads:
            self.log.log_warning("Ended without waiting any longer for %s", named(threads))
        else:
            self.log.log_warning("Ended while tasks or functions of atexit still ran")
        self.end()

    def end(self) -> None:
        """Ends the process as far as it can be done from here."""
        code = 1
        try:
            with self.lock:
                code = self.code if self.report is None else self.report()
            if self.last is not None:
                self.last()
            if not self.joined:
                run_exit_functions()
            flush_logs()
        finally:
            os._exit(code)


def run_exit_functions() -> None:
    """Runs the functions of `atexit`, but does not wait for them for long."""
    thread = threading.Thread(target=process.run_exit_functions, name="hypercorn-exit", daemon=True)
    with suppress(RuntimeError):  # no thread can be started any more
        thread.start()
        thread.join(LAST_FUNCTIONS_SECONDS)


def flush_logs() -> None:
    """Writes what is still in memory: log records first, then the standard streams."""
    with suppress(Exception):
        logging.shutdown()
    for output in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            output.flush()


def busy_threads() -> list[str]:
    """The threads that keep this process: name, and where each is. Daemons count where a loop waits for their work."""
    frames = sys._current_frames()
    found = []
    for thread in threading.enumerate():
        if thread is threading.main_thread() or thread.name.startswith("hypercorn-"):
            continue
        frame = frames.get(thread.ident or 0)
        where = working_frame(frame)
        if not thread.daemon or (where and is_awaited(frame)):
            found.append(f"{thread.name!r}{where and f' ({where})'}")
    return found


def working_frame(frame: FrameType | None) -> str:
    """The innermost place of a thread that is no part of a pool, as "file.py:12 in function"; "" where it is idle."""
    while frame is not None:
        if package_of(frame) not in _POOLS:
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


def is_awaited(frame: FrameType | None) -> bool:
    """True for a thread of trio, for whose work its caller waits."""
    while frame is not None:
        if package_of(frame) == "trio":
            return True
        frame = frame.f_back
    return False


def package_of(frame: FrameType) -> str:
    """The name of the package that a frame's code is of."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def named(threads: list[str]) -> str:
    """Threads in a sentence; many are not all named."""
    shown = ", ".join(threads[:8])
    more = f" and {len(threads) - 8} more" if len(threads) > 8 else ""
    return f"{'a thread' if len(threads) == 1 else f'{len(threads)} threads'} of the application: {shown}{more}"
