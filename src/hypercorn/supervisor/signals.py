"""Signals as events: noted when they come, handled by the supervisor's own loop."""

from __future__ import annotations

import signal
import socket
import threading
from collections import deque
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGCHLD")


class Signals:
    """Notes signals while it is entered, in the main thread; in another there are none to note.

    `waker` is a socket that becomes readable with each of them, and by `wake`. With `last` the process ends once it is
    left: SIGTERM, which platforms send more than once, is ignored from then on, until the process is gone.
    """

    def __init__(self, *, last: bool = False) -> None:
        self.last = last
        self.waker, self.bell = socket.socketpair()
        self.waker.setblocking(False)
        self.bell.setblocking(False)
        self.noted: deque[str] = deque(maxlen=1000)
        self.before: dict[int, Any] = {}
        self.wakeup = -1
        self.in_charge = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Signals:
        if self.in_charge:
            self.wakeup = signal.set_wakeup_fd(self.bell.fileno(), warn_on_full_buffer=False)
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None:
                    self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, _: FrameType | None) -> None:
        """A signal came."""
        name = signal.Signals(number).name
        if not self.noted or self.noted[-1] != name or name in ("SIGTTIN", "SIGTTOU", "SIGINT", "SIGTERM"):
            self.noted.append(name)

    def wake(self) -> None:
        """Makes `waker` readable, from any thread."""
        try:
            self.bell.send(b"\0")
        except OSError:
            pass  # it is readable already, or closed

    def clear(self) -> None:
        """Makes `waker` wait again."""
        try:
            while self.waker.recv(4096):
                pass
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        if self.in_charge:
            signal.set_wakeup_fd(self.wakeup)
            for number, handler in self.before.items():
                if self.last and number == signal.SIGTERM:
                    signal.signal(number, signal.SIG_IGN)  # a function would be replaced as the interpreter ends
                elif handler is not None:
                    signal.signal(number, handler)
        self.close()

    def close(self) -> None:
        """Closes the sockets."""
        self.waker.close()
        self.bell.close()
