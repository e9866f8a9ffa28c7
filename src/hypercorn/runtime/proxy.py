"""The PROXY protocol, versions 1 and 2: a proxy says who its client is before the client's first byte.

The header comes first of all, TLS included. Who sends none although it was agreed on, or a malformed one, is cut off:
the protocol's specification (section 2) forbids to guess.
"""

from __future__ import annotations

from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_ntop

from hypercorn.net.tls import LiveContext
from hypercorn.protocol.ports import Connection, Context, Transport
from hypercorn.runtime.contract import WorkerBase

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LONGEST_TEXT_BYTES = 107  # bytes of a header of version 1, its CRLF included
LONGEST_BYTES = 4096  # bytes of a header of version 2 that are waited for: addresses and their extensions
INET, INET6, UNIX = 1, 2, 3

Address = tuple[str, int]
Found = tuple[int, Address | None, Address | None, bool]


def read_header(data: bytes) -> Found | None:
    """The header at the front of `data`: its length, source, destination, and whether it names them.

    None where more bytes are needed. Raises ValueError where there is no such header.
    """
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return None if len(data) < 16 else read_binary(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return read_text(data)
    raise ValueError("no PROXY header")


def read_text(data: bytes) -> Found | None:
    """Version 1: one line."""
    line, crlf, _ = data[:LONGEST_TEXT_BYTES].partition(b"\r\n")
    if not crlf:
        if len(data) >= LONGEST_TEXT_BYTES:
            raise ValueError("the line is too long")
        return None
    length = len(line) + 2
    words = line.decode("ascii").split(" ")
    if len(words) > 1 and words[1] == "UNKNOWN":
        return length, None, None, False
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ValueError("not a PROXY line")
    version = 4 if words[1] == "TCP4" else 6
    hosts = [ip_address(word) for word in words[2:4]]
    ports = [int(word) for word in words[4:6] if word.isdecimal() and len(word) < 6]
    if any(host.version != version for host in hosts) or len(ports) != 2 or max(ports) > 65535:
        raise ValueError("not a PROXY line")
    return length, (str(hosts[0]), ports[0]), (str(hosts[1]), ports[1]), True


def read_binary(data: bytes) -> Found | None:
    """Version 2."""
    version, command, family, kind = data[12] >> 4, data[12] & 15, data[13] >> 4, data[13] & 15
    size = int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1 or family > UNIX or kind > 2:
        raise ValueError("not a PROXY header of version 2")
    if size > LONGEST_BYTES:
        raise ValueError("the header is too long")
    length = 16 + size
    if len(data) < length:
        return None
    if command == 0 or not family or not kind:  # the proxy's own (a health check), or nothing it can name
        return length, None, None, False
    width = {INET: 4, INET6: 16, UNIX: 108}[family]
    if size < 2 * width + (0 if family == UNIX else 4):
        raise ValueError("the header is too short")
    if family == UNIX:
        return length, None, None, True
    hosts = [inet_ntop(AF_INET if family == INET else AF_INET6, data[at : at + width]) for at in (16, 16 + width)]
    at = 16 + 2 * width
    ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    return length, (hosts[0], ports[0]), (hosts[1], ports[1]), True


class ProxyConnection(Connection):
    """The first connection of a transport whose peer has to send a PROXY header."""

    def __init__(self, transport: Transport, context: Context, tls: LiveContext | None, worker: WorkerBase) -> None:
        super().__init__(transport, context)
        self.tls = tls
        self.worker = worker
        self.received = b""
        self.deadline = context.runtime.now() + context.limits.header_timeout
        if self.deadline < context.next_sweep:
            context.arm(self.deadline)

    def data_received(self, data: bytes) -> None:
        self.received += data
        try:
            found = read_header(self.received)
        except ValueError as error:
            client = self.transport.client
            self.worker.log.log_debug("No PROXY header of %s: %s", client[0] if client else "-", error)
            self.abort()
            return
        if found is None:
            return
        length, source, destination, named = found
        transport = self.transport
        # Where the proxy names nobody, the client is unknown, and what it says of itself is no proxy's word.
        transport.trusted = False
        if named:
            transport.client = source
            if destination is not None:
                transport.server = destination
            # What follows is the client's, which may be a trusted proxy of its own.
            transport.trusted = source is not None and self.worker.operations.trusts(source)
            if not self.worker.operations.admit_client(transport):
                self.abort()
                return
        rest = self.received[length:]
        self.received = b""
        self.worker.begin(transport, self.tls, rest)

    def eof_received(self) -> None:
        self.transport.close()

    def connection_lost(self) -> None:
        self.deadline = 0.0

    def pause_writing(self) -> None:
        """Does nothing: this connection writes nothing."""

    def resume_writing(self) -> None:
        """Does nothing: this connection writes nothing."""

    def expired(self, now: float) -> None:
        self.abort()

    def shutdown(self) -> None:
        self.abort()

    def abort(self) -> None:
        self.deadline = 0.0
        self.transport.abort()
