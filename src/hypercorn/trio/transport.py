"""A `Transport` over a non-blocking socket under trio: what can be sent is sent at once, a task sends the rest."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypercorn.net.address import client_address, server_address
from hypercorn.protocol.ports import Transport
from hypercorn.protocol.runtime import Runtime, Waiter
from hypercorn.runtime.states import CLOSED, CLOSING, HALF_CLOSED, HALF_CLOSING, OPEN, SENDING

if TYPE_CHECKING:
    from hypercorn.runtime.ports import Acceptor


class TrioTransport(Transport):
    """One accepted connection on trio. `read_waiter` wakes the task that reads it."""

    __slots__ = (
        "close_socket",
        "high_water",
        "pending",
        "pending_size",
        "read_waiter",
        "sending",
        "sock",
        "start_writer",
        "worker",
        "writing",
    )

    def __init__(
        self,
        runtime: Runtime,
        worker: Acceptor,
        sock: socket.socket,
        start_writer: Callable[[TrioTransport], None],
        close_socket: Callable[[socket.socket], None],
    ) -> None:
        super().__init__(runtime)
        self.worker = worker
        self.sock = sock
        self.start_writer = start_writer
        self.close_socket = close_socket
        self.read_waiter: Waiter | None = None
        self.pending: list[memoryview] = []  # what the kernel refused
        self.pending_size = 0
        self.high_water = worker.context.limits.write_buffer_size
        self.writing = False  # a task sends `pending`
        self.sending = OPEN
        self.client = client_address(self.peer())
        self.server = server_address(sock.getsockname())

    def peer(self) -> object:
        """The peer's address, or None for one that is gone already."""
        try:
            return self.sock.getpeername()
        except OSError:
            return None

    @property
    def closed(self) -> bool:
        """True once the socket is closed."""
        return self.sending == CLOSED

    # -- from the task that reads

    def eof_received(self) -> None:
        """The peer sends no more."""
        if self.connection is not None:
            self.connection.eof_received()

    def lost(self) -> None:
        """The end, however it came."""
        self.shut()
        connection = self.connection
        self.connection = None
        if connection is not None:
            self.worker.disconnected(connection)

    # -- from the task that writes

    def send_pending(self) -> None:
        """Sends what the kernel takes now."""
        pending = self.pending
        while pending and self.sending != CLOSED:
            piece = pending[0]
            try:
                sent = self.sock.send(piece)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.shut()
                return
            self.pending_size -= sent
            if sent < len(piece):
                pending[0] = piece[sent:]
                break
            pending.pop(0)
        if self.writing_paused and self.pending_size <= self.high_water // 4:
            self.resume_output()
        if not pending:
            if self.sending == CLOSING:
                self.shut()
            elif self.sending == HALF_CLOSING:
                self.half_close()

    # -- from the connection

    def send_bytes(self, data: bytes) -> None:
        if self.sending != OPEN:
            return
        sent = 0
        if not self.pending:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.shut()
                return
            if sent == len(data):
                return
        self.pending.append(memoryview(data)[sent:])
        self.pending_size += len(data) - sent
        if not self.writing:
            self.writing = True
            self.start_writer(self)
        if not self.writing_paused and self.pending_size > self.high_water:
            self.pause_output()

    def unsent(self) -> int:
        return self.pending_size

    def close(self) -> None:
        self.flush()
        if self.sending >= CLOSING:
            return
        self.sending = SENDING.change(self.sending, CLOSING)
        if not self.pending:
            self.shut()

    def abort(self) -> None:
        self.shut()

    def write_eof(self) -> None:
        self.flush()
        if self.sending == OPEN:
            self.sending = HALF_CLOSING
            if not self.pending:
                self.half_close()

    def half_close(self) -> None:
        """Ends the sending half."""
        self.sending = SENDING.change(self.sending, HALF_CLOSED)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.shut()

    def shut(self) -> None:
        """Closes the socket and wakes the task that reads it."""
        if self.sending != CLOSED:
            self.sending = CLOSED
            self.pending.clear()
            self.pending_size = 0
            self.close_socket(self.sock)
            self.wake_reader()
            if self.connection is not None and not self.writing_paused:
                # Until it is told: whoever sends on has to wait, and so lets the loop run that tells it.
                self.pause_output()

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        self.wake_reader()

    def wake_reader(self) -> None:
        """Lets the task that reads look at the state again."""
        if self.read_waiter is not None:
            self.runtime.wake(self.read_waiter)

    def get_extra_info(self, name: str) -> object:
        if name == "socket":
            return self.sock
        if name == "peername":
            return self.peer()
        if name == "sockname":
            return self.sock.getsockname()
        return None
