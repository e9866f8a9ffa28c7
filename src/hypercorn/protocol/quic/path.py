"""The size of the datagrams of one connection (RFC 9000 section 14, RFC 8899).

A connection begins with what every path takes. Probes of the next size follow while there is room for them, and the
size goes up when one is acknowledged; it goes back where nothing gets through any more.
"""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder

from hypercorn.net.address import InternetAddress
from hypercorn.net.quic_tls import ServerConfiguration

SHORT, LONG = 1200, 1452  # octets of a datagram: on every path, and on most (RFC 9000 section 14)
PROBES = 3  # attempts to find out whether one of a certain size arrives
MUCH = 64  # full datagrams after which longer ones than usual are worth a probe
BLACK_HOLE = 3  # timeouts in a row after which long datagrams are taken for lost
LONGEST_FLIGHT_BYTES = 4194304  # octets that are kept for a peer that has not acknowledged them
LARGEST_BYTES = 65527  # octets of a datagram at the most (RFC 9000 section 18.2)


class PathMTU:
    """The search for the longest datagram of a path. Its connection is an argument: two objects that referred to each
    other would outlive the connection."""

    __slots__ = ("address", "peer_limit", "probes", "probing", "streamed")

    def __init__(self) -> None:
        self.address: InternetAddress | None = None  # of the path that was measured
        self.probes = 0  # of the present size
        self.probing = False  # one is on its way
        self.peer_limit = LARGEST_BYTES  # octets of a datagram that the peer takes
        self.streamed = 0  # datagrams that were full of stream data

    def follow(self, connection: MeasuredConnection, address: InternetAddress | None) -> None:
        """Starts anew where the peer has migrated, as its new path is unknown (RFC 9000 section 9.4)."""
        if address != self.address and self.address is not None:
            self.address = None
            self.probes = 0
            self.resize(connection, SHORT)

    def is_due(self, connection: MeasuredConnection) -> bool:
        """True where `probe` has something to find out."""
        return self.probes < PROBES or connection._loss._pto_count >= BLACK_HOLE

    def probe(self, connection: MeasuredConnection, now: float) -> list[tuple[bytes, InternetAddress]]:
        """The datagrams of a probe. Goes back to what every path takes where longer ones get lost."""
        loss = connection._loss
        if connection._max_datagram_size > SHORT and loss._pto_count >= BLACK_HOLE:
            self.resize(connection, SHORT)
            self.probes = PROBES
        path = connection._network_paths[0]
        if self.probes >= PROBES or self.probing or not connection._handshake_confirmed or not path.is_validated:
            return []
        if connection.closing or connection.room() < 2 * LONG:
            return []
        size = self.next_size(connection)
        if size <= connection._max_datagram_size:
            self.probes = PROBES
            return []
        if size > LONG and self.streamed < MUCH:
            return []
        self.address = path.addr
        builder = QuicPacketBuilder(
            host_cid=connection.host_cid,
            is_client=False,
            max_datagram_size=size,
            packet_number=connection._packet_number,
            peer_cid=connection._peer_cid.cid,
            peer_token=b"",
            spin_bit=connection._spin_bit,
            version=connection._version or 0,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, connection._cryptos[tls.Epoch.ONE_RTT])
        buffer = builder.start_frame(QuicFrameType.PING, handler=connection.probed, handler_args=(size,))
        buffer.push_bytes(bytes(builder.remaining_flight_space))
        self.probing = True
        self.probes += 1
        datagrams, packets = builder.flush()
        connection._packet_number = builder.packet_number
        for packet in packets:
            packet.sent_time = now
            packet.in_flight = False  # that it was lost says nothing of how much the path takes (section 14.4)
            loss.on_packet_sent(packet=packet, space=connection._spaces[packet.epoch])
        return [(datagram, path.addr) for datagram in datagrams]

    def probed(self, connection: MeasuredConnection, delivery: QuicDeliveryState, size: int) -> None:
        """Takes the result of a probe."""
        self.probing = False
        if delivery == QuicDeliveryState.ACKED and size > connection._max_datagram_size:
            self.probes = 0
            self.resize(connection, size)

    def next_size(self, connection: MeasuredConnection) -> int:
        """Octets of a datagram that the next probe has: first as most paths take, then twice as many each time."""
        size = connection._max_datagram_size
        return int(min(LONG if size < LONG else 2 * size, connection.settings.largest, self.peer_limit))

    def resize(self, connection: MeasuredConnection, size: int) -> None:
        """Datagrams have at most so many octets from now on."""
        connection._max_datagram_size = size
        connection._loss._pacer._max_datagram_size = size
        control: Any = connection._loss._cc  # not every algorithm declares the size
        control._max_datagram_size = size
        # Two datagrams may be on their way at any time (RFC 9002 section 7.2): with less, none would leave.
        control.congestion_window = max(control.congestion_window, 2 * size)


class MeasuredConnection(QuicConnection):
    """A connection as the search sees it, and `quic.bulk`."""

    settings: ServerConfiguration
    mtu: PathMTU

    @property
    def closing(self) -> bool:
        """CONNECTION_CLOSE was sent or received."""
        return self._close_event is not None

    @property
    def idle_timeout(self) -> float:
        """Seconds of silence after which both sides forget the connection (RFC 9000 section 10.1)."""
        return self._idle_timeout()

    def room(self) -> int:
        """Octets that may be on their way now and are not (RFC 9002 section 7)."""
        loss = self._loss
        return min(loss.congestion_window, LONGEST_FLIGHT_BYTES) - loss.bytes_in_flight

    def probed(self, delivery: QuicDeliveryState, size: int) -> None:
        """Takes the result of a probe of the path."""
        self.mtu.probed(self, delivery, size)

    def limits_moved(self) -> bool:
        """True where the peer has to be told what it may send."""
        raise NotImplementedError
