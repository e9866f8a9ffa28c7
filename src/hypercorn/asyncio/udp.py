"""UDP sockets on asyncio: watched as descriptors, or where a loop watches none (Windows' proactor) its transports."""

from __future__ import annotations

import asyncio
from socket import socket
from typing import TYPE_CHECKING, Any

from hypercorn.runtime.ports import Listener

if TYPE_CHECKING:
    from hypercorn.net.address import InternetAddress


class UDPListener(Listener):
    """Watches a socket for a `UDPSocket`, or for `ForwardedDatagrams`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket, udp: Any) -> None:
        self.loop = loop
        self.sock = sock
        self.udp = udp
        self.watching_output = False
        loop.add_reader(sock.fileno(), udp.readable)
        udp.wait_writable = self.wait_writable

    def wait_writable(self) -> None:
        """Calls `writable` until it has nothing left to do."""
        if not self.watching_output:
            self.watching_output = True
            self.loop.add_writer(self.sock.fileno(), self.writable)

    def writable(self) -> None:
        """asyncio's callback."""
        if self.udp.writable():
            self.watching_output = False
            self.loop.remove_writer(self.sock.fileno())

    def close(self) -> None:
        self.udp.closed = True
        if self.sock.fileno() >= 0:
            self.loop.remove_reader(self.sock.fileno())
            if self.watching_output:
                self.loop.remove_writer(self.sock.fileno())


class TransportListener(asyncio.DatagramProtocol, Listener):
    """A listener over the loop's own datagram transport."""

    def __init__(self, udp: Any) -> None:
        self.udp = udp
        self.transport: Any = None
        udp.send = self.send

    def connection_made(self, transport: object) -> None:
        """asyncio's callback."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: InternetAddress) -> None:
        """asyncio's callback."""
        self.udp.endpoint.received(self.udp, [(data, address)])

    def error_received(self, error: Exception) -> None:
        """asyncio's callback: what an earlier datagram met concerns nobody else."""

    def send(self, datagrams: list[bytes], address: InternetAddress) -> None:
        """Replaces the method of the `UDPSocket`."""
        if not self.transport.is_closing():
            for data in datagrams:
                self.transport.sendto(data, address)

    def close(self) -> None:
        self.udp.closed = True
        self.transport.close()


async def listen_datagrams(loop: asyncio.AbstractEventLoop, sock: socket, udp: object) -> Listener:
    """Reads a UDP socket, or a worker's inbox."""
    try:
        return UDPListener(loop, sock, udp)
    except NotImplementedError:
        _, listener = await loop.create_datagram_endpoint(lambda: TransportListener(udp), sock=sock)
        return listener
