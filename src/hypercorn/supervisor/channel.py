"""The channel between the supervisor and one worker: a pair of sockets, with one line for each message.

The supervisor never waits on it. When the supervisor ends, in whatever way, its end closes, which tells the worker that
it is alone.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from hypercorn.supervisor.messages import (
    FROM_SUPERVISOR,
    FROM_WORKER,
    Malformed,
    SupervisorMessage,
    WorkerMessage,
    decode,
    encode,
)

READ_BYTES = 65536
Received = TypeVar("Received")


class Channel(Generic[Received]):
    """An end of a channel, which receives messages of the types `known`."""

    def __init__(self, sock: socket.socket, known: Mapping[str, type[Received]]) -> None:
        self.sock = sock
        self.known = known
        self.lock = threading.Lock()  # a worker's threads send too
        self.rest = b""
        self.malformed = False  # what the other end sends is not to be trusted

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    def send(self, message: WorkerMessage | SupervisorMessage) -> bool:
        """Sends a message. False where the other end is gone, or does not read."""
        data = encode(message)
        with self.lock:
            try:
                self.sock.sendall(data)
            except OSError:
                return False
        return True

    def receive(self) -> list[Received] | None:
        """The messages that one read gives; None at the end. A `Malformed` is the last."""
        try:
            data = b"" if self.malformed else self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        found = []
        for line in lines:
            found.append(decode(line, self.known))
            if isinstance(found[-1], Malformed):
                self.malformed = True
                break
        return found

    def messages(self) -> Iterator[Received]:
        """Every message until the other end closes; waits for them."""
        while (found := self.receive()) is not None:
            yield from found

    def close(self) -> None:
        """Closes this end."""
        self.sock.close()


def channel_pair() -> tuple[Channel[WorkerMessage], Channel[SupervisorMessage]]:
    """The supervisor's end, which does not block, and the worker's."""
    mine, theirs = socket.socketpair()
    mine.setblocking(False)
    return Channel(mine, FROM_WORKER), Channel(theirs, FROM_SUPERVISOR)
