"""The QUIC connections of one worker (RFC 9000): which datagram is whose, who may come in, and when to look again.

    udp.received  -> QUICEndpoint -> Peer -> HTTP3Connection
                                     Peer -> udp.send

Nothing here opens a socket or knows the time of itself, and no datagram, however malformed, raises out of `received`.

A `Peer` has the states that the server has to tell apart, which are fewer than QUIC's own:

    HANDSHAKE -> CONNECTED -> CLOSING  -> DISCARDED
        |            |------> DRAINING ------^
        |-------------------> CLOSING, DRAINING

A peer is in HANDSHAKE until TLS has proven that somebody is at its address. Until then it counts against
`quic_retry_threshold`, and against no limit of clients, as anybody can fake its datagrams (RFC 9000 section 8.1).
CONNECTED carries HTTP/3. The two ways out are those of section 10. In CLOSING (10.2.1) the server has ended the
connection: whatever still arrives is answered by the same CONNECTION_CLOSE, more and more rarely. In DRAINING (10.2.2)
the peer has ended it, has fallen silent (10.1) or was reset (10.3), and nothing may be sent at all: two endpoints that
answered each other's ends would never stop. Both keep the connection ids for a while, so that late packets meet the
connection and not a stateless reset. DISCARDED keeps nothing.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE
from aioquic.quic.connection import TRANSPORT_CLOSE_FRAME_CAPACITY
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.packet_builder import QuicPacketBuilder

from hypercorn.logs.logger import ErrorLog
from hypercorn.net.address import InternetAddress
from hypercorn.net.forwarding import DatagramForwarder
from hypercorn.net.quic_tls import ServerConfiguration
from hypercorn.protocol.http3.connection import HTTP3Connection
from hypercorn.protocol.mux.budgets import Budget
from hypercorn.protocol.ports import Connection, Context
from hypercorn.protocol.quic.connection import ServerConnection
from hypercorn.protocol.quic.flights import FirstFlights
from hypercorn.protocol.quic.ids import ID_BYTES, ConnectionIds
from hypercorn.protocol.quic.transport import QUICTransport
from hypercorn.protocol.runtime import Timer
from hypercorn.protocol.states import Transitions
from hypercorn.protocol.turns import NO_TURN
from hypercorn.wire.http3 import H3_INTERNAL_ERROR, FieldPairs

LONG = 0x80  # the header form bit
RESET_FLOOR_BYTES = 43  # octets of a packet that a stateless reset may answer (RFC 9000 section 10.3.3)
UNKNOWN_BURST, UNKNOWN_RATE = (
    200.0,
    100.0,
)  # answers to datagrams that belong to no connection: at once, and in a second
UNFINISHED = 16  # handshakes under way from which on a connection is made for a whole ClientHello only
TICK_SECONDS = 0.005  # seconds
REPEATS = 16  # times that CONNECTION_CLOSE is repeated at the most (RFC 9000 section 10.2.1)

Datagram = tuple[bytes, "InternetAddress"]  # and the address that it came from


class DatagramSocket:
    """A UDP socket, as an endpoint sees it. `server`: its address, as scopes have it."""

    server: tuple[str, int | None] | None = None
    number = 0  # among the sockets of the server
    blocked = False  # the kernel takes no more for now; `QUICEndpoint.unblocked` follows

    def send(self, datagrams: list[bytes], address: InternetAddress) -> None:
        """Sends datagrams to one address. What the kernel does not take now may be lost."""
        raise NotImplementedError


HANDSHAKE, CONNECTED, CLOSING, DRAINING, DISCARDED = range(5)
PEER = Transitions(
    "QUIC connection",
    ("HANDSHAKE", "CONNECTED", "CLOSING", "DRAINING", "DISCARDED"),
    {
        HANDSHAKE: (CONNECTED, CLOSING, DRAINING),
        CONNECTED: (CLOSING, DRAINING),
        CLOSING: (DISCARDED,),
        DRAINING: (DISCARDED,),
        DISCARDED: (),
    },
)


class Peer:
    """One connection, its ids and its timer."""

    __slots__ = (
        "close_datagrams",
        "connection",
        "endpoint",
        "ids",
        "late_datagrams",
        "pairs",
        "quic",
        "scheduled",
        "state",
        "udp",
    )

    def __init__(self, endpoint: QUICEndpoint, udp: DatagramSocket) -> None:
        self.endpoint = endpoint
        self.udp = udp
        self.pairs = endpoint.pairs
        self.ids: set[bytes] = set()
        self.scheduled = 0.0  # when its entry in the heap of timers is due; 0: it has none
        self.state = HANDSHAKE
        self.close_datagrams: list[Datagram] = []  # CONNECTION_CLOSE, to be repeated
        self.late_datagrams = 0  # datagrams that came after it
        self.quic: ServerConnection
        self.connection: HTTP3Connection

    @property
    def open(self) -> bool:
        """True while the connection has streams, or may get some."""
        return self.state < CLOSING

    def issued(self, connection_id: bytes) -> None:
        """Packets may come under this id from now on."""
        self.ids.add(connection_id)
        self.endpoint.table[connection_id] = self

    def retired(self, connection_id: bytes) -> None:
        """The peer does not use an id any more."""
        self.ids.discard(connection_id)
        self.endpoint.table.pop(connection_id, None)

    def established(self) -> bool:
        """The handshake is complete. False where there are too many connections."""
        self.state = PEER.change(self.state, CONNECTED)
        self.endpoint.half_open.discard(self)
        return self.endpoint.established(self.connection)

    def moved(self) -> None:
        """The peer has another address."""
        self.endpoint.moved(self.connection)

    def receive(self, data: bytes, address: InternetAddress, udp: DatagramSocket, now: float) -> None:
        """A datagram for this connection."""
        if not self.open:
            self.late_datagrams += 1
            if (
                self.close_datagrams
                and self.late_datagrams <= 1 << REPEATS
                and not self.late_datagrams & (self.late_datagrams - 1)
            ):
                self.send(self.close_datagrams)
            return
        self.udp = udp
        try:
            self.quic.receive_datagram(data, address, now)
            self.connection.received_at = now
        except Exception as error:
            self.internal_error(error)

    def turn(self, now: float) -> None:
        """Uses what was received, or what the timer brought, and sends what follows of it."""
        connection, quic = self.connection, self.quic  # a fault in the turn has them forgotten
        try:
            transport = connection.transport
            began = transport.begin_turn()
            connection.work(now)
            if began:
                transport.end_turn()
            if quic.closing and self.open:
                connection.connection_ended()
        except Exception as error:
            self.internal_error(error)

    def internal_error(self, error: Exception) -> None:
        """A fault of this server or its library: it ends this connection and no other."""
        self.endpoint.log.log_error("An HTTP/3 connection ended in an internal error", exc_info=error)
        if self.state == DISCARDED:
            return  # another fault has ended it
        self.connection.transport.turn = NO_TURN
        try:
            self.connection.finish(H3_INTERNAL_ERROR, "")
        except Exception:
            self.connection.connection_ended()
        if not self.open:
            self.forget()

    def transmit(self, now: float) -> None:
        """Sends what QUIC has to send, and sets its timer."""
        if self.udp.blocked and not self.quic.closing:  # CONNECTION_CLOSE waits with the socket, as nobody asks again
            self.endpoint.blocked[self] = None
            return
        datagrams = self.quic.datagrams_to_send(now)
        if self.quic.mtu.is_due(self.quic):
            datagrams += self.quic.mtu.probe(self.quic, now)
        if self.quic.closing and datagrams:
            self.close_datagrams = datagrams
        self.send(datagrams)
        self.endpoint.schedule(self, self.quic.get_timer())

    def send(self, datagrams: list[Datagram]) -> None:
        """Sends, what goes to one address together."""
        first = 0
        count = len(datagrams)
        while first < count:
            address = datagrams[first][1]
            last = first + 1
            while last < count and datagrams[last][1] == address:
                last += 1
            self.udp.send([data for data, _ in datagrams[first:last]], address)
            first = last

    def timer(self, now: float) -> None:
        """The time that QUIC asked for has come."""
        if not self.open:
            self.forget()
            return
        try:
            self.quic.handle_timer(now)
        except Exception as error:
            self.internal_error(error)
            return
        self.turn(now)

    def ended(self) -> None:
        """The connection is over for its streams; its last datagrams may still be repeated."""
        if self.open:
            self.state = PEER.change(self.state, CLOSING if self.close_datagrams else DRAINING)
            self.endpoint.ended(self)

    def forget(self) -> None:
        """Forgets the connection. None of its objects refers to itself, so its memory is free at once."""
        if self.state == DISCARDED:
            return
        self.state = PEER.change(self.state, DISCARDED)
        for connection_id in self.ids:
            self.endpoint.table.pop(connection_id, None)
        self.ids.clear()
        self.endpoint.forgotten(self)
        self.quic.release()
        self.connection.transport.connection = None
        del self.quic, self.connection
        self.close_datagrams = []


class QUICEndpoint:
    """The connections of one worker. `opened` and `closed` are told of each."""

    def __init__(
        self,
        context: Context,
        configuration: ServerConfiguration,
        log: ErrorLog,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
        forwarder: DatagramForwarder | None = None,
    ) -> None:
        self.context = context
        self.configuration = configuration  # of the last connection; the next may have new files
        self.log = log
        self.opened = opened
        self.closed = closed
        self.forwarder = DatagramForwarder() if forwarder is None else forwarder
        self.ids = ConnectionIds(self.forwarder.index, self.forwarder.key)
        self.pairs = FieldPairs()
        self.latest_configuration: Callable[[float], ServerConfiguration] = lambda _: self.configuration
        self.full: Callable[[], bool] = lambda: False  # for reasons beside the number of these connections
        self.established: Callable[[Connection], bool] = lambda _: True  # is asked once a client has proven itself
        self.moved: Callable[[Connection], None] = lambda _: None  # is told when a client has another address
        self.max_connections = 10000
        self.retry_threshold = 100
        self.table: dict[bytes, Peer] = {}
        self.peers: set[Peer] = set()
        self.half_open: set[Peer] = set()
        self.flights = FirstFlights(context.runtime)
        self.blocked: dict[Peer, None] = {}  # those that wait for a socket that takes more
        now = context.runtime.now()
        self.unknown_budget = Budget(UNKNOWN_BURST, UNKNOWN_RATE, now)
        # The timers of all connections: one entry for each at the most, and one timer of the loop for the first.
        self.heap: list[tuple[float, int, Peer]] = []
        self.entries = 0
        self.timer: Timer | None = None
        self.timer_at = 0.0

    # -- datagrams

    def received(self, udp: DatagramSocket, batch: Iterable[Datagram]) -> None:
        """Takes what a socket has received."""
        now = self.context.runtime.now()
        touched: dict[Peer, None] = {}
        for data, address in batch:
            try:
                peer = self.peer_of(udp, data, address, now)
            except Exception as error:
                self.log.log_error("A datagram could not be used", exc_info=error)
                continue
            if peer is not None:
                touched[peer] = None
                peer.receive(data, address, udp, now)
        for peer in touched:
            if peer.open:
                peer.turn(now)

    def peer_of(self, udp: DatagramSocket, data: bytes, address: InternetAddress, now: float) -> Peer | None:
        """The connection that a datagram is for; None where it was used otherwise, or is of no use."""
        if not data:
            return None
        if not data[0] & LONG:
            peer = self.table.get(data[1 : 1 + ID_BYTES])
            if peer is None:
                self.unknown_connection(udp, data, address, data[1 : 1 + ID_BYTES], now)
            return peer
        if len(data) < 7 or data[5] > 20:
            return None
        destination = data[6 : 6 + data[5]]
        peer = self.table.get(destination)
        if peer is not None:
            return peer
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=ID_BYTES)
        except ValueError:
            header = None
        if header is None or header.version is None or header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version not in self.configuration.supported_versions:
            self.negotiate(udp, header, len(data), address, now)
            return None
        if header.packet_type == QuicPacketType.INITIAL:
            if len(data) < SMALLEST_MAX_DATAGRAM_SIZE:
                return None
            if self.forwarded(udp, data, address, destination):
                return None  # after the first one, and after a Retry, it names the worker that has answered
            if self.context.terminating and self.forwarded_to_sibling(udp, data, address, destination):
                return None
            return self.admit(udp, header, data, address, now)
        if header.packet_type == QuicPacketType.HANDSHAKE:
            self.forwarded(udp, data, address, destination)
        return None

    def forwarded(self, udp: DatagramSocket, data: bytes, address: InternetAddress, connection_id: bytes) -> bool:
        """Hands a datagram on where its id names another worker."""
        owner = self.ids.owner(connection_id)
        return owner >= 0 and self.forwarder.forward(owner, udp.number, address, data)

    def forwarded_to_sibling(
        self, udp: DatagramSocket, data: bytes, address: InternetAddress, connection_id: bytes
    ) -> bool:
        """While this worker drains, another one takes new connections, the same one for all packets of a client."""
        siblings = sorted(self.forwarder.siblings())
        if not siblings:
            return False
        chosen = siblings[sum(connection_id) % len(siblings)]
        return self.forwarder.forward(chosen, udp.number, address, data)

    def unknown_connection(
        self, udp: DatagramSocket, data: bytes, address: InternetAddress, connection_id: bytes, now: float
    ) -> None:
        """A packet of a connection that is not here: another worker's, or one that is gone (RFC 9000 section 10.3)."""
        if self.forwarded(udp, data, address, connection_id):
            return
        if len(data) >= RESET_FLOOR_BYTES and len(connection_id) == ID_BYTES and self.may_answer(now):
            filler = bytearray(os.urandom(min(len(data) - 1, RESET_FLOOR_BYTES) - 16))
            filler[0] = filler[0] & 0x3F | 0x40
            udp.send([bytes(filler) + self.ids.reset_token(connection_id)], address)

    def may_answer(self, now: float) -> bool:
        """Returns True while answers to datagrams of no connection are within their rate."""
        budget = self.unknown_budget
        budget.left = min(budget.burst, budget.left + (now - budget.since) * budget.rate)
        budget.since = now
        if budget.left < 1:
            return False
        budget.left -= 1
        return True

    def negotiate(
        self, udp: DatagramSocket, header: QuicHeader, size: int, address: InternetAddress, now: float
    ) -> None:
        """Says which versions are spoken (RFC 9000 section 6.1)."""
        if size >= SMALLEST_MAX_DATAGRAM_SIZE and self.may_answer(now):
            versions = self.configuration.supported_versions
            packet = encode_quic_version_negotiation(
                source_cid=header.destination_cid, destination_cid=header.source_cid, supported_versions=versions
            )
            udp.send([packet], address)

    # -- who may come in

    def admit(
        self, udp: DatagramSocket, header: QuicHeader, data: bytes, address: InternetAddress, now: float
    ) -> Peer | None:
        """A connection for the first packet of a client, or None: it was refused, or has to prove its address."""
        if self.context.terminating or len(self.peers) >= self.max_connections or self.full():
            if self.may_answer(now):
                udp.send([refusal(header, QuicErrorCode.CONNECTION_REFUSED)], address)
            return None
        original, retry = header.destination_cid, None
        loaded = len(self.half_open) >= self.retry_threshold
        if header.token:
            proven = self.ids.read_token(header.token, address, header.destination_cid, now)
            if proven is not None:
                original, retry = proven, header.destination_cid
            elif loaded:
                if self.may_answer(now):
                    udp.send([refusal(header, QuicErrorCode.INVALID_TOKEN)], address)
                return None
        elif loaded:
            self.retry(udp, header, address, now)
            return None
        if len(header.destination_cid) < 8:
            return None  # RFC 9000 section 7.2
        before: list[bytes] = []
        if len(self.half_open) >= UNFINISHED:
            flight = self.flights.add(header, data, address, now)
            if flight is None:
                return None
            before = flight
        peer = self.open(udp, header, address, now, original, retry)
        for one in before:
            peer.receive(one, address, udp, now)
        return peer

    def open(
        self,
        udp: DatagramSocket,
        header: QuicHeader,
        address: InternetAddress,
        now: float,
        original: bytes,
        retry: bytes | None,
    ) -> Peer:
        """A connection."""
        peer = Peer(self, udp)
        quic = ServerConnection(
            self.latest_configuration(now), self.context, self.ids, original, retry, peer.issued, self.log
        )
        transport = QUICTransport(self.context.runtime, quic, (address[0], address[1]), udp.server)
        connection = HTTP3Connection(transport, self.context, quic, peer)
        transport.connection = connection
        peer.quic = quic
        peer.connection = connection
        peer.issued(quic.host_cid)
        peer.issued(header.destination_cid)
        self.peers.add(peer)
        self.half_open.add(peer)
        try:
            self.opened(connection)
        except Exception as error:
            peer.internal_error(error)
        return peer

    def retry(self, udp: DatagramSocket, header: QuicHeader, address: InternetAddress, now: float) -> None:
        """Asks a client to prove its address first (RFC 9000 section 8.1.2). No state is kept for it."""
        fresh = self.ids.new()
        token = self.ids.new_token(header.destination_cid, address, fresh, now)
        packet = encode_quic_retry(
            version=header.version or 0,
            source_cid=fresh,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        udp.send([packet], address)

    def ended(self, peer: Peer) -> None:
        """A connection is over for its streams."""
        self.half_open.discard(peer)
        self.blocked.pop(peer, None)
        self.schedule(peer, self.quic_end(peer))
        self.closed(peer.connection)

    def quic_end(self, peer: Peer) -> float:
        """Returns when CONNECTION_CLOSE need no longer be repeated (seconds of `Runtime.now`)."""
        end = peer.quic.get_timer()
        now = self.context.runtime.now()
        return now if end is None else min(end, now + 3.0)

    def forgotten(self, peer: Peer) -> None:
        self.peers.discard(peer)
        self.half_open.discard(peer)
        self.blocked.pop(peer, None)
        if not self.peers:
            self.stop_timer()

    # -- times

    def schedule(self, peer: Peer, when: float | None) -> None:
        """Sees to it that a connection's timer runs at `when` at the latest."""
        if when is None or (peer.scheduled and peer.scheduled <= when):
            return  # an entry that is due too early looks again then
        now = self.context.runtime.now()
        if when <= now:
            # QUIC could not do what was due, as where an address is not validated.
            when = now + TICK_SECONDS
        peer.scheduled = when
        self.entries += 1
        heapq.heappush(self.heap, (when, self.entries, peer))
        self.arm()

    def arm(self) -> None:
        """Sets the loop's timer for the first entry."""
        if not self.heap:
            return
        when = self.heap[0][0]
        if self.timer is not None:
            if self.timer_at <= when:
                return
            self.timer.cancel()
        self.timer_at = when
        self.timer = self.context.runtime.call_at(when, self.due)

    def due(self) -> None:
        """Runs the timers whose time has come."""
        self.timer = None
        now = self.context.runtime.now()
        heap = self.heap
        due = []
        while heap and heap[0][0] <= now:
            due.append(heapq.heappop(heap))
        for when, _, peer in due:
            if when != peer.scheduled or peer.state == DISCARDED:
                continue
            peer.scheduled = 0.0
            wanted = peer.quic.get_timer() if peer.open else now
            if wanted is None or wanted > now:
                self.schedule(peer, wanted)
            else:
                peer.timer(now)
        self.arm()

    def unblocked(self) -> None:
        """A port takes datagrams again."""
        blocked = list(self.blocked)
        self.blocked.clear()
        now = self.context.runtime.now()
        for peer in blocked:
            if peer.open:
                peer.turn(now)

    def close(self) -> None:
        """Forgets every connection, and the timer."""
        for peer in list(self.peers):
            peer.ended()
            peer.forget()
        self.flights.close()
        self.stop_timer()

    def stop_timer(self) -> None:
        """Cancels the timer."""
        self.heap.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def refusal(header: QuicHeader, code: int) -> bytes:
    """A packet that ends a connection of which nothing is kept."""
    crypto = CryptoPair()
    version = header.version or 0
    crypto.setup_initial(cid=header.destination_cid, is_client=False, version=version)
    builder = QuicPacketBuilder(
        host_cid=header.destination_cid,
        is_client=False,
        max_datagram_size=SMALLEST_MAX_DATAGRAM_SIZE,
        peer_cid=header.source_cid,
        version=version,
    )
    builder.start_packet(QuicPacketType.INITIAL, crypto)
    buffer = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=TRANSPORT_CLOSE_FRAME_CAPACITY)
    buffer.push_uint_var(code)
    buffer.push_uint_var(QuicFrameType.PADDING)
    buffer.push_uint_var(0)
    datagrams, _ = builder.flush()
    return datagrams[0]
