"""One QUIC connection of a server (RFC 9000), as aioquic keeps it, where this server wants it otherwise.

- Connection ids tell which worker owns the connection, and their reset tokens come from a key (RFC 9000 section 10.3).
- Credit follows what was taken: aioquic would double a window whenever half of it is used.
- It tells which windows the peer has opened: aioquic says so to nobody.
- Certificates are shown by name, and those of clients asked for and judged (RFC 8446 section 4.3.2).

It relies on what aioquic does not promise to keep; the tests of `tests/protocol/test_quic.py` hold every such place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    Limit,
    QuicConnectionError,
    QuicConnectionId,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, pull_quic_transport_parameters
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import FinalSizeError, QuicStream, QuicStreamReceiver

from hypercorn.logs.logger import ErrorLog
from hypercorn.net.address import InternetAddress
from hypercorn.net.quic_tls import ServerConfiguration
from hypercorn.protocol.ports import Context
from hypercorn.protocol.quic.bulk import bulk
from hypercorn.protocol.quic.ids import ConnectionIds
from hypercorn.protocol.quic.path import MeasuredConnection, PathMTU
from hypercorn.protocol.quic.receive import (
    MESSAGES,
    Frames,
    Handshake,
    LibraryLog,
    Receiver,
    Unacknowledged,
    first_packets,
)
from hypercorn.wire.http3 import varint

UNI_STREAMS = 8  # unidirectional streams of the peer: control, two of QPACK, and some that are of no use
UNI_WINDOW_BYTES = 65536
HELLO_BYTES = 1024  # octets of a ServerHello, or of a session ticket, at the most
HOST_IDS = 8  # connection ids that a peer gets at the most
MOST_LATE_STARTS = 4  # streams whose first packet did not come first: packets overtake one another
ACKS, RANGES = 4, 64  # ACK frames in a packet that are used, where one says everything, and ranges of one
WITH_FIN, WITH_LENGTH, WITH_OFFSET = 1, 2, 4  # in the type of a STREAM frame (section 19.8)
FRAME_HANDLERS = "_QuicConnection__frame_handlers"


def ignore(*_: object) -> None:
    """Takes the place of a callback of a connection that is over."""


class ServerConnection(MeasuredConnection):
    """A connection that a client has opened. `context` has the limits, `ids` names it, `log` is the error log."""

    def __init__(
        self,
        configuration: ServerConfiguration,
        context: Context,
        ids: ConnectionIds,
        original_id: bytes,
        retry_id: bytes | None,
        issued: Callable[[bytes], None],
        log: ErrorLog,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_id,
            retry_source_connection_id=retry_id,
        )
        logger: Any = LibraryLog(log, self.original_destination_connection_id)
        self._logger = self._loss._logger = logger
        self.frames = Frames(getattr(self, FRAME_HANDLERS))
        setattr(self, FRAME_HANDLERS, self.frames)
        self.handshake = {epoch: Handshake(limit) for epoch, limit in MESSAGES.items()}
        self.announced_ids = 0  # the highest number of an id that the peer was told
        self.late_starts: list[int] = []  # streams that were opened by octets behind their first ones
        self.skipped: set[int] = set()  # streams that a higher one has opened, of which no frame has come
        self.settings = configuration
        self.ids = ids
        self.host: str | None = None  # that the client has asked for
        self.issued = issued  # told of each id under which packets may come
        self.read = 0  # octets that came in order and were not given back to the connection's window
        self.window = context.limits.h2_connection_window
        self.opened: set[int] = set()  # streams on which the peer takes more than it did
        self.mtu = PathMTU()
        first = ids.new()
        self._host_cids[0] = QuicConnectionId(
            cid=first, sequence_number=0, stateless_reset_token=ids.reset_token(first), was_sent=True
        )
        self.host_cid = first
        self._local_initial_source_connection_id = first
        self.max_streams = context.limits.h2_max_concurrent_streams
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = self.max_streams
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = UNI_STREAMS
        self._local_max_stream_data_uni = UNI_WINDOW_BYTES

    # -- what the server reads and sets

    @property
    def path(self) -> InternetAddress | None:
        """The address that datagrams go to. Nobody may have answered there: `client` is who the peer is."""
        return self._network_paths[0].addr if self._network_paths else None

    @property
    def client(self) -> InternetAddress | None:
        """The address where the peer has last shown that it receives what is sent to it (RFC 9000 section 9.3); None
        before it has shown that anywhere."""
        return next((path.addr for path in self._network_paths if path.is_validated), None)

    @property
    def datagram_size(self) -> int:
        """Octets of a datagram at the most, as far as the path is known."""
        return self._max_datagram_size

    def unsent(self, stream_id: int) -> int:
        """Octets of a stream that wait for their first packet; -1 where the stream is gone."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return -1
        sender = stream.sender
        return int(sender._buffer_stop - sender.highest_offset)

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

    def written(self, stream_id: int) -> bool:
        """True where the server has written all of a stream, or reset it."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return True
        sender = stream.sender
        return sender._buffer_fin is not None or sender._reset_error_code is not None

    def exhausted(self, stream_id: int) -> bool:
        """True where the peer may not send any more on a stream, or has nothing left to send, and has the response."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.receiver.is_finished:
            return True
        return stream.sender.is_finished and stream.receiver.highest_offset >= stream.max_stream_data_local

    def consumed(self, size: int) -> None:
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
            self.consumed(receiver.missing())

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

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, InternetAddress]]:
        self.mtu.follow(self, self.path)
        datagrams = bulk(self, now)
        return super().datagrams_to_send(now) if datagrams is None else datagrams

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        super()._parse_transport_parameters(data, from_session_ticket)
        max_size = pull_quic_transport_parameters(Buffer(data=data)).max_udp_payload_size
        if max_size is not None:
            self.mtu.peer_limit = max_size

    # -- where aioquic would do otherwise

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        # aioquic makes 48 KiB of buffers for what TLS writes: these are as long as that can be.
        sizes = {tls.Epoch.HANDSHAKE: self.settings.handshake_size}
        self._crypto_buffers = {epoch: Buffer(capacity=sizes.get(epoch, HELLO_BYTES)) for epoch in self._crypto_buffers}
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
        for limit, most, kind in ((bidi, self.max_streams, 0), (uni, UNI_STREAMS, 2)):
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

    # -- what comes in

    def receive_datagram(self, data: bytes, addr: object, now: float) -> None:
        data = first_packets(data, self._configuration.connection_id_length)
        try:
            super().receive_datagram(data, addr, now)
        except Unacknowledged:
            pass

    def _payload_received(self, context: QuicReceiveContext, plain: bytes, *options: Any, **more: Any) -> Any:
        self.frames.packet(len(plain))
        return super()._payload_received(context, plain, *options, **more)

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._open(frame_type, stream_id)
        receiver = stream.receiver
        if type(receiver) is QuicStreamReceiver and not receiver.is_finished:
            stream.receiver = Receiver(receiver)
        return stream

    def _is_closed(self, stream_id: int) -> bool:
        """Returns True for a stream that is not in the table and was there before."""
        return stream_id >> 2 < self._limit(stream_id).used and stream_id not in self.skipped

    def _limit(self, stream_id: int) -> Limit:
        """Returns how many streams of this kind the peer may open, and has opened."""
        return self._local_max_streams_uni if stream_id & 2 else self._local_max_streams_bidi

    def _open(self, frame_type: int, stream_id: int) -> QuicStream:
        """A new stream. It opens all lower ones, too (RFC 9000 section 2.1): aioquic makes them at once, here each is
        made for its first frame."""
        limit = self._limit(stream_id)
        used, number = limit.used, stream_id >> 2
        if stream_id & 1 or number >= limit.value or self._is_closed(stream_id):
            return super()._get_or_create_stream(frame_type, stream_id)  # which says what is wrong
        self.skipped.discard(stream_id)
        self.skipped.update(range(4 * used + (stream_id & 3), stream_id, 4))
        limit.used = number  # so that this is the next one
        stream = super()._get_or_create_stream(frame_type, stream_id)
        limit.used = max(used, limit.used)
        return stream

    def _overtake(self, stream_id: int) -> None:
        """Octets of a new stream came before its first ones. Raises Unacknowledged where that is one too many: its
        peer sends them again, behind the first ones."""
        if stream_id & 1 or self._is_closed(stream_id):
            return
        if len(self.late_starts) >= MOST_LATE_STARTS:
            self.late_starts = [one for one in self.late_starts if self._starts_late(one)]
        if len(self.late_starts) >= MOST_LATE_STARTS:
            raise Unacknowledged
        self.late_starts.append(stream_id)

    def _starts_late(self, stream_id: int) -> bool:
        """Returns True while the first octets of a stream are missing."""
        stream = self._streams.get(stream_id)
        return stream is not None and not stream.receiver.is_finished and not stream.receiver.starting_offset()

    def _handle_stream_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """The usual case at once: octets within the limits of a stream that is there. aioquic has the others."""
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        stream = self._streams.get(stream_id)
        receiver = None if stream is None else stream.receiver
        if type(receiver) is Receiver and stream is not None:
            offset = buf.pull_uint_var() if frame_type & WITH_OFFSET else 0
            size = buf.pull_uint_var() if frame_type & WITH_LENGTH else buf.capacity - buf.tell()
            stop = offset + size
            fresh = max(0, stop - receiver.highest_offset)
            window = self._local_max_data
            if stop <= stream.max_stream_data_local and window.used + fresh <= window.value:
                try:
                    event = receiver.received(offset, buf.pull_bytes(size), bool(frame_type & WITH_FIN))
                except FinalSizeError as error:
                    raise QuicConnectionError(QuicErrorCode.FINAL_SIZE_ERROR, frame_type, str(error)) from error
                if event is not None:
                    self._events.append(event)
                window.used += fresh
                return
        elif stream is None and frame_type & WITH_OFFSET and buf.pull_uint_var():
            self._overtake(stream_id)
        buf.seek(start)
        super()._handle_stream_frame(context, frame_type, buf)

    def _handle_stop_sending_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """Once for each stream: what is said again changes nothing."""
        start = buf.tell()
        stream = self._streams.get(buf.pull_uint_var())
        if stream is not None and stream.sender._reset_error_code is not None:
            buf.pull_uint_var()
            return
        buf.seek(start)
        super()._handle_stop_sending_frame(context, frame_type, buf)

    def _handle_crypto_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """aioquic gets whole messages, and of what came before so much that it knows of it."""
        offset = buf.pull_uint_var()
        data = buf.pull_bytes(buf.pull_uint_var())
        handshake = self.handshake[context.epoch]
        passed_on, stop = handshake.passed_on, offset + len(data)
        messages = handshake.add(offset, data)
        again = stop <= passed_on and context.epoch == tls.Epoch.INITIAL and not self._crypto_retransmitted
        if messages or again:
            frame = Buffer(data=varint(passed_on) + varint(len(messages)) + messages)
            super()._handle_crypto_frame(context, frame_type, frame)

    def _handle_ack_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """The newest ranges of the first few frames. What lies below them was said before, or is not worth its time."""
        start = buf.tell()
        largest, delay, count = buf.pull_uint_var(), buf.pull_uint_var(), buf.pull_uint_var()
        self.frames.acks += 1
        used = self.frames.acks <= ACKS
        if used and count <= RANGES:
            buf.seek(start)
            super()._handle_ack_frame(context, frame_type, buf)
            return
        if 2 * count > buf.capacity - buf.tell():
            raise QuicConnectionError(QuicErrorCode.FRAME_ENCODING_ERROR, frame_type, "an ACK frame is cut off")
        ranges = buf.tell()
        for _ in range(1 + 2 * RANGES if used else 1 + 2 * count):
            buf.pull_uint_var()
        if used:
            newest = buf.data_slice(ranges, buf.tell())
            for _ in range(2 * (count - RANGES)):
                buf.pull_uint_var()
            frame = Buffer(data=varint(largest) + varint(delay) + varint(RANGES) + newest)
            super()._handle_ack_frame(context, QuicFrameType.ACK, frame)
        if frame_type == QuicFrameType.ACK_ECN:
            for _ in range(3):
                buf.pull_uint_var()

    def _handle_new_connection_id_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """What lies below all ids in use is of the past: aioquic would remember each."""
        super()._handle_new_connection_id_frame(context, frame_type, buf)
        # Older releases of aioquic, the last ones for Python 3.10 among them, keep no id for each path.
        used = (getattr(path, "peer_cid", None) for path in self._network_paths)
        ids = (self._peer_cid, *self._peer_cid_available, *(one for one in used if one is not None))
        lowest = min(one.sequence_number for one in ids)
        self._peer_retire_prior_to = max(self._peer_retire_prior_to, lowest)

    def _handle_retire_connection_id_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """An id that the peer was not told cannot be given back (RFC 9000 section 19.16)."""
        start = buf.tell()
        number = buf.pull_uint_var()
        if number > self.announced_ids:
            raise QuicConnectionError(QuicErrorCode.PROTOCOL_VIOLATION, frame_type, "an id that was not issued")
        buf.seek(start)
        super()._handle_retire_connection_id_frame(context, frame_type, buf)

    def _write_new_connection_id_frame(self, builder: QuicPacketBuilder, connection_id: QuicConnectionId) -> None:
        super()._write_new_connection_id_frame(builder, connection_id)
        self.announced_ids = max(self.announced_ids, connection_id.sequence_number)
