"""Log lines on their way to a descriptor: a bounded queue and a thread, so that a slow disk or pipe stops nobody.

A line is queued and the thread writes what has gathered, many lines with one call. Past the bound lines are dropped and
counted, and the log says so once it goes on. Rare lines (the error log's) go out at once where that cannot block.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
import weakref
from collections import deque
from typing import IO, Protocol

QUEUE_CHARACTERS = 4 * 1024 * 1024  # characters that wait at the most
GATHER_SECONDS = 0.05  # seconds in which lines are gathered for one write
AT_ONCE_BYTES = 4096  # bytes that a pipe takes whole where it takes any (PIPE_BUF)
FLUSH_SECONDS = 1.0  # seconds that a flush waits for a descriptor that takes nothing

_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()


class Batch(Protocol):
    """What gathers lines itself."""

    def take(self) -> tuple[bytes, int] | None:
        """The lines as bytes, and how many were lost since the last time; None where it is to be asked again."""


class LineWriter:
    """Writes lines to a descriptor that somebody else opened and closes."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.dropped = 0
        self.told = 0  # of them those that the log has told of
        self.prompt = _is_prompt(descriptor)
        self.batches: list[Batch] = []  # that have lines of their own
        _writers.add(self)
        self.reset()

    def reset(self) -> None:
        """Nothing is queued and no thread runs: at the start, and in a forked child, which has neither."""
        self.lines: deque[str] = deque()
        for batch in self.batches:
            batch.take()
        self.batches.clear()
        self.queued = 0  # characters, counted by those who put
        self.taken = 0  # ... and by the thread
        self.awake = False
        self.wake = threading.Event()
        self.hurry = threading.Event()  # nothing more is gathered
        self.thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        """Takes a line, with its end. Never blocks, never raises."""
        if self.queued - self.taken > QUEUE_CHARACTERS:
            self.dropped += 1
            return
        self.queued += len(line)
        self.lines.append(line)
        if not self.awake:
            self.awake = True
            self.begin()

    def gather(self, batch: Batch) -> None:
        """Something gathers lines from now on."""
        self.batches.append(batch)
        if not self.awake:
            self.awake = True
            self.begin()

    def put_now(self, line: str) -> None:
        """Takes a line that should be seen at once: it is written here where that cannot block."""
        if self.prompt and not self.awake:
            data = line.encode("utf-8", "backslashreplace")
            if len(data) <= AT_ONCE_BYTES and self.is_writable():
                try:
                    os.write(self.descriptor, data)
                except OSError:
                    pass
                return
        self.hurry.set()
        self.put(line)

    def is_writable(self) -> bool:
        """True where the descriptor takes something now."""
        try:
            poll = select.poll()
        except AttributeError:  # Windows
            return False
        poll.register(self.descriptor, select.POLLOUT)
        return any(event & select.POLLOUT for _, event in poll.poll(0))

    def begin(self) -> None:
        """There is something to write, for the first time in a while."""
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.run, name="hypercorn-log", daemon=True)
            try:
                self.thread.start()
            except RuntimeError:  # no threads any more: the interpreter ends
                self.write_all()
                return
        self.wake.set()

    def run(self) -> None:
        """The thread."""
        while True:
            self.wake.wait()
            self.wake.clear()
            if self.thread is not threading.current_thread():  # told to end; another may have begun
                self.wake.set()
                return
            while self.lines or self.batches:
                self.hurry.wait(GATHER_SECONDS)
                self.hurry.clear()
                self.write_all()
            self.awake = False
            if self.lines or self.batches:  # put in between, by somebody who saw it awake
                self.awake = True
                self.wake.set()

    def write_all(self) -> None:
        """Writes what is queued."""
        lines = [self.lines.popleft() for _ in range(len(self.lines))]
        self.taken += sum(map(len, lines))
        gathered = []
        for _ in range(len(self.batches)):
            batch = self.batches.pop(0)
            taken = batch.take()
            if taken is None:
                self.batches.append(batch)
            else:
                gathered.append(taken[0])
                self.dropped += taken[1]
        if self.dropped > self.told:
            lines.append(f"... {self.dropped - self.told} lines were dropped here\n")
            self.told = self.dropped
        left = memoryview(b"".join([*gathered, "".join(lines).encode("utf-8", "backslashreplace")]))
        try:
            while left:
                try:
                    left = left[os.write(self.descriptor, left) :]
                except BlockingIOError:
                    select.select((), (self.descriptor,), (), FLUSH_SECONDS)
        except (OSError, ValueError):  # a full disk or a closed pipe: there is nobody to tell
            self.dropped += bytes(left).count(b"\n")

    def end_thread(self) -> None:
        """Writes all and ends the thread, so that the process can fork; the next line begins another."""
        self.flush()
        thread = self.thread
        if thread is not None and not self.awake:
            self.thread = None
            self.wake.set()
            thread.join(FLUSH_SECONDS)

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Waits until all is written, but not longer than that."""
        end = time.monotonic() + seconds
        while self.awake and time.monotonic() < end:
            self.hurry.set()
            time.sleep(0.001)


def _is_prompt(descriptor: int) -> bool:
    """True for a terminal, a pipe or a socket, which can tell whether they would block."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def descriptor_of(stream: IO[str] | None) -> int | None:
    """The descriptor below a text stream, or None where it has none (a test's, an IDE's)."""
    try:
        return None if stream is None else stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def end_threads() -> None:
    """Ends the thread of every writer, before a fork."""
    for writer in list(_writers):
        writer.end_thread()


def _after_fork() -> None:
    for writer in list(_writers):
        writer.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
