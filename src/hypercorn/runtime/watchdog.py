"""A thread that watches the event loop: where one callback blocks it for too long, the log gets its stack.

The thread has the loop run a callback and waits for it; while the loop is blocked, the thread still runs, as long
as what blocks it releases the interpreter (Python code does, every few milliseconds).
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable

from hypercorn.runtime.contract import WorkerBase

FRAMES = 30  # of a stack that are shown, the innermost ones


class Watchdog:
    """The thread. `blocked` is called on the loop after each time that it was blocked for more than `seconds`."""

    def __init__(self, worker: WorkerBase, seconds: float, blocked: Callable[[], None]) -> None:
        self.worker = worker
        self.seconds = seconds
        self.blocked = blocked
        self.thread_id = threading.get_ident()
        self.alive = threading.Event()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, name="hypercorn-watchdog", daemon=True)

    def start(self) -> None:
        """Begins to watch the loop of this thread."""
        self.thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self.ended.set()
        self.alive.set()
        self.thread.join(1.0)

    def run(self) -> None:
        """Checks the loop until `stop`: the function of the thread."""
        while not self.ended.is_set():
            self.alive.clear()
            if not self.call(self.alive.set):
                return
            if not self.alive.wait(self.seconds) and not self.ended.is_set():
                self.report()
                self.alive.wait()  # one record for each time, however long it lasts
                if not self.ended.is_set():
                    self.call(self.blocked)
            self.ended.wait(self.seconds)

    def call(self, callback: Callable[[], object]) -> bool:
        """Runs a callback on the loop. False where there is no loop any more."""
        try:
            self.worker.runtime.call_threadsafe(callback)
        except RuntimeError:  # asyncio's; trio's RunFinishedError is one
            return False
        return True

    def report(self) -> None:
        """Logs what blocks the loop."""
        frame = sys._current_frames().get(self.thread_id)
        stack = "".join(traceback.format_stack(frame)[-FRAMES:]) if frame is not None else ""
        self.worker.log.log_warning("The event loop has been blocked for %g seconds by:\n%s", self.seconds, stack)
