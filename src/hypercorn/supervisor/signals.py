"""Signals: recorded when they arrive, handled by the supervisor's own loop."""

from __future__ import annotations

import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGCHLD")


class Signals:
    """Records signals while it is entered, in the main thread; in another there are none to record.

    `wake_reader` is a socket that becomes readable with each of them, and by `wake`. With `final` the process ends once
    it is left: SIGTERM, which platforms send more than once, is ignored from then on, until the process is gone.
    """

    def __init__(self, *, final: bool = False) -> None:
        self.final = final
        self.wake_reader, self.wake_writer = socket.socketpair()
        self.wake_reader.setblocking(False)
        self.wake_writer.setblocking(False)
        self.received: deque[str] = deque(maxlen=1000)
        self.before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self.wakeup = -1
        self.owns_signals = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Signals:
        if self.owns_signals:
            self.wakeup = signal.set_wakeup_fd(self.wake_writer.fileno(), warn_on_full_buffer=False)
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None:
                    self.before[number] = signal.signal(number, self.record)
        return self

    def record(self, number: int, _: FrameType | None) -> None:
        """A signal came."""
        name = signal.Signals(number).name
        if not self.received or self.received[-1] != name or name in ("SIGTTIN", "SIGTTOU", "SIGINT", "SIGTERM"):
            self.received.append(name)

    def wake(self) -> None:
        """Makes `wake_reader` readable, from any thread."""
        try:
            self.wake_writer.send(b"\0")
        except OSError:
            pass  # it is readable already, or closed

    def clear(self) -> None:
        """Makes `wake_reader` wait again."""
        try:
            while self.wake_reader.recv(4096):
                pass
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        if self.owns_signals:
            signal.set_wakeup_fd(self.wakeup)
            for number, handler in self.before.items():
                if self.final and number == signal.SIGTERM:
                    signal.signal(number, signal.SIG_IGN)  # a function would be replaced as the interpreter ends
                elif handler is not None:
                    signal.signal(number, handler)
        self.close()

    def close(self) -> None:
        """Closes the sockets."""
        self.wake_reader.close()
        self.wake_writer.close()
