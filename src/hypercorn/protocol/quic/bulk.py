"""Packets full of stream data, written at once (RFC 9000 section 17.3.1): most of what a server sends in a download.

aioquic writes a packet frame by frame, and asks before each one for everything that might have to go into it. While a
connection has nothing to say but stream data, all that is asked once for a whole run of packets here. Where anything
else is due, aioquic writes: `quiet` says which it is. What is sent, and the books kept of it, are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aioquic import __version__, tls
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicSentPacket
from aioquic.quic.stream import QuicStream

from hypercorn._cpython import PLAIN
from hypercorn.net.address import InternetAddress
from hypercorn.protocol.quic.path import MeasuredConnection
from hypercorn.wire.http3 import varint

STREAM, WITH_FIN, WITH_LENGTH, WITH_OFFSET = 0x08, 0x01, 0x02, 0x04  # types of frames (RFC 9000 section 19.8)
FIXED, SPIN, PHASE, TWO_OCTETS = 0x40, 5, 2, 0x01  # the first octet of a packet, with a number of two octets
TAG_BYTES = 16  # octets that encryption adds
FEWEST = 2  # packets from which on this is worth its questions
BURST = 8  # packets that leave together where pacing would let them leave one by one (RFC 9002 section 7.7)
PAUSE_SECONDS = 0.002  # seconds that they wait for that at the most
# Earlier releases keep their books otherwise. The books are private: without private parts aioquic writes all packets.
KNOWN = not PLAIN and tuple(map(int, __version__.split(".")[:2])) >= (1, 7)
EPOCH = tls.Epoch.ONE_RTT
SHORT_HEADER = QuicPacketType.ONE_RTT


def bulk(connection: MeasuredConnection, now: float) -> list[tuple[bytes, InternetAddress]] | None:
    """The datagrams of a run of full packets, as far as they may leave now; None where aioquic has to write."""
    ready = quiet(connection, now) if KNOWN else None
    if not ready or connection._loss.congestion_window < connection._max_datagram_size:
        return None
    run = Run(connection, now)
    if not run.is_due():
        return []
    while ready and run.may_send():
        stream = ready.pop(0)  # they take turns, packet by packet
        if run.send_from(stream):
            ready.append(stream)
    return run.end()


def quiet(connection: MeasuredConnection, now: float) -> list[QuicStream]:
    """The streams with data, where nothing else is to be sent. None of them where anything is, or it is not much."""
    path = connection._network_paths[0]
    space = connection._spaces[EPOCH]
    if (
        not connection._handshake_confirmed
        or connection._close_event is not None
        or connection._close_pending
        or len(connection._network_paths) != 1
        or not path.is_validated
        or path.remote_challenges
        or connection._probe_pending
        or connection._handshake_done_pending
        or connection._ping_pending
        or connection._retire_connection_ids
        or connection._streams_blocked_pending
        or connection._datagrams_pending
        or connection._quic_logger is not None
        or (space.ack_at is not None and space.ack_at <= now)
        or not connection._crypto_streams[EPOCH].sender.buffer_is_empty
        or not all(one.was_sent for one in connection._host_cids)
        or connection.limits_moved()
    ):
        return []
    ready = []
    size = 0
    for stream in connection._streams_queue:
        sender = stream.sender
        if (
            stream.is_finished
            or stream.receiver.stop_pending
            or sender.reset_pending
            or (stream.max_stream_data_local != stream.max_stream_data_local_sent and not stream.receiver.is_finished)
        ):
            return []
        if stream.is_blocked or sender.buffer_is_empty:
            continue
        if len(sender._pending):
            ready.append(stream)
            size += sender._buffer_stop - sender._pending[0].start
        elif sender._pending_eof:
            return []  # the end of a stream, and no octets before it
    return ready if size >= FEWEST * connection._max_datagram_size else []


class Run:
    """Packets of one connection, for one address."""

    def __init__(self, connection: MeasuredConnection, now: float) -> None:
        self.connection = connection
        self.now = now
        self.crypto = connection._cryptos[EPOCH]
        self.loss = connection._loss
        self.space = connection._spaces[EPOCH]
        self.size = connection._max_datagram_size
        self.cid = connection._peer_cid.cid
        first = FIXED | connection._spin_bit << SPIN | self.crypto.key_phase << PHASE | TWO_OCTETS
        self.start = bytes((first,)) + self.cid
        self.room = self.size - len(self.start) - 2 - TAG_BYTES  # octets of frames in a packet
        self.number = connection._packet_number
        self.datagrams: list[tuple[bytes, InternetAddress]] = []
        self.address = connection._network_paths[0].addr
        self.served: dict[QuicStream, None] = {}

    def is_due(self) -> bool:
        """False while pacing allows only a few packets: each system call and each timer has its price."""
        pacer = self.loss._pacer
        self.connection._pacing_at = None
        if pacer.packet_time is None:
            return True
        pacer.update_bucket(now=self.now)
        enough = min(BURST * pacer.packet_time, max(pacer.packet_time, PAUSE_SECONDS), pacer.bucket_max)
        if pacer.bucket_time >= enough:
            return True
        self.connection._pacing_at = self.now + enough - pacer.bucket_time
        return False

    def may_send(self) -> bool:
        """True while pacing and the congestion window allow a full packet."""
        loss = self.loss
        if loss.congestion_window - loss.bytes_in_flight < self.size:
            return False
        self.connection._pacing_at = loss._pacer.next_send_time(now=self.now)
        return self.connection._pacing_at is None

    def send_from(self, stream: Any) -> bool:
        """One packet. False where the stream has no more, or its peer takes no more."""
        connection, sender = self.connection, stream.sender
        pending = sender._pending
        start, stop = pending[0].start, pending[0].stop
        head = varint(stream.stream_id) + (varint(start) if start else b"")
        highest = sender.highest_offset
        limit = min(
            stream.max_stream_data_remote, highest + connection._remote_max_data - connection._remote_max_data_used
        )
        stop = min(stop, limit, start + self.room - len(head) - 3)
        if stop <= start:
            return False
        base = sender._buffer_start
        data = sender._buffer[start - base : stop - base]
        pending.subtract(start, stop)
        fin = stop == sender._buffer_fin
        if fin:
            sender._pending_eof = False
        if stop > highest:
            sender.highest_offset = stop
            connection._remote_max_data_used += stop - highest
        kind = STREAM | WITH_LENGTH | (WITH_OFFSET if start else 0) | (WITH_FIN if fin else 0)
        frame = b"%c%b%b%b" % (kind, head, (len(data) | 0x4000).to_bytes(2, "big"), data)
        self.send(frame, (sender.on_data_delivery, (start, stop, fin)))
        self.served[stream] = None
        return bool(len(pending))

    def send(self, frame: bytes, handler: tuple[Callable[..., None], tuple[object, ...]]) -> None:
        """Encrypts a packet of one frame, and enters it in the books."""
        number = self.number
        self.number = number + 1
        data = self.crypto.encrypt_packet(self.start + (number & 0xFFFF).to_bytes(2, "big"), frame, number)
        packet = QuicSentPacket(
            epoch=EPOCH,
            in_flight=True,
            is_ack_eliciting=True,
            is_crypto_packet=False,
            packet_number=number,
            packet_type=SHORT_HEADER,
            sent_time=self.now,
            sent_bytes=len(data),
            delivery_handlers=[handler],
        )
        self.loss.on_packet_sent(packet=packet, space=self.space)
        self.loss._pacer.update_after_send(now=self.now)
        self.datagrams.append((data, self.address))

    def end(self) -> list[tuple[bytes, InternetAddress]]:
        """Returns the datagrams. Streams that were served go behind the others."""
        connection = self.connection
        if self.datagrams:
            connection._packet_number = self.number
            connection.mtu.streamed += len(self.datagrams)
            served = self.served
            connection._streams_queue = [one for one in connection._streams_queue if one not in served] + list(served)
            if not getattr(connection, "_ack_eliciting_sent_since_receipt", True):
                connection._close_at = self.now + connection.idle_timeout
                connection._ack_eliciting_sent_since_receipt = True
        return self.datagrams
