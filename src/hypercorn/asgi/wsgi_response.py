"""The response half of a WSGI call (PEP 3333), in the thread that runs it: from `start_response`, `write` and the
iterable to ASGI messages.

The head leaves with the first byte of the body, until when the application may change its mind. What is known at once
leaves at once: a list or tuple is one message, and so is a body as long as its Content-Length says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from io import BufferedRandom, BufferedReader, FileIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from hypercorn.asgi.messages import Environ, Message, Scope

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

JOINED_BYTES = 262144  # bytes of a list's pieces that are joined; more leave one by one
BODILESS = frozenset({204, 205, 304})
BLOCK_BYTES = 65536


class FileWrapper:
    """`wsgi.file_wrapper` (PEP 3333): a file as an iterable, which the kernel sends where it can. It can be positioned
    as far as the file can, so that a part of a file is found without reading what is before."""

    def __init__(self, filelike: Any, block_size: int = BLOCK_BYTES) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def seekable(self) -> bool:
        """True where `seek` and `tell` work."""
        seekable = getattr(self.filelike, "seekable", None)
        return bool(seekable()) if seekable is not None else hasattr(self.filelike, "seek")

    def seek(self, *position: int) -> object:
        """Positions the file, as its own `seek`. Raises AttributeError where it has none."""
        return self.filelike.seek(*position)

    def tell(self) -> object:
        """The position of the file. Raises AttributeError where the file does not tell it."""
        return self.filelike.tell()

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration


class FileRange:
    """A descriptor of its own for a range of an open file, so that the application may close the file at once."""

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = os.dup(fd)
        self.offset = offset
        self.count = count

    def fileno(self) -> int:
        """The descriptor."""
        return self.fd

    def close(self) -> None:
        """Closes the descriptor."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def range_of(file: Any, most: int) -> FileRange | None:
    """The rest of a regular file after its position, at most `most` bytes (-1: any number); None where `read` has to
    tell what there is: for what is no regular file, and for files that tell no size (as in /proc)."""
    if not is_plain(file):
        return None
    try:
        if type(file) is BufferedRandom:
            file.flush()  # the kernel knows only what was written
        fd = file.fileno()
        offset = file.tell()
        status = os.fstat(fd)
    except (OSError, ValueError):
        return None
    rest = status.st_size - offset
    if not stat.S_ISREG(status.st_mode) or rest <= 0:
        return None
    return FileRange(fd, offset, rest if most < 0 else min(rest, most))


def is_plain(file: Any) -> bool:
    """True for files whose `read` gives the very bytes behind their descriptor. Whatever else has a `fileno`
    (compressed, decoded or encrypted files, sockets, classes of one's own) may give others."""
    raw = file.raw if type(file) in (BufferedReader, BufferedRandom) else file
    return type(raw) is FileIO and "read" not in getattr(file, "__dict__", ())


class Responder:
    """One response. `emit` takes its messages and may wait; `flush` sees to it that they get on their way."""

    __slots__ = ("bodyless", "can_sendfile", "ended", "expected", "headers", "is_head", "sent", "started", "status")

    def __init__(self, scope: Scope) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.started = False  # the head was emitted
        self.ended = False  # so was the end
        self.expected = -1  # bytes of body that the application announced, or -1
        self.sent = 0
        self.bodyless = False
        self.is_head = scope["method"] == "HEAD"
        self.can_sendfile = "http.response.zerocopysend" in (scope.get("extensions") or ())

    def emit(self, message: Message, size: int) -> None:
        """Takes a message with `size` bytes of body. Raises OSError when the client is gone."""
        raise NotImplementedError

    def flush(self) -> None:
        """No further message comes soon."""

    # -- what the application calls

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's `start_response`. A second call needs `exc_info`, and raises it if the head is on its way."""
        if exc_info is not None:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a cycle through the traceback otherwise
        elif self.status:
            raise AssertionError("start_response was called twice without exc_info")
        self.status = number = int(status.split(" ", 1)[0])
        self.headers = fields = []
        self.expected = -1
        self.bodyless = self.is_head or number in BODILESS
        for name, value in headers:
            low = name.lower().encode("latin-1")
            raw = value.encode("latin-1")
            if low == b"content-length" and raw.isdigit() and not self.bodyless:
                self.expected = int(raw)
            fields.append((low, raw))
        return self.write

    def write(self, data: bytes) -> None:
        """The deprecated `write` callable, and each piece of an iterable. An empty one sends nothing."""
        if type(data) is not bytes:
            data = as_bytes(data)
        if not data:
            if not self.status:
                raise RuntimeError("WSGI app did not call start_response")
            return
        if not self.started:
            self.start()
        elif self.ended:
            raise ValueError(f"the response body is longer than the {self.expected} bytes that it announced")
        self.sent += len(data)
        self.ended = self.sent == self.expected
        self.emit({"type": "http.response.body", "body": data, "more_body": not self.ended}, len(data))
        self.flush()

    # -- what runs the application

    def run(self, app: Callable[..., Iterable[bytes]], environ: Environ) -> None:
        """Calls the application and sends what it yields. Its iterable is closed, whatever happens."""
        iterable = app(environ, self.start_response)
        try:
            if type(iterable) is list or type(iterable) is tuple:
                self.send_all(iterable)
            elif type(iterable) is FileWrapper:
                self.send_file(iterable)
            else:
                for data in iterable:
                    self.write(data)
                self.end(b"")
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                try:
                    self.flush()  # the response need not wait for it
                finally:
                    close()

    def start(self) -> None:
        """Emits the head. Raises RuntimeError where there is none."""
        if not self.status:
            raise RuntimeError("WSGI app did not call start_response")
        self.started = True
        self.emit({"type": "http.response.start", "status": self.status, "headers": self.headers}, 0)

    def end(self, data: bytes) -> None:
        """Emits the last piece, unless the end came with the one before."""
        if not self.started:
            self.start()
        if not self.ended:
            self.ended = True
            self.emit({"type": "http.response.body", "body": data, "more_body": False}, len(data))

    def send_all(self, pieces: list[bytes] | tuple[bytes, ...]) -> None:
        """A body of which every piece is there."""
        size = 0
        for data in pieces:
            if type(data) is not bytes:
                as_bytes(data)
            size += len(data)
        if (size <= JOINED_BYTES or len(pieces) == 1) and not self.ended:
            self.end(bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces))
            return
        for data in pieces:
            self.write(data)
        self.end(b"")

    def send_file(self, wrapper: FileWrapper) -> None:
        """Sends the rest of a file: by the kernel where possible, else by reading it."""
        left = self.expected - self.sent if self.expected >= 0 else -1
        part = range_of(wrapper.filelike, left) if self.can_sendfile and not self.ended else None
        if part is None:
            for data in wrapper:
                self.write(data)
            self.end(b"")
            return
        if not self.started:
            self.start()
        message = {"type": "http.response.zerocopysend", "file": part, "offset": part.offset, "count": part.count}
        self.ended = True
        self.emit({**message, "more_body": False}, 0)


def as_bytes(data: object) -> bytes:
    """A piece of a body given as another kind of buffer. Raises TypeError for what is none."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a WSGI application must yield bytes, not {type(data).__name__}")
