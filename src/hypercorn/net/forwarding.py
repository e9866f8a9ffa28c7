"""Datagrams between the workers of one server: a packet that reached one worker goes on to the one whose it is.

    places = create_places(4)         in the parent, before the workers are there
    worker.place = places[index]      in each of them

Every worker has an inbox, a unix datagram socket, and can write to all others. On Linux it has UDP sockets of its own
too, among which the kernel chooses by the addresses of a packet; then only what has migrated goes through an inbox.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

LARGEST = 65535 + 64  # octets of a forwarded datagram
_HEAD = struct.Struct("!BHIIB")  # number of the UDP socket, port, flow, scope, length of the host
_ROOM = 4194304  # octets that an inbox may hold, where the system allows as many


@dataclass
class Place:
    """One worker among its siblings. `key`: what the reset tokens of all of them are made from."""

    index: int = 0
    count: int = 1
    key: bytes = field(default_factory=lambda: os.urandom(32))
    inbox: socket.socket | None = None
    outboxes: list[socket.socket] = field(default_factory=list)

    def forward(self, worker: int, port: int, address: Any, data: bytes) -> None:
        """Hands a datagram to another worker. It is lost where that one's inbox is full, or the worker is gone."""
        try:
            self.outboxes[worker].send(pack(port, address, data))
        except OSError:
            pass

    def close(self) -> None:
        """Closes this process's ends. Safe to repeat."""
        if self.inbox is not None:
            self.inbox.close()
        for outbox in self.outboxes:
            outbox.close()


def create_places(count: int) -> list[Place]:
    """The places of `count` workers; their sockets are inheritable. Raises OSError."""
    key = os.urandom(32)
    if count < 2 or not hasattr(socket, "AF_UNIX"):
        return [Place(index, count, key) for index in range(count)]
    inboxes, outboxes = [], []
    for _ in range(count):
        inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for sock, option in ((inbox, socket.SO_RCVBUF), (outbox, socket.SO_SNDBUF)):
            sock.setblocking(False)
            sock.set_inheritable(True)
            try:
                sock.setsockopt(socket.SOL_SOCKET, option, _ROOM)
            except OSError:
                pass  # it is as large as the system makes it
        inboxes.append(inbox)
        outboxes.append(outbox)
    return [Place(index, count, key, inbox, outboxes) for index, inbox in enumerate(inboxes)]


def pack(port: int, address: Any, data: bytes) -> bytes:
    """A datagram with where it came from."""
    host = address[0].encode("ascii", "replace")
    flow, scope = (address[2], address[3]) if len(address) == 4 else (0, 0)
    return b"".join((_HEAD.pack(port, address[1], flow, scope, len(host)), host, data))


def unpack(packet: bytes) -> tuple[int, Any, bytes]:
    """What `pack` was given. Raises ValueError for anything else."""
    if len(packet) < _HEAD.size:
        raise ValueError("too short")
    port, number, flow, scope, length = _HEAD.unpack_from(packet)
    end = _HEAD.size + length
    host = packet[_HEAD.size : end].decode("ascii")
    if len(host) != length:
        raise ValueError("too short")
    address: Any = (host, number, flow, scope) if ":" in host else (host, number)
    return port, address, packet[end:]
