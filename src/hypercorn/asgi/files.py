"""Files as response bodies: the ASGI extensions `http.response.pathsend` and `http.response.zerocopysend`.

Where the transport can, the kernel sends the file; elsewhere (TLS, the loops' own transports, the chunked coding) it
is read in bounded pieces, no further ahead than the peer reads.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from hypercorn.asgi.exchange import ASGIExchange, Awaitable
from hypercorn.asgi.messages import Message
from hypercorn.errors import ClientDisconnected

PIECE_BYTES = 65536  # bytes read at once
PIECES_IN_STEP = 16  # pieces before the loop gets its turn


class SendFile(Awaitable):
    """`send()` of a file: ends when all of it was handed on, raises when the client is gone."""

    __slots__ = ("end", "fd", "left", "offset")

    def __init__(self, exchange: ASGIExchange, fd: int, offset: int, count: int, end: bool) -> None:
        self.exchange = exchange
        self.waiter = None
        self.inner = None
        self.fd = fd  # this object's own
        self.offset = offset
        self.left = count
        self.end = end

    def ready(self) -> bool:
        exchange: Any = self.exchange
        if exchange.gone:
            return True
        connection = exchange.connection
        if self.left and connection.send_file(exchange, self.fd, self.offset, self.left, self.end):
            exchange.sent += self.left
            self.left = 0
            if self.end:
                exchange.ended()
                return True
        pieces = 0
        while self.left:
            if exchange.must_wait():
                return False
            pieces += 1
            if pieces > PIECES_IN_STEP:  # other tasks run too, and the end of the peer is noticed
                exchange.runtime.call_soon(self.again)
                return False
            data = os.pread(self.fd, min(PIECE_BYTES, self.left), self.offset)
            if not data:
                raise OSError(f"the file ended {self.left} bytes early")
            self.offset += len(data)
            self.left -= len(data)
            exchange.sent += len(data)
            last = self.end and not self.left
            connection.body(exchange, data, last)
            if last:
                exchange.ended()
        return self.end or not exchange.must_wait()

    def again(self) -> None:
        """Has the application's task look again."""
        self.exchange.wake()

    def result(self) -> object:
        self.release()
        if self.exchange.gone:
            raise ClientDisconnected("the client is gone")
        return None

    def release(self) -> None:
        """Closes the descriptor."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        super().close()
        self.release()

    def __del__(self) -> None:
        self.release()


def open_path(message: Message) -> tuple[int, int, int]:
    """The descriptor, offset and size of a `pathsend` message. Raises OSError, or ValueError for what is no file."""
    fd = os.open(message["path"], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"not a regular file: {message['path']!r}")
    except BaseException:
        os.close(fd)
        raise
    return fd, 0, status.st_size


def open_range(message: Message) -> tuple[int, int, int]:
    """The descriptor, offset and count of a `zerocopysend` message: a duplicate, so that the application may close
    its own at once. Without an offset it starts, as sendfile(2) does, where the file stands, and moves it on."""
    file = message["file"]
    fd = file if isinstance(file, int) else file.fileno()
    offset = message.get("offset")
    count = message.get("count")
    start = os.lseek(fd, 0, os.SEEK_CUR) if offset is None else offset
    rest = max(0, os.fstat(fd).st_size - start)
    count = rest if count is None else min(count, rest)
    if offset is None:
        os.lseek(fd, start + count, os.SEEK_SET)
    return os.dup(fd), start, count
