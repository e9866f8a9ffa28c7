"""A `Transport` over asyncio's own transports, and uvloop's: the protocol object that the loop calls."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from hypercorn.net.address import client_address, server_address
from hypercorn.protocol.ports import Transport
from hypercorn.protocol.runtime import Runtime
from hypercorn.runtime.states import CLOSED, HALF_CLOSED, OPEN

if TYPE_CHECKING:
    from asyncio import Transport as LoopTransport

    from hypercorn.net.tls import LiveContext
    from hypercorn.runtime.ports import Acceptor


class AsyncioTransport(Transport):
    """One accepted connection on an asyncio loop."""

    __slots__ = ("__weakref__", "live_context", "loop_transport", "sending", "worker")

    def __init__(self, runtime: Runtime, worker: Acceptor, tls: LiveContext | None) -> None:
        super().__init__(runtime)
        self.worker = worker
        self.live_context = tls  # the peer has to begin with a handshake
        self.loop_transport: LoopTransport
        self.sending = OPEN

    # -- from the loop

    def connection_made(self, transport: LoopTransport) -> None:
        """asyncio's callback."""
        self.loop_transport = transport
        transport.set_write_buffer_limits(high=self.worker.context.limits.write_buffer_size)
        self.client = client_address(transport.get_extra_info("peername"))
        self.server = server_address(transport.get_extra_info("sockname"))
        self.worker.connected(self, self.live_context)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        try:
            self.received(data)
        except Exception as error:
            self.internal_error(error)

    def eof_received(self) -> bool:
        """asyncio's callback. True keeps the sending half open."""
        try:
            if self.connection is not None:
                self.connection.eof_received()
        except Exception as error:
            self.internal_error(error)
        return True

    def connection_lost(self, error: BaseException | None) -> None:
        """asyncio's callback."""
        self.sending = CLOSED
        self.out.clear()
        connection = self.connection
        self.connection = None
        if connection is not None:
            self.worker.disconnected(connection)

    def pause_writing(self) -> None:
        """asyncio's callback."""
        try:
            self.pause_output()
        except Exception as error:
            self.internal_error(error)

    def resume_writing(self) -> None:
        """asyncio's callback. A transport of asyncio that is closed inside of it would tell twice that it is lost."""
        self.writing_paused = False
        self.runtime.call_soon(self.continue_writing)

    def continue_writing(self) -> None:
        """The output fell below the low-water mark, and has not risen again since."""
        if self.connection is None or self.writing_paused:
            return
        try:
            self.connection.resume_writing()
        except Exception as error:
            self.internal_error(error)

    # -- from the connection; a loop's transport may raise once its socket is gone, as uvloop's does

    def send_bytes(self, data: bytes) -> None:
        if self.sending == OPEN:
            try:
                self.loop_transport.write(data)
                failed = self.loop_transport.is_closing()
            except (OSError, RuntimeError):
                self.abort()
                failed = True
            if failed:
                self.sending = CLOSED  # connection_lost follows
                self.pause_output()  # whoever sends on has to wait for it

    def unsent(self) -> int:
        size: int = self.loop_transport.get_write_buffer_size()
        return size

    def close(self) -> None:
        self.flush()
        self.sending = CLOSED
        try:
            self.loop_transport.close()
        except (OSError, RuntimeError):
            self.abort()

    def abort(self) -> None:
        self.sending = CLOSED
        try:
            self.loop_transport.abort()
        except (OSError, RuntimeError):
            self.runtime.call_soon(self.lost_silently)

    def lost_silently(self) -> None:
        """The loop's transport does not answer any more: it will not tell of its end either."""
        self.connection_lost(None)

    def write_eof(self) -> None:
        self.flush()
        if self.sending == OPEN:
            self.sending = HALF_CLOSED
            try:
                self.loop_transport.write_eof()
            except (OSError, RuntimeError, NotImplementedError):
                pass  # the peer is gone already

    def pause_reading(self) -> None:
        self.reading_paused = True
        if self.sending != CLOSED:
            try:
                self.loop_transport.pause_reading()
            except (OSError, RuntimeError):
                self.abort()

    def resume_reading(self) -> None:
        self.reading_paused = False
        if self.sending != CLOSED:
            try:
                self.loop_transport.resume_reading()
            except (OSError, RuntimeError):
                self.abort()

    def get_extra_info(self, name: str) -> object:
        return self.loop_transport.get_extra_info(name)


def is_unix(sock: socket.socket) -> bool:
    """True for a unix socket, where there are any."""
    return hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX
