"""Request bodies of WSGI calls: in memory while they are short, in a temporary file otherwise.

A call gets its thread once its body is whole, so a client that sends slowly holds none. The file has no name (on
POSIX), lies where `tempfile` puts such files (TMPDIR), and is closed with the call.
"""

from __future__ import annotations

import tempfile
from io import BytesIO
from typing import Any

BLOCK_BYTES = 65536  # bytes that are gathered for one write


class BodyTooLargeError(Exception):
    """The body is longer than the limits allow."""


class SpoolFullError(Exception):
    """Other bodies take all the room on disk at the moment."""


class SpoolError(OSError):
    """The body could not be written to disk."""


class Spool:
    """The room on disk that the bodies of one application share. limit: bytes."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> None:
        """Takes room for `size` bytes. Raises SpoolFullError where there is not so much left."""
        if self.used + size > self.limit:
            raise SpoolFullError
        self.used += size


class Body:
    """One body as it arrives. `file` is what the application reads.

    in_memory: bytes up to which it stays there; most: bytes that it may have
    """

    __slots__ = ("file", "in_memory", "most", "size", "spool", "spooled")

    def __init__(self, spool: Spool, in_memory: int, most: int) -> None:
        self.spool = spool
        self.in_memory = in_memory
        self.most = most
        self.file: Any = BytesIO()
        self.size = 0
        self.spooled = 0  # bytes that are on disk, or on their way there

    def write(self, data: bytes) -> None:
        """Adds a piece. Raises BodyTooLargeError, SpoolFullError, and SpoolError where the disk fails."""
        self.size += len(data)
        if self.size > self.most:
            raise BodyTooLargeError
        if self.size <= self.in_memory:
            self.file.write(data)
            return
        in_memory = not self.spooled
        self.spool.take(self.size - self.spooled)
        self.spooled = self.size
        try:
            if in_memory:
                self.move_to_disk()
            self.file.write(data)
        except OSError as error:
            raise disk_error(error) from error

    def move_to_disk(self) -> None:
        """Moves the body so far to a file."""
        before: BytesIO = self.file
        self.file = tempfile.TemporaryFile(buffering=BLOCK_BYTES)  # noqa: SIM115  # closed with the call
        self.file.write(before.getbuffer())

    def rewind(self) -> object:
        """The whole body, to be read from its start. Raises SpoolError where the disk fails."""
        try:
            self.file.seek(0)  # writes what is still buffered
        except OSError as error:
            raise disk_error(error) from error
        return self.file

    def close(self) -> None:
        """Closes a file on disk; for any thread."""
        if self.spooled:
            try:
                self.file.close()
            except OSError:  # what was buffered could not be written, and is not needed any more
                self.file = None

    def give_back(self) -> None:
        """Gives the room back."""
        self.spool.used -= self.spooled
        self.spooled = 0


def disk_error(error: OSError) -> SpoolError:
    """The error that says what could not be written, and where."""
    return SpoolError(f"a request body could not be written to disk ({tempfile.tempdir}): {error}")
