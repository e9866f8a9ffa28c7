"""First datagrams of clients that have not said all of their ClientHello, while many handshakes are under way.

A connection takes some 50 kB as soon as it exists. Whoever sends half a ClientHello under a new id each time would get
one for each datagram: with this, nothing but the datagram is kept until the rest has come.
"""

from __future__ import annotations

from collections import OrderedDict

from aioquic._buffer import Buffer
from aioquic._crypto import CryptoError
from aioquic.quic.connection import QuicConnectionError
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicFrameType, QuicHeader, QuicPacketType, pull_quic_header

from hypercorn.net.address import InternetAddress
from hypercorn.protocol.quic.receive import EACH, FRAMES, PACKETS, Handshake, Unacknowledged
from hypercorn.protocol.runtime import Runtime, Timer

MOST = 1024  # clients that are waited for; the oldest one is dropped for another
DATAGRAMS = 4  # of one client
WAIT_SECONDS = 5.0  # seconds for the rest
HELLO_BYTES = 16384  # octets of a ClientHello
USELESS = b"\x00\x01"  # PADDING and PING


class FirstFlights:
    """The first datagrams of each client, by the id that it has chosen and its address."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.waiting: OrderedDict[tuple[bytes, InternetAddress], tuple[float, list[bytes]]] = OrderedDict()
        self.timer: Timer | None = None

    def add(self, header: QuicHeader, data: bytes, address: InternetAddress, now: float) -> list[bytes] | None:
        """Takes a datagram. Returns those that came before where the ClientHello is complete, or is none; None while
        its rest has to come."""
        key = header.destination_cid, address
        since, before = self.waiting.get(key, (now, []))
        if len(before) >= DATAGRAMS:
            return None
        is_whole = has_whole_hello([*before, data], header)
        if is_whole is None:
            return None
        if is_whole:
            self.waiting.pop(key, None)
            return before
        self.waiting[key] = (since, [*before, data])
        if len(self.waiting) > MOST:
            self.waiting.popitem(last=False)
        if self.timer is None:
            self.timer = self.runtime.call_at(now + WAIT_SECONDS, self.sweep)
        return None

    def sweep(self) -> None:
        """Forgets those that were waited for too long."""
        self.timer = None
        now = self.runtime.now()
        waiting = self.waiting
        while waiting:
            since, _ = next(iter(waiting.values()))
            if since + WAIT_SECONDS > now:
                self.timer = self.runtime.call_at(since + WAIT_SECONDS, self.sweep)
                return
            waiting.popitem(last=False)

    def close(self) -> None:
        """Forgets all."""
        self.waiting.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def has_whole_hello(datagrams: list[bytes], header: QuicHeader) -> bool | None:
    """True where Initial packets have a whole message of TLS, or anything that a connection has to answer; None where
    the last one cannot be decrypted."""
    crypto = CryptoPair()
    crypto.setup_initial(cid=header.destination_cid, is_client=False, version=header.version or 0)
    handshake = Handshake(HELLO_BYTES)
    readable = False
    for data in datagrams:
        readable = False
        start = 0
        for _ in range(PACKETS):
            if start >= len(data):
                break
            packet = data[start:]
            buffer = Buffer(data=packet)
            try:
                head = pull_quic_header(buffer, host_cid_length=len(header.destination_cid))
                start += head.packet_length
                if head.packet_type != QuicPacketType.INITIAL:
                    continue
                _, payload, _ = crypto.decrypt_packet(packet[: head.packet_length], buffer.tell(), 0)
            except (ValueError, CryptoError):
                break
            readable = True
            if has_message(payload, handshake):
                return True
    return False if readable else None


def has_message(payload: bytes, handshake: Handshake) -> bool:
    """True where the frames of a packet complete a message, or are not what the first packets of a client have."""
    buffer = Buffer(data=payload)
    found = False
    for _ in range(FRAMES + len(payload) // EACH):
        rest = payload[buffer.tell() :].lstrip(USELESS)
        if not rest:
            return not found
        if rest[0] != QuicFrameType.CRYPTO:
            return True
        found = True
        buffer.seek(len(payload) - len(rest) + 1)
        try:
            offset = buffer.pull_uint_var()
            if handshake.add(offset, buffer.pull_bytes(buffer.pull_uint_var())):
                return True
        except (ValueError, QuicConnectionError, Unacknowledged):
            return True
    return True
