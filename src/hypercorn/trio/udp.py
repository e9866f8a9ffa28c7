"""UDP sockets on trio: a task that reads, and one that waits for a kernel that takes no more."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any

import trio

from hypercorn.runtime.ports import Listener


class UDPListener(Listener):
    """Watches a socket for a `UDPSocket`, or for `ForwardedDatagrams`."""

    def __init__(self, sock: socket, udp: Any, start: Callable[..., None], report: Callable[[Exception], None]) -> None:
        self.sock = sock
        self.udp = udp
        self.start = start
        self.report = report
        self.scope = trio.CancelScope()
        self.watching_output = False
        udp.wait_writable = self.wait_writable
        start(self.read)

    async def read(self) -> None:
        """The task that reads."""
        with self.scope:
            await trio.lowlevel.checkpoint_if_cancelled()  # the socket may be closed before this task began
            while not self.udp.closed:  # trio fails for a socket that is closed already
                await trio.lowlevel.wait_readable(self.sock)
                try:
                    self.udp.readable()
                except Exception as error:  # it would end the server
                    self.report(error)

    def wait_writable(self) -> None:
        """Starts the task that waits, once."""
        if not self.watching_output:
            self.watching_output = True
            self.start(self.write)

    async def write(self) -> None:
        """The task that sends what the kernel refused."""
        try:
            while not self.udp.closed:
                await trio.lowlevel.wait_writable(self.sock)
                if self.udp.writable():
                    break
        except (OSError, trio.ClosedResourceError, trio.BusyResourceError):
            pass
        except Exception as error:
            self.report(error)
        finally:
            self.watching_output = False

    def close(self) -> None:
        self.udp.closed = True
        self.scope.cancel()
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
