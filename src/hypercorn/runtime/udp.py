"""UDP sockets for QUIC, the same on every loop: batches in, batches out.

A run of datagrams of one size leaves in one system call where the kernel can cut it up (UDP_SEGMENT, Linux 4.18).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter

from hypercorn.net.address import InternetAddress, server_address
from hypercorn.net.forwarding import LARGEST_BYTES, DatagramForwarder
from hypercorn.protocol.quic.endpoint import DatagramSocket, QUICEndpoint

BATCH = 64  # datagrams read before the loop gets its turn
SLICE_SECONDS = 0.002  # seconds after which no other datagram is read before it
FORWARDED_BATCH = 8  # datagrams of other workers that are used together
WAITING = 1024  # datagrams that wait for a kernel that takes none; more are lost, as datagrams are
SEGMENTS = 64  # datagrams in one call (UDP_MAX_SEGMENTS)
SEGMENTED_BYTES = 65000  # octets in one call
SOL_UDP, UDP_SEGMENT = 17, 103
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_PROBE = 10, 23, 3
BUFFER_BYTES = 4194304  # octets of the socket's buffers, where the system allows as many
_FULL = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS))
_NO_GSO = frozenset((errno.EIO, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOPROTOOPT))


class UDPSocket(DatagramSocket):
    """A bound UDP socket. `wait_writable` has the loop call `writable` once the kernel takes more."""

    def __init__(self, sock: socket.socket, number: int, endpoint: QUICEndpoint) -> None:
        self.sock = sock
        self.number = number
        self.endpoint = endpoint
        self.server = server_address(sock.getsockname())
        self.wait_writable: Callable[[], None] = lambda: None
        self.waiting: deque[tuple[bytes, int, InternetAddress]] = (
            deque()
        )  # what the kernel refused: octets, segment size, address
        self.closed = False
        sock.setblocking(False)
        self.segments = prepare(sock)

    def readable(self) -> None:
        """Reads what there is, up to a batch, and no more than the loop can be kept waiting for."""
        receive = self.sock.recvfrom
        try:
            first = receive(65535)
        except OSError:  # nothing there, or what an earlier datagram met: nobody listens there, or it was too long
            return
        self.endpoint.received(self, self.datagrams(first))

    def datagrams(self, first: tuple[bytes, InternetAddress]) -> Iterator[tuple[bytes, InternetAddress]]:
        """A batch, each read when the one before it was used."""
        receive = self.sock.recvfrom
        end = perf_counter() + SLICE_SECONDS
        yield first
        for _ in range(BATCH - 1):
            if self.closed or perf_counter() >= end:
                return
            try:
                datagram = receive(65535)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            yield datagram

    def send(self, datagrams: list[bytes], address: InternetAddress) -> None:
        if self.closed:
            return
        if not self.segments:
            for data in datagrams:
                self.send_one(data, 0, address)
            return
        first = 0
        while first < len(datagrams):
            size = len(datagrams[first])
            last = first + 1
            most = min(len(datagrams), first + max(1, min(SEGMENTS, SEGMENTED_BYTES // size)))
            while last < most and len(datagrams[last]) == size:
                last += 1
            if last < most and len(datagrams[last]) < size and last > first:
                last += 1  # a shorter one may end the run
            if last - first == 1:
                self.send_one(datagrams[first], 0, address)
            else:
                self.send_one(b"".join(datagrams[first:last]), size, address)
            first = last

    def send_one(self, data: bytes, size: int, address: InternetAddress) -> None:
        """One call: a datagram, or several of `size` octets."""
        if self.waiting:
            if len(self.waiting) < WAITING:
                self.waiting.append((data, size, address))
            return
        error = self.to_kernel(data, size, address)
        if error in _FULL:
            self.waiting.append((data, size, address))
            self.blocked = True
            self.wait_writable()

    def to_kernel(self, data: bytes, size: int, address: InternetAddress) -> int:
        """Sends. Returns the error number, 0 for none; what is not for waiting was lost on the way."""
        try:
            if size:
                self.sock.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))], 0, address)
            else:
                self.sock.sendto(data, address)
        except OSError as error:
            number = error.errno or errno.EIO
            if size and number in _NO_GSO:
                self.segments = False
                for at in range(0, len(data), size):
                    number = self.to_kernel(data[at : at + size], 0, address)
            return number
        return 0

    def writable(self) -> bool:
        """The kernel takes more. False where it does not take all that waits."""
        waiting = self.waiting
        while waiting:
            if self.to_kernel(*waiting[0]) in _FULL:
                return False
            waiting.popleft()
        self.blocked = False
        if not self.closed:
            self.endpoint.unblocked()
        return not self.blocked


class ForwardedDatagrams:
    """Handles a datagram that another worker handed over as if it had come through a socket of this one."""

    def __init__(self, forwarder: DatagramForwarder, udp_sockets: list[UDPSocket], endpoint: QUICEndpoint) -> None:
        assert forwarder.inbox is not None
        self.forwarder = forwarder
        self.sock = forwarder.inbox
        self.closed = False
        self.udp_sockets = {udp.number: udp for udp in udp_sockets}
        self.endpoint = endpoint
        self.wait_writable: Callable[[], None] = lambda: None

    def readable(self) -> None:
        """Reads what there is, up to a batch, and no more than the loop can be kept waiting for."""
        end = perf_counter() + SLICE_SECONDS
        left = BATCH
        while left > 0 and perf_counter() < end:
            batches: dict[int, list[tuple[bytes, InternetAddress]]] = {}
            for _ in range(min(left, FORWARDED_BATCH)):
                left -= 1
                try:
                    number, address, data = self.forwarder.received(self.sock.recv(LARGEST_BYTES))
                except ValueError:
                    continue
                except OSError:
                    left = 0
                    break
                batches.setdefault(number, []).append((data, address))
            for number, batch in batches.items():
                udp = self.udp_sockets.get(number)
                if udp is not None:
                    self.endpoint.received(udp, batch)


def prepare(sock: socket.socket) -> bool:
    """Sets what QUIC wants of a socket. True where the kernel cuts up what is sent."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        except OSError:
            pass
    if not sys.platform.startswith("linux"):
        return False
    v6 = sock.family == socket.AF_INET6
    try:
        # Datagrams are never cut up on the way: how long they may be is found out by sending (RFC 9000 section 14).
        level = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
        sock.setsockopt(level, IPV6_MTU_DISCOVER if v6 else IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
    except OSError:
        pass
    try:
        sock.getsockopt(SOL_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return hasattr(sock, "sendmsg")
