"""A connection over TCP and TLS whose every step is timed, and bounded in time and size."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import NamedTuple

from hypercorn.cli.check.report import Timings
from hypercorn.cli.check.target import Target

MAX_BYTES = 8 * 1024 * 1024  # bytes of a response that are read
_READ_BYTES = 65536


class Address(NamedTuple):
    """A socket address, as `socket.getaddrinfo` gives it."""

    family: socket.AddressFamily
    sockaddr: tuple[str | int | bytes, ...]


class Resolved(NamedTuple):
    """The addresses of a host, and how long it took to find them, in milliseconds."""

    addresses: list[Address]
    dns: float


class TooLarge(ConnectionError):
    """The response is longer than what is read."""


def milliseconds_since(begin: float) -> float:
    """Milliseconds since a time of `time.monotonic`."""
    return round((time.monotonic() - begin) * 1000, 3)


def resolve(target: Target, timeout: float) -> Resolved:
    """The addresses of a target's host. Raises OSError, TimeoutError among them.

    In a thread: the system's resolver takes no time limit.
    """
    found: list[Address] = []
    failures: list[Exception] = []
    begin = time.monotonic()

    def run() -> None:
        try:
            for family, _, _, _, sockaddr in socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
                found.append(Address(family, sockaddr))
        except (OSError, UnicodeError) as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError(f"the name {target.host} was not resolved within {timeout:g} seconds")
    if failures:
        reason = getattr(failures[0], "strerror", None) or failures[0]
        raise OSError(f"the name {target.host} cannot be resolved: {reason}")
    return Resolved(list(dict.fromkeys(found)), milliseconds_since(begin))


class TimedLine:
    """Carries the bytes of a connection, as the clients of `hypercorn.testing` want it.

    All of it ends by one deadline, and after MAX_BYTES of bytes: the next `receive` raises TimeoutError or TooLarge.
    """

    def __init__(self, target: Target, resolved: Resolved, timeout: float) -> None:
        self.scheme = "https" if target.secure else "http"
        self.authority = target.authority
        self.target = target
        self.deadline = time.monotonic() + timeout
        self.timings = Timings(dns=resolved.dns)
        self.received = 0
        self.sock = self._connect(resolved.addresses)

    def _connect(self, addresses: list[Address]) -> socket.socket:
        begin = time.monotonic()
        failure: OSError = OSError("the host has no address")
        for number, address in enumerate(addresses):
            sock = socket.socket(address.family, socket.SOCK_STREAM)
            try:
                sock.settimeout(self._left() / (len(addresses) - number))
                sock.connect(address.sockaddr)
            except OSError as error:
                sock.close()
                failure = error
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.timings.connect = milliseconds_since(begin)
                return sock
        raise failure

    def encrypt(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Does the handshake of TLS. Raises OSError, and the socket is closed."""
        begin = time.monotonic()
        self.sock.settimeout(self._left())
        plain = self.sock
        try:
            encrypted = context.wrap_socket(plain, server_hostname=self.target.host)
        except BaseException:
            plain.close()
            raise
        self.sock = encrypted
        self.timings.tls = milliseconds_since(begin)
        return encrypted

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def send(self, data: bytes) -> None:
        """Sends all of the data."""
        self.sock.settimeout(self._left())
        self.sock.sendall(data)

    def receive(self) -> bytes:
        """The next bytes, b"" at the end of the connection."""
        if self.received > MAX_BYTES:
            raise TooLarge(f"the response is longer than {MAX_BYTES} bytes")
        self.sock.settimeout(self._left())
        data = self.sock.recv(_READ_BYTES)
        self.received += len(data)
        return data

    def close(self) -> None:
        """Closes the connection."""
        self.sock.close()
