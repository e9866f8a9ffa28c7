"""The wire between the supervisor and one worker: a pair of sockets, a line of JSON for each message.

The supervisor never waits on it. Its end, closed by whatever end the supervisor comes to, tells the worker that it is
alone.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

READ_SIZE = 65536
Message = dict[str, Any]


class Channel:
    """One end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.lock = threading.Lock()  # a worker's threads send too
        self.rest = b""

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    def send(self, message: Message) -> bool:
        """Sends a message. False where the other end is gone, or does not read."""
        data = json.dumps(message).encode() + b"\n"
        with self.lock:
            try:
                self.sock.sendall(data)
            except OSError:
                return False
        return True

    def receive(self) -> list[Message] | None:
        """The messages that one read gives; None at the end."""
        try:
            data = self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def messages(self) -> Iterator[Message]:
        """Every message until the other end closes; waits for them."""
        while (found := self.receive()) is not None:
            yield from found

    def close(self) -> None:
        """Closes this end."""
        self.sock.close()


def channel_pair() -> tuple[Channel, Channel]:
    """The supervisor's end, which does not block, and the worker's."""
    mine, other = socket.socketpair()
    mine.setblocking(False)
    return Channel(mine), Channel(other)
