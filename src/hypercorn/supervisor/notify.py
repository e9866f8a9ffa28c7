"""Telling systemd how the service fares (sd_notify(3)): one datagram for each change."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

NEVER = float("inf")
NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends to `NOTIFY_SOCKET`, or nowhere where there is none.

    Takes the variables out of the environment, so that no worker speaks for the service.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self.variables = {name: environ.pop(name) for name in NAMES if name in environ}
        self.sock: socket.socket | None = None
        self.status = ""
        self.period = NEVER  # seconds between two messages to the watchdog
        self.watchdog_at = NEVER
        address = self.variables.get("NOTIFY_SOCKET", "")
        if address[:1] in ("/", "@") and hasattr(socket, "AF_UNIX"):
            self.address = "\0" + address[1:] if address[0] == "@" else address
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.sock.setblocking(False)
            self.read_period()

    def read_period(self) -> None:
        """Reads how often systemd's watchdog expects a message from this process."""
        try:
            microseconds = int(self.variables.get("WATCHDOG_USEC", "0"))
            meant = int(self.variables.get("WATCHDOG_PID", os.getpid()))
        except ValueError:
            return
        if microseconds > 0 and meant == os.getpid():
            self.period = microseconds / 2_000_000
            self.watchdog_at = time.monotonic()

    def send(self, *lines: str) -> None:
        """Sends lines such as "READY=1"."""
        if self.sock is not None:
            try:
                self.sock.sendto("\n".join(lines).encode(), self.address)
            except OSError:
                pass  # systemd is busy, or gone

    def ready(self) -> None:
        """The service serves, also after a reload."""
        self.send("READY=1")

    def reloading(self) -> None:
        """A reload begins."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service goes down."""
        self.send("STOPPING=1", "STATUS=Stopping")

    def send_status(self, status: str) -> None:
        """A line for `systemctl status`, when it has changed."""
        if self.sock is not None and status != self.status:
            self.status = status
            self.send(f"STATUS={status}")

    def send_watchdog(self, now: float) -> None:
        """The watchdog's message, if it is due."""
        if now >= self.watchdog_at:
            self.watchdog_at = now + self.period
            self.send("WATCHDOG=1")

    def close(self) -> None:
        """Sends no more."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None
