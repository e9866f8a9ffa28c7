"""The terminal that a server was started on: when it is closed, the server ends."""

from __future__ import annotations

import os
import signal
import sys

_PATH = "/dev/tty"  # of a process's own terminal, whichever it is
GONE = "its terminal was closed"  # the reason of the stop


class Terminal:
    """The terminal of this process, if it was in the foreground there when this was made.

    SIGHUP means two things: that the terminal is gone, and, sent by hand or by a service manager, that the server
    should reload. A server in the background (`&`, `nohup`, a service) has the second meaning alone.
    """

    def __init__(self) -> None:
        self.started_on = sys.platform != "win32" and in_foreground()

    def is_gone(self) -> bool:
        """True where the server was started on a terminal that exists no more."""
        if not self.started_on:
            return False
        try:
            os.close(os.open(_PATH, os.O_RDWR | os.O_NOCTTY))
        except OSError:
            return True
        return False


def in_foreground() -> bool:
    """True where a terminal's keys reach this process, and it has not been told to outlive it (nohup)."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        descriptor = os.open(_PATH, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)
