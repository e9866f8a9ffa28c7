"""The receiving side of QUIC: time and memory follow the octets that came, however they are cut (RFC 9000).

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
from aioquic.quic.connection import QuicConnectionError
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicStreamFrame, pull_quic_header
from aioquic.quic.stream import FinalSizeError, QuicStreamReceiver

from hypercorn.logs.logger import ErrorLog

NOTHING = array("Q")
Run = bytes | list[bytes] | deque[bytes]  # octets, alone or in pieces
Handler = tuple[Callable[..., None], frozenset[tls.Epoch]]
LIST = 32  # pieces of a run that are moved rather than counted
GAPS = 64  # runs behind a gap, for each stream
PACKETS = 8  # packets in one datagram: one of each type, and some more
FRAMES, EACH, MOST_FRAMES = 32, 6, 512  # frames in a packet: so many, one more for each six octets, at the most
LONG_HEADER = 0x80
# Octets of a handshake message by epoch: a ClientHello, the certificates of a client, and then there is none.
MESSAGES = {tls.Epoch.INITIAL: 16384, tls.Epoch.HANDSHAKE: 65536, tls.Epoch.ONE_RTT: 4096}


class Unacknowledged(Exception):
    """A packet cannot be taken now. As it is not acknowledged, it comes again."""


class Octets:
    """The octets of a stream, in any order. `start`: the offset of the first one that is missing."""

    __slots__ = ("ready", "runs", "start", "starts", "stops")

    def __init__(self) -> None:
        self.start = 0
        self.ready: list[bytes] = []  # what came in order and was not taken
        # What lies behind a gap: where each run starts and stops, and its octets, alone or as a list of pieces.
        self.starts = self.stops = NOTHING
        self.runs: list[Run] = []

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
        """Returns the octets that came in order since the last time."""
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
            ready.extend((run,) if isinstance(run, bytes) else run)
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
        joined: Run | None = None
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
        assert joined is not None  # there was data
        starts[at:end] = array("Q", (first,))
        stops[at:end] = array("Q", (max(offset, stop),))
        runs[at:end] = [joined]


def join(left: Run | None, right: Run) -> Run:
    """Two neighbours, each octets or a sequence of them: the shorter one moves."""
    if left is None:
        return right
    if isinstance(left, bytes):
        left = [left]
    if isinstance(right, bytes):
        left.append(right)
    elif len(left) >= len(right) or len(right) < LIST:
        left.extend(right)
    else:
        right = right if isinstance(right, deque) else deque(right)  # it grows at its front, too
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
        self.event_pending = False  # an event says that there is something to take

    def starting_offset(self) -> int:
        return self.octets.start

    def handle_frame(self, frame: QuicStreamFrame) -> Any:
        """A STREAM frame. Returns an event where none is on its way. Raises FinalSizeError and Unacknowledged."""
        return self.received(frame.offset, frame.data, frame.fin)

    def received(self, offset: int, data: bytes, fin: bool) -> Arrived | None:
        """Takes a part of a stream. Returns and raises as `handle_frame`."""
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
        if self.event_pending or (octets.start == before and not self.is_finished):
            return None
        self.event_pending = True
        return Arrived(self._stream_id or 0, self)

    def take(self) -> tuple[bytes, bool]:
        """Returns the octets that came in order since the last time, and whether the stream ends with them."""
        self.event_pending = False
        return self.octets.take(), self.octets.start == self._final_size

    def missing(self) -> int:
        """Octets of a stream that was reset that will not be taken. Their credit is given back once."""
        octets = self.octets
        size = max(0, self.highest_offset - octets.start)
        octets.start = self.highest_offset
        octets.runs, octets.starts, octets.stops = [], NOTHING, NOTHING
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


class Frames(dict[int, Handler]):
    """aioquic's table of what each type of frame means, which counts how often it is asked."""

    def __init__(self, handlers: dict[int, Handler]) -> None:
        super().__init__(
            (kind, (handler, EPOCHS.setdefault(epochs, epochs))) for kind, (handler, epochs) in handlers.items()
        )
        self.left = 0
        self.acks = 0

    def packet(self, size: int) -> None:
        """A packet with so many octets of frames has come."""
        self.left = min(FRAMES + size // EACH, MOST_FRAMES)
        self.acks = 0

    def __getitem__(self, kind: int) -> Handler:
        self.left -= 1
        if self.left < 0:
            raise QuicConnectionError(QuicErrorCode.PROTOCOL_VIOLATION, kind, "too many frames in a packet")
        return super().__getitem__(kind)


EPOCHS: dict[
    frozenset[tls.Epoch], frozenset[tls.Epoch]
] = {}  # the few sets of epochs that there are, once for all connections


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
    """The log of aioquic for one connection. Its warnings, of what a peer did wrong, are logged at DEBUG; what it logs
    of each step is dropped."""

    __slots__ = ("connection_id", "log")

    def __init__(self, log: ErrorLog, connection_id: bytes) -> None:
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
