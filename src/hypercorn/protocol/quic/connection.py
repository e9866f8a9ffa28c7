"""One QUIC connection of a server (RFC 9000), as aioquic keeps it, where this server wants it otherwise.

- Connection ids tell which worker owns the connection, and their reset tokens come from a key (RFC 9000 section 10.3).
- Credit follows what was taken: aioquic would double a window whenever half of it is used.
- It tells which windows the peer has opened: aioquic says so to nobody.
- Certificates are shown by name, and those of clients asked for and judged (RFC 8446 section 4.3.2).

It relies on what aioquic does not promise to keep; the tests of `tests/protocol/test_quic.py` hold every such place.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    QuicConnectionId,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicPacketType, pull_quic_transport_parameters
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from hypercorn.net.quic_tls import ServerConfiguration
from hypercorn.protocol.ports import Context
from hypercorn.protocol.quic.bulk import bulk
from hypercorn.protocol.quic.receive import Receiver, ReceivingConnection

ID_LENGTH = 10  # octets of a connection id: two for the worker, eight of chance
UNI_STREAMS = 8  # unidirectional streams of the peer: control, two of QPACK, and some that are of no use
UNI_WINDOW = 65536
HELLO = 1024  # octets of a ServerHello, or of a session ticket, at the most
SEAL = 16  # octets of a token that prove it
TOKEN_LIFE = 30.0  # seconds: clients send a token back at once
HOST_IDS = 8  # connection ids that a peer gets at the most
SHORT, LONG = 1200, 1452  # octets of a datagram: on every path, and on most (RFC 9000 section 14)
PROBES = 3  # attempts to find out whether one of a certain size arrives
MUCH = 64  # full datagrams after which longer ones than usual are worth a probe
BLACK_HOLE = 3  # timeouts in a row after which long datagrams are taken for lost
LONGEST_FLIGHT = 4194304  # octets that are kept for a peer that has not acknowledged them


class ConnectionIds:
    """Makes the connection ids of one worker, and tells whose an id is."""

    def __init__(self, worker: int = 0, key: bytes | None = None) -> None:
        self.worker = worker
        self.prefix = worker.to_bytes(2, "big")
        self.key = os.urandom(32) if key is None else key

    def new(self) -> bytes:
        """A fresh id."""
        return self.prefix + os.urandom(ID_LENGTH - 2)

    def owner(self, connection_id: bytes) -> int:
        """The worker that an id names, or -1 where the id is not of this server's making."""
        return int.from_bytes(connection_id[:2], "big") if len(connection_id) == ID_LENGTH else -1

    def new_token(self, original_id: bytes, address: Any, retry_id: bytes, now: float) -> bytes:
        """What a client sends back to prove its address (RFC 9000 section 8.1.4)."""
        told = int(now * 1000).to_bytes(8, "big") + original_id
        return told + self.seal(told, address, retry_id)

    def read_token(self, token: bytes, address: Any, retry_id: bytes, now: float) -> bytes | None:
        """The id that the client chose first; None where the token is not of this server, this client, or lately."""
        told, seal = token[:-SEAL], token[-SEAL:]
        if len(told) < 8 or not hmac.compare_digest(seal, self.seal(told, address, retry_id)):
            return None
        if abs(now - int.from_bytes(told[:8], "big") / 1000) > TOKEN_LIFE:
            return None
        return told[8:]

    def seal(self, told: bytes, address: Any, retry_id: bytes) -> bytes:
        """Binds what a token says to the address and the id that it was made for."""
        where = f"{address[0]} {address[1]} ".encode()
        return hmac.digest(self.key, b"retry" + where + bytes((len(retry_id),)) + retry_id + told, sha256)[:SEAL]

    def reset_token(self, connection_id: bytes) -> bytes:
        """What proves that a reset is of this server, also after its state is gone."""
        return hmac.digest(self.key, connection_id, sha256)[:16]


def ignore(*_: Any) -> None:
    """Takes the place of a callback of a connection that is over."""


class ServerConnection(ReceivingConnection):
    """A connection that a client has opened. `context` has the limits, `ids` names it, `log` is the error log."""

    def __init__(
        self,
        configuration: ServerConfiguration,
        context: Context,
        ids: ConnectionIds,
        original_id: bytes,
        retry_id: bytes | None,
        issued: Callable[[bytes], None],
        log: Any,
    ) -> None:
        super().__init__(
            log,
            configuration=configuration,
            original_destination_connection_id=original_id,
            retry_source_connection_id=retry_id,
        )
        self.settings = configuration
        self.ids = ids
        self.host: str | None = None  # that the client has asked for
        self.issued = issued  # told of each id under which packets may come
        self.read = 0  # octets that came in order and were not given back to the connection's window
        self.window = context.limits.h2_connection_window
        self.opened: set[int] = set()  # streams on which the peer takes more than it did
        self.probes = 0
        self.probing = False
        self.streamed = 0  # datagrams that were full of stream data
        self.measured: Any = None  # the address of the path that datagrams are sized for
        self.peer_limit = 65527  # octets of a datagram that the peer takes
        first = ids.new()
        self._host_cids[0] = QuicConnectionId(
            cid=first, sequence_number=0, stateless_reset_token=ids.reset_token(first), was_sent=True
        )
        self.host_cid = first
        self._local_initial_source_connection_id = first
        self.most_streams = context.limits.h2_max_concurrent_streams
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = self.most_streams
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = UNI_STREAMS
        self._local_max_stream_data_uni = UNI_WINDOW

    # -- what the server reads and sets

    @property
    def path(self) -> Any:
        """The address that datagrams go to. Nobody may have answered there: `client` is who the peer is."""
        return self._network_paths[0].addr if self._network_paths else None

    @property
    def client(self) -> Any:
        """The address where the peer has last shown that it receives what is sent to it (RFC 9000 section 9.3); None
        before it has shown that anywhere."""
        return next((path.addr for path in self._network_paths if path.is_validated), None)

    @property
    def closing(self) -> bool:
        """CONNECTION_CLOSE was sent or received."""
        return self._close_event is not None

    @property
    def idle_timeout(self) -> float:
        """Seconds of silence after which both sides forget the connection (RFC 9000 section 10.1)."""
        return self._idle_timeout()

    @property
    def datagram_size(self) -> int:
        """Octets of a datagram at the most, as far as the path is known."""
        return self._max_datagram_size

    def room(self) -> int:
        """Octets that may be on their way now and are not (RFC 9002 section 7)."""
        loss = self._loss
        return min(loss.congestion_window, LONGEST_FLIGHT) - loss.bytes_in_flight

    def unsent(self, stream_id: int) -> int:
        """Octets of a stream that wait for their first packet; -1 where the stream is gone."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return -1
        sender = stream.sender
        return sender._buffer_stop - sender.highest_offset  # type: ignore[no-any-return, unused-ignore]

    def stream_window(self, stream_id: int) -> int:
        """Octets that the peer takes on a stream beyond what was written."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.max_stream_data_remote - stream.sender._buffer_stop

    def delivered(self) -> bool:
        """True where the peer has acknowledged every response."""
        return all(number & 3 or stream.sender.is_finished for number, stream in self._streams.items())

    def received(self, stream_id: int) -> bool:
        """True where the peer has sent all of a stream."""
        stream = self._streams.get(stream_id)
        return stream is None or stream.receiver.is_finished

    def exhausted(self, stream_id: int) -> bool:
        """True where the peer may not send any more on a stream, or has nothing left to send, and has the response."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.receiver.is_finished:
            return True
        return stream.sender.is_finished and stream.receiver.highest_offset >= stream.max_stream_data_local

    def took(self, size: int) -> None:
        """Octets came in order: the connection's window opens again by half of its size at a time."""
        self.read += size
        if self.read * 2 >= self.window:
            self._local_max_data.value += self.read
            self.read = 0

    def was_reset(self, stream_id: int) -> None:
        """The peer sends no more of a stream: what is missing of it does not hold the connection's window."""
        stream = self._streams.get(stream_id)
        receiver = None if stream is None else stream.receiver
        if isinstance(receiver, Receiver):
            self.took(receiver.missing())

    def credit(self, stream_id: int, size: int) -> None:
        """Lets the peer send more on a stream."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            stream.max_stream_data_local += size

    def release(self) -> None:
        """The connection is over: what it refers to no longer refers to it, so that its memory is free at once."""
        self.issued = ignore
        self._loss._send_probe = ignore
        self.frames.clear()
        self._cryptos.clear()
        self._cryptos_initial.clear()
        self._streams.clear()
        self._streams_queue.clear()
        self._events.clear()
        for space in self._spaces.values():
            space.sent_packets.clear()
        engine: Any = getattr(self, "tls", None)
        if engine is not None:
            engine.alpn_cb = engine.update_traffic_key_cb = engine.new_session_ticket_cb = None
            engine.get_session_ticket_cb = None
            engine.__dict__.pop("_server_handle_hello", None)

    def judge_client(self) -> bool:
        """After the handshake: is the client who it should be? Ends the connection where not."""
        clients = self.settings.clients
        alert = clients.judge(self.tls._peer_certificate, self.tls._peer_certificate_chain) if clients else 0
        if alert:
            self.close(QuicErrorCode.CRYPTO_ERROR + alert, QuicFrameType.CRYPTO, "client certificate")
        return not alert

    def client_hello(self, data: Buffer, *outputs: Buffer) -> None:
        """The first message of TLS: its name (RFC 6066) says which certificate the client is shown, and whether it may
        resume its session."""
        start = data.tell()
        self.host = tls.pull_client_hello(data).server_name
        identity = self.settings.identity(self.host)
        data.seek(start)
        if identity is not None:
            self.tls.certificate, self.tls.certificate_chain, self.tls.certificate_private_key = identity
        tls.Context._server_handle_hello(self.tls, data, *outputs)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        path = self.path
        if path != self.measured and self.measured is not None:
            self.measured = None  # the peer has moved: nothing is known of its new path (RFC 9000 section 9.4)
            self.probes = 0
            self.set_datagram_size(SHORT)
        datagrams = bulk(self, now)
        return super().datagrams_to_send(now) if datagrams is None else datagrams

    # -- how long a datagram may be

    @property
    def stalled(self) -> bool:
        """Nothing gets through, and it may be that datagrams are too long."""
        return self._loss._pto_count >= BLACK_HOLE

    def probe(self, now: float) -> list[tuple[bytes, Any]]:
        """Finds out whether the path takes longer datagrams (RFC 9000 section 14.4, RFC 8899): what to send for it.
        Goes back to what every path takes where they get lost later."""
        loss = self._loss
        if self._max_datagram_size > SHORT and loss._pto_count >= BLACK_HOLE:
            self.set_datagram_size(SHORT)
            self.probes = PROBES
        path = self._network_paths[0]
        if self.probes >= PROBES or self.probing or not self._handshake_confirmed or not path.is_validated:
            return []
        if self.closing or self.room() < 2 * LONG:
            return []
        size = self.next_size()
        if size <= self._max_datagram_size:
            self.probes = PROBES
            return []
        if size > LONG and self.streamed < MUCH:
            return []
        self.measured = path.addr
        builder = QuicPacketBuilder(
            host_cid=self.host_cid,
            is_client=False,
            max_datagram_size=size,
            packet_number=self._packet_number,
            peer_cid=self._peer_cid.cid,
            peer_token=b"",
            spin_bit=self._spin_bit,
            version=self._version or 0,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, self._cryptos[tls.Epoch.ONE_RTT])
        buffer = builder.start_frame(QuicFrameType.PING, handler=self._probed, handler_args=(size,))
        buffer.push_bytes(bytes(builder.remaining_flight_space))
        self.probing = True
        self.probes += 1
        datagrams, packets = builder.flush()
        self._packet_number = builder.packet_number
        for packet in packets:
            packet.sent_time = now
            packet.in_flight = False  # that it was lost says nothing of how much the path takes (section 14.4)
            self._loss.on_packet_sent(packet=packet, space=self._spaces[packet.epoch])
        return [(datagram, path.addr) for datagram in datagrams]

    def _probed(self, delivery: QuicDeliveryState, size: int) -> None:
        """What became of a probe."""
        self.probing = False
        if delivery == QuicDeliveryState.ACKED and size > self._max_datagram_size:
            self.probes = 0
            self.set_datagram_size(size)

    def next_size(self) -> int:
        """Octets of a datagram that the next probe has: first as most paths take, then twice as many each time."""
        size = self._max_datagram_size
        return min(LONG if size < LONG else 2 * size, self.settings.largest, self.peer_limit)

    def set_datagram_size(self, size: int) -> None:
        """Datagrams have at most so many octets from now on."""
        self._max_datagram_size = size
        self._loss._pacer._max_datagram_size = size
        control: Any = self._loss._cc  # not every algorithm declares the size
        control._max_datagram_size = size
        # Two datagrams may be on their way at any time (RFC 9002 section 7.2): with less, none would leave.
        control.congestion_window = max(control.congestion_window, 2 * size)

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        super()._parse_transport_parameters(data, from_session_ticket)
        told = pull_quic_transport_parameters(Buffer(data=data)).max_udp_payload_size
        if told is not None:
            self.peer_limit = told

    # -- where aioquic would do otherwise

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        # aioquic makes 48 KiB of buffers for what TLS writes: these are as long as that can be.
        sizes = {tls.Epoch.HANDSHAKE: self.settings.handshake_size}
        self._crypto_buffers = {epoch: Buffer(capacity=sizes.get(epoch, HELLO)) for epoch in self._crypto_buffers}
        self.tls._max_early_data = None  # no 0-RTT
        self.tls._request_client_certificate = self.settings.clients is not None
        engine: Any = self.tls
        engine._server_handle_hello = self.client_hello
        if self.settings.clients is None:  # certificates of clients are shown and judged each time
            sessions = self.settings.sessions
            engine.new_session_ticket_cb = lambda ticket: sessions.keep(ticket, self.host)
            engine.get_session_ticket_cb = lambda identity: sessions.take(identity, self.host)

    def _replenish_connection_ids(self) -> None:
        while len(self._host_cids) < min(HOST_IDS, self._remote_active_connection_id_limit):
            fresh = self.ids.new()
            self._host_cids.append(
                QuicConnectionId(
                    cid=fresh,
                    sequence_number=self._host_cid_seq,
                    stateless_reset_token=self.ids.reset_token(fresh),
                )
            )
            self._host_cid_seq += 1
            self.issued(fresh)

    def limits_moved(self) -> bool:
        """Lets the peer open a new stream for each that is over. True where it has to be told what it may send."""
        bidi, uni = self._local_max_streams_bidi, self._local_max_streams_uni
        for limit, most, kind in ((bidi, self.most_streams, 0), (uni, UNI_STREAMS, 2)):
            limit.value = limit.sent
            if (limit.sent - limit.used) * 2 <= most:
                open_now = sum(number & 3 == kind for ids in (self._streams, self.skipped) for number in ids)
                limit.value = max(limit.sent, limit.used - open_now + most)
        return any(limit.value != limit.sent for limit in (self._local_max_data, bidi, uni))

    def _handle_max_stream_data_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        buf.seek(start)
        super()._handle_max_stream_data_frame(context, frame_type, buf)
        self.opened.add(stream_id)

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        if not self.limits_moved():
            return
        bidi, uni = self._local_max_streams_bidi, self._local_max_streams_uni
        for limit in (self._local_max_data, bidi, uni):
            if limit.value == limit.sent:
                continue
            buffer = builder.start_frame(
                limit.frame_type,
                capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
                handler=self._on_connection_limit_delivery,
                handler_args=(limit,),
            )
            buffer.push_uint_var(limit.value)
            limit.sent = limit.value

    def _write_stream_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream) -> None:
        limit = stream.max_stream_data_local
        if stream.max_stream_data_local_sent == limit or stream.receiver.is_finished:
            return
        buffer = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        buffer.push_uint_var(stream.stream_id or 0)
        buffer.push_uint_var(limit)
        stream.max_stream_data_local_sent = limit
