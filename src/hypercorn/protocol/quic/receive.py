"""What a QUIC connection receives: time and memory follow the octets that came, however they are cut (RFC 9000).

aioquic looks through all ranges of a stream for each frame, keeps a buffer as long as the highest offset, and takes as
many frames and packets as fit into a datagram. Here gaps are counted, octets are kept in pieces, and packets of one
turn give one event for each stream.

    datagram -> at most PACKETS packets -> Frames: at most so many of each -> Receiver -> Octets
                                                                           -> Handshake -> Octets -> TLS

A packet that would open one gap too many is not acknowledged, so its sender repeats it (section 13.2.1): a lossy path
slows a transfer down, and no peer gets more than its share of memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic import events
from aioquic.quic.connection import Limit, QuicConnection, QuicConnectionError, QuicReceiveContext
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicStreamFrame, pull_quic_header
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.stream import FinalSizeError, QuicStream, QuicStreamReceiver

from hypercorn.wire.http3 import varint

LIST = 32  # pieces of a run that are moved rather than counted
GAPS = 64  # runs of octets behind a gap, for each stream
HEADLESS = 4  # streams that were opened by octets behind their first ones: packets overtake one another
PACKETS = 8  # packets in one datagram: one of each type, and some more
FRAMES, EACH, MOST_FRAMES = 32, 6, 512  # frames in a packet: so many, one more for each six octets, at the most
ACKS, RANGES = 4, 64  # ACK frames in a packet that are used, where one says everything, and ranges of one
LONG_HEADER = 0x80
WITH_FIN, WITH_LENGTH, WITH_OFFSET = 1, 2, 4  # in the type of a STREAM frame (section 19.8)
# Octets of a handshake message by epoch: a ClientHello, the certificates of a client, and then there is none.
MESSAGES = {tls.Epoch.INITIAL: 16384, tls.Epoch.HANDSHAKE: 65536, tls.Epoch.ONE_RTT: 4096}
TABLE = "_QuicConnection__frame_handlers"


class Unacknowledged(Exception):
    """A packet cannot be taken now. As it is not acknowledged, it comes again."""


class Octets:
    """The octets of a stream, in any order. `start`: the offset of the first one that is missing."""

    __slots__ = ("ready", "runs", "start", "starts", "stops")

    def __init__(self) -> None:
        self.start = 0
        self.ready: list[bytes] = []  # what came in order and was not taken
        # What lies behind a gap: where each run starts and stops, and its octets, alone or as a list of pieces.
        self.starts: Any = None
        self.stops: Any = None
        self.runs: list[Any] = []

    def add(self, offset: int, data: bytes) -> None:
        """Keeps octets that were not there. Raises Unacknowledged where they would open one gap too many."""
        start = self.start
        stop = offset + len(data)
        if offset < start:
            if stop <= start:
                return
            data = data[start - offset :]
            offset = start
        if offset == start:
            if self.runs:
                self.fill(data, stop)
            elif data:
                self.ready.append(data)
                self.start = stop
        elif data:
            self.keep(offset, data, stop)

    def take(self) -> bytes:
        """What came in order since the last time."""
        ready = self.ready
        if not ready:
            return b""
        self.ready = []
        return ready[0] if len(ready) == 1 else b"".join(ready)

    def fill(self, data: bytes, stop: int) -> None:
        """Octets at the front, and all runs that they reach."""
        offset, ready = self.start, self.ready
        count = 0
        for first, last, run in zip(self.starts, self.stops, self.runs, strict=True):
            if first > stop:
                break
            count += 1
            if first > offset:
                ready.append(data[: first - offset])
            ready.extend((run,) if type(run) is bytes else run)
            data = data[last - offset :]
            offset = last
        if data:
            ready.append(data)
        self.start = max(offset, stop)
        if count:
            del self.starts[:count], self.stops[:count], self.runs[:count]

    def keep(self, offset: int, data: bytes, stop: int) -> None:
        """Octets behind a gap: they make a run of their own, or grow and join those that they touch."""
        if not self.runs:
            self.starts, self.stops = array("Q", (offset,)), array("Q", (stop,))
            self.runs.append(data)
            return
        starts, stops, runs = self.starts, self.stops, self.runs
        at = bisect_right(starts, offset)
        before = at and stops[at - 1] >= offset
        if not before and at < len(runs) and starts[at] == stop:  # right before a run: in place
            starts[at] = offset
            runs[at] = join(data, runs[at])
            return
        joined: Any = None
        first = offset
        if before:
            at -= 1
            if stops[at] >= stop:
                return
            first, joined = starts[at], runs[at]
            data = data[stops[at] - offset :]
            offset = stops[at]
            end = at + 1
        else:
            end = at
        while end < len(runs) and starts[end] <= stop:
            if starts[end] > offset:
                joined = join(joined, data[: starts[end] - offset])
            joined = join(joined, runs[end])
            data = data[stops[end] - offset :]
            offset = stops[end]
            end += 1
        if end == at and len(runs) >= GAPS:
            raise Unacknowledged
        if data:
            joined = join(joined, data)
        starts[at:end] = array("Q", (first,))
        stops[at:end] = array("Q", (max(offset, stop),))
        runs[at:end] = [joined]


def join(left: Any, right: Any) -> Any:
    """Two neighbours, each octets or a sequence of them: the shorter one moves."""
    if left is None:
        return right
    if type(left) is bytes:
        left = [left]
    if type(right) is bytes:
        left.append(right)
    elif len(left) >= len(right) or len(right) < LIST:
        left.extend(right)
    else:
        right = right if type(right) is deque else deque(right)  # it grows at its front, too
        right.extendleft(reversed(left))
        return right
    return left


class Arrived(events.QuicEvent):
    """Octets of a stream, or its end, wait to be taken."""

    __slots__ = ("receiver", "stream_id")

    def __init__(self, stream_id: int, receiver: Receiver) -> None:
        self.stream_id = stream_id
        self.receiver = receiver


class Receiver(QuicStreamReceiver):
    """Takes the place of the receiving half of a stream that a peer has opened."""

    def __init__(self, fresh: QuicStreamReceiver) -> None:
        self.highest_offset = fresh.highest_offset
        self.is_finished = fresh.is_finished
        self.stop_pending = fresh.stop_pending
        self._stop_error_code = fresh._stop_error_code
        self._stream_id = fresh._stream_id
        self._final_size = fresh._final_size
        self.octets = Octets()
        self.told = False  # an event says that there is something to take

    def starting_offset(self) -> int:
        return self.octets.start

    def handle_frame(self, frame: QuicStreamFrame) -> Any:
        """A STREAM frame. Returns an event where none is on its way. Raises FinalSizeError and Unacknowledged."""
        return self.received(frame.offset, frame.data, frame.fin)

    def received(self, offset: int, data: bytes, fin: bool) -> Any:
        """The same for its parts."""
        stop = offset + len(data)
        final = self._final_size
        if final is not None:
            if stop > final or (fin and stop != final):
                raise FinalSizeError("The final size of a stream has changed")
        elif fin and stop < self.highest_offset:
            raise FinalSizeError("Octets came beyond the final size")
        if self.is_finished:
            return None
        octets = self.octets
        before = octets.start
        octets.add(offset, data)
        if stop > self.highest_offset:
            self.highest_offset = stop
        if fin:
            final = self._final_size = stop
        self.is_finished = octets.start == final
        if self.told or (octets.start == before and not self.is_finished):
            return None
        self.told = True
        return Arrived(self._stream_id or 0, self)

    def take(self) -> tuple[bytes, bool]:
        """What came in order since the last time, and whether that is the end."""
        self.told = False
        return self.octets.take(), self.octets.start == self._final_size

    def missing(self) -> int:
        """Octets of a stream that was reset that will not be taken. Their credit is given back once."""
        octets = self.octets
        size = max(0, self.highest_offset - octets.start)
        octets.start = self.highest_offset
        octets.runs, octets.starts, octets.stops = [], None, None
        return size


class Handshake:
    """The octets of CRYPTO frames of one epoch. TLS gets whole messages: it would copy what it has for each piece.

    limit: octets of a message, and of what waits behind a gap
    """

    __slots__ = ("limit", "octets", "passed_on", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.octets = Octets()
        self.passed_on = 0  # the offset of the first octet that TLS has not got
        self.waiting = bytearray()

    def add(self, offset: int, data: bytes) -> bytes:
        """Takes octets. Returns the messages that they complete. Raises Unacknowledged, and QuicConnectionError where
        they are too many."""
        octets, waiting = self.octets, self.waiting
        if offset + len(data) <= octets.start:
            return b""
        if offset + len(data) > octets.start + self.limit:
            raise exceeded()
        octets.add(offset, data)
        waiting += octets.take()
        end = 0
        while len(waiting) >= end + 4:
            size = 4 + int.from_bytes(waiting[end + 1 : end + 4], "big")
            if size > self.limit:
                raise exceeded()
            if end + size > len(waiting):
                break
            end += size
        messages = bytes(waiting[:end])
        del waiting[:end]
        self.passed_on += end
        return messages


def exceeded() -> QuicConnectionError:
    """The answer to more handshake octets than there are (RFC 9000 section 7.5)."""
    return QuicConnectionError(QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, QuicFrameType.CRYPTO, "too much for a handshake")


class Frames(dict[int, Any]):
    """aioquic's table of what each type of frame means, which counts how often it is asked."""

    def __init__(self, handlers: dict[int, tuple[Callable[..., None], frozenset[Any]]]) -> None:
        super().__init__(
            (kind, (handler, EPOCHS.setdefault(epochs, epochs))) for kind, (handler, epochs) in handlers.items()
        )
        self.left = 0
        self.acks = 0

    def packet(self, size: int) -> None:
        """A packet with so many octets of frames has come."""
        self.left = min(FRAMES + size // EACH, MOST_FRAMES)
        self.acks = 0

    def __getitem__(self, kind: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise QuicConnectionError(QuicErrorCode.PROTOCOL_VIOLATION, kind, "too many frames in a packet")
        return super().__getitem__(kind)


EPOCHS: dict[frozenset[Any], frozenset[Any]] = {}  # the few sets of epochs that there are, once for all connections


def first_packets(data: bytes, id_length: int) -> bytes:
    """A datagram with padding for the packets that are more than anybody has reason to put into one. It stays as long
    as it was, as that says how much may be sent to an address that is not proven."""
    if not data[0] & LONG_HEADER:
        return data
    buffer = Buffer(data=data)
    end = 0
    for _ in range(PACKETS):
        try:
            end += pull_quic_header(buffer, host_cid_length=id_length).packet_length
            buffer.seek(end)
        except ValueError:
            return data
        if end >= len(data):
            return data
    return data[:end] + bytes(len(data) - end)


class LibraryLog:
    """What aioquic has to say of one connection. It warns of what a peer did wrong: nothing that an operator has to
    know unasked. What it says of each step goes nowhere."""

    __slots__ = ("connection_id", "log")

    def __init__(self, log: Any, connection_id: bytes) -> None:
        self.log = log
        self.connection_id = connection_id.hex()

    def debug(self, message: object, *args: object) -> None:
        """A step of a connection."""

    info = debug

    def warning(self, message: object, *args: object) -> None:
        """A fault of a peer."""
        text = str(message) % args if args else str(message)
        self.log.log_debug("QUIC connection %s: %s", self.connection_id, text)

    error = warning


class ReceivingConnection(QuicConnection):
    """aioquic's connection, where packets come in. `log` is told of its peer's faults at DEBUG."""

    def __init__(self, log: Any, **options: Any) -> None:
        super().__init__(**options)
        logger: Any = LibraryLog(log, self.original_destination_connection_id)
        self._logger = self._loss._logger = logger
        self.frames = Frames(getattr(self, TABLE))
        setattr(self, TABLE, self.frames)
        self.handshake = {epoch: Handshake(limit) for epoch, limit in MESSAGES.items()}
        self.told_ids = 0  # the highest number of an id that the peer was told
        self.headless: list[int] = []  # streams that were opened by octets behind their first ones
        self.skipped: set[int] = set()  # streams that a higher one has opened, of which no frame has come

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
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
        """Whether a stream that is not in the table was there before."""
        return stream_id >> 2 < self._limit(stream_id).used and stream_id not in self.skipped

    def _limit(self, stream_id: int) -> Limit:
        """How many streams of this kind the peer may open, and has opened."""
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
        if len(self.headless) >= HEADLESS:
            self.headless = [one for one in self.headless if self._is_headless(one)]
        if len(self.headless) >= HEADLESS:
            raise Unacknowledged
        self.headless.append(stream_id)

    def _is_headless(self, stream_id: int) -> bool:
        """Whether the first octets of a stream are still missing."""
        stream = self._streams.get(stream_id)
        return stream is not None and not stream.receiver.is_finished and not stream.receiver.starting_offset()

    def _handle_stream_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """The usual case at once: octets within the limits of a stream that is there. aioquic has the others."""
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        stream = self._streams.get(stream_id)
        receiver: Any = None if stream is None else stream.receiver
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
        if number > self.told_ids:
            raise QuicConnectionError(QuicErrorCode.PROTOCOL_VIOLATION, frame_type, "an id that was not issued")
        buf.seek(start)
        super()._handle_retire_connection_id_frame(context, frame_type, buf)

    def _write_new_connection_id_frame(self, builder: QuicPacketBuilder, connection_id: Any) -> None:
        super()._write_new_connection_id_frame(builder, connection_id)
        self.told_ids = max(self.told_ids, connection_id.sequence_number)
