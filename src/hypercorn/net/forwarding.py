"""Datagrams between the workers of one server: a packet that reached one worker goes on to the one whose it is.

Every worker has an inbox, a unix datagram socket; its name follows from the server's key and the worker's number, which
is in its connection ids. On Linux each place among the workers has UDP sockets of its own too, between which the kernel
chooses by the addresses of a packet; then only what has migrated, or belongs to a worker that drains, goes this way.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

from hypercorn.net.address import InternetAddress

LARGEST_BYTES = 65535 + 96  # octets of a forwarded datagram
SEAL_BYTES = 16  # octets that prove that a worker of this server sent it
_HEAD = struct.Struct("!BHIIB")  # number of the UDP socket, port, flow, scope, length of the host
_INBOX_BYTES = 4194304  # octets that an inbox may hold, where the system allows as many


class DatagramForwarder:
    """One worker among its siblings.

    index: its number, in its connection ids; key: the server's secret, the same for all of its workers
    siblings: the numbers of the workers that take new connections
    """

    def __init__(self, index: int = 0, key: bytes | None = None, siblings: Callable[[], list[int]] = list) -> None:
        self.index = index
        self.key = os.urandom(32) if key is None else key
        self.siblings = siblings
        self.inbox: socket.socket | None = None
        self.outbox: socket.socket | None = None

    def open(self) -> None:
        """Binds the inbox. Raises OSError, where the system has no such sockets too."""
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("no unix sockets here")
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            inbox.setblocking(False)
            with suppress(OSError):
                inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _INBOX_BYTES)
            name = self.name(self.index)
            if isinstance(name, str):
                with suppress(FileNotFoundError):
                    os.unlink(name)
            inbox.bind(name)
        except OSError:
            inbox.close()
            raise
        self.inbox = inbox
        self.outbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.outbox.setblocking(False)
        with suppress(OSError):
            self.outbox.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _INBOX_BYTES)

    def name(self, worker: int) -> str | bytes:
        """The address of a worker's inbox: on Linux one that is in no folder."""
        secret = hmac.digest(self.key, b"inbox", sha256)[:12].hex()
        name = f"hypercorn.{secret}.{worker}"
        if sys.platform.startswith("linux"):
            return b"\0" + name.encode()
        import tempfile  # which takes long to import

        return os.path.join(tempfile.gettempdir(), name)

    def forward(self, worker: int, socket_number: int, address: InternetAddress, data: bytes) -> bool:
        """Hands a datagram to another worker. False where there is none of that number. Where its inbox is full the
        datagram is lost, as datagrams are."""
        if self.outbox is None or worker == self.index:
            return False
        packet = pack(socket_number, address, data)
        try:
            self.outbox.sendto(self.seal(packet) + packet, self.name(worker))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def received(self, sealed: bytes) -> tuple[int, InternetAddress, bytes]:
        """Number of the socket, address and datagram of what came into the inbox. Raises ValueError for anything that
        no worker of this server has sent."""
        packet = sealed[SEAL_BYTES:]
        if not hmac.compare_digest(sealed[:SEAL_BYTES], self.seal(packet)):
            raise ValueError("not of this server")
        return unpack(packet)

    def seal(self, packet: bytes) -> bytes:
        return hmac.digest(self.key, packet, sha256)[:SEAL_BYTES]

    def close(self) -> None:
        """Closes the inbox. Safe to repeat."""
        for sock in (self.inbox, self.outbox):
            if sock is not None:
                sock.close()
        name = self.name(self.index)
        if self.inbox is not None and isinstance(name, str):
            with suppress(OSError):
                os.unlink(name)
        self.inbox = self.outbox = None


def pack(socket_number: int, address: InternetAddress, data: bytes) -> bytes:
    """A datagram with where it came from."""
    host = address[0].encode("ascii", "replace")
    flow, scope = (address[2], address[3]) if len(address) == 4 else (0, 0)
    return b"".join((_HEAD.pack(socket_number, address[1], flow, scope, len(host)), host, data))


def unpack(packet: bytes) -> tuple[int, InternetAddress, bytes]:
    """The inverse of `pack`. Raises ValueError for anything that `pack` does not return."""
    if len(packet) < _HEAD.size:
        raise ValueError("too short")
    socket_number, number, flow, scope, length = _HEAD.unpack_from(packet)
    end = _HEAD.size + length
    host = packet[_HEAD.size : end].decode("ascii")
    if len(host) != length:
        raise ValueError("too short")
    address: InternetAddress = (host, number, flow, scope) if ":" in host else (host, number)
    return socket_number, address, packet[end:]
