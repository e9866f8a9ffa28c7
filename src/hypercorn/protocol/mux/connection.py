"""What the streams of one HTTP/2 connection share on the way out: the frame writer, the windows, whose turn it is.

Streams that have data and may send it wait in eight queues, one for each urgency (RFC 9218). The most urgent queue goes
first; within one, streams that said `i=?0` go one after the other, all others in turn, a frame each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hypercorn.protocol.mux.budgets import GATHER, PIECE, SEPARATE, UPDATES, USEFUL, Allowance
from hypercorn.protocol.ports import Connection, Context, Transport
from hypercorn.wire.http2_writer import FieldLines, FrameWriter


class Sender(Connection):
    """A stream as the queues see it."""

    __slots__ = ("id", "incremental", "pending", "queued", "send_window", "urgency")

    id: int
    incremental: bool  # takes turns with others of its urgency
    pending: int  # octets that wait
    queued: bool
    send_window: int
    urgency: int

    def send_piece(self, limit: int) -> int:
        """Writes one DATA frame of at most `limit` octets. Returns its octets."""
        raise NotImplementedError


class Multiplexer(Connection):
    """A connection of many streams."""

    __slots__ = (
        "allowance",
        "body_octets",
        "fields",
        "lost",
        "queues",
        "send_window",
        "streams",
        "unsent",
        "waiting",
        "writer",
        "writing_paused",
        "zombies",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.writer = FrameWriter()
        self.fields: FieldLines = context.fields
        self.allowance = Allowance(context.runtime, context.limits.h2_max_resets)
        self.send_window = 65535
        self.writing_paused = False
        self.unsent = 0  # octets that the transport had left at the last look, and what was added since
        self.body_octets = 0  # of DATA, whatever their stream
        self.lost = False  # no more output: closed, or closing
        self.queues: list[deque[Sender] | None] = [None] * 8
        self.waiting = 0  # streams in the queues
        self.streams: dict[int, Sender] = {}
        self.zombies = 0  # calls that go on after their stream was reset

    def written(self) -> None:
        """Frames were written: they leave when the turn ends, or now if they are many."""
        if len(self.writer.out) >= GATHER:
            self.flush_frames()
        else:
            self.transport.end_turn_soon()

    def hand_over(self) -> None:
        self.flush_frames()

    def flush_frames(self) -> None:
        """Hands what was written to the transport."""
        if self.writer.out and not self.lost:
            if self.writing_paused:
                self.unsent += len(self.writer.out)
            self.transport.write(self.writer.take())

    def write_data(self, stream_id: int, data: bytes, end: bool) -> None:
        """Writes a DATA frame; the caller keeps to the windows."""
        writer = self.writer
        if len(data) < SEPARATE:
            writer.data(stream_id, data, end)
            return
        writer.frame(len(data), 0, 1 if end else 0, stream_id)
        self.transport.write(writer.take())
        self.transport.write(data)

    def enqueue(self, sender: Sender) -> None:
        """A stream has something to send, and may."""
        if sender.queued:
            return
        queue = self.queues[sender.urgency]
        if queue is None:
            queue = self.queues[sender.urgency] = deque()
        queue.append(sender)
        sender.queued = True
        self.waiting += 1

    def dequeue(self, sender: Sender) -> None:
        """It has not, or may not."""
        if sender.queued:
            queue = self.queues[sender.urgency]
            assert queue is not None
            queue.remove(sender)
            sender.queued = False
            self.waiting -= 1

    def most_urgent(self) -> deque[Sender]:
        """The first queue with a stream in it."""
        for queue in self.queues:
            if queue:
                return queue
        raise AssertionError("no stream waits")

    def pump(self) -> None:
        """Sends what may be sent."""
        while self.waiting and self.send_window > 0 and not self.writing_paused and not self.lost:
            queue = self.most_urgent()
            sender = queue[0]
            limit = min(self.writer.max_frame_size, PIECE, self.send_window, sender.send_window)
            sent = sender.send_piece(limit)
            self.send_window -= sent
            if sent >= USEFUL:
                self.allowance.refund(UPDATES, 10)
            if not sender.queued:
                continue  # it ended, and is out of the queue
            if not sender.pending or sender.send_window <= 0:
                self.dequeue(sender)
            elif sender.incremental and len(queue) > 1:
                queue.rotate(-1)
            if len(self.writer.out) >= GATHER:
                self.flush_frames()
        if self.writer.out:
            self.written()

    # -- from a stream

    def stream_ended(self, sender: Sender) -> None:
        """Both directions are over: forget it."""
        raise NotImplementedError

    def reset_stream(self, sender: Sender, code: int) -> None:
        """Sends RST_STREAM and forgets it."""
        raise NotImplementedError

    def keep_reading(self, sender: Sender) -> None:
        """The response is complete, and the request is not."""
        raise NotImplementedError

    def promise(self, sender: Sender, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Promises a response that the client has not asked for."""
        raise NotImplementedError

    def grow(self, sender: Sender) -> int:
        """Octets by which its receive window may grow, for the application keeps up."""
        raise NotImplementedError

    def wait_until(self, when: float) -> None:
        """Looks at the deadlines at `when`, or earlier."""
        if not self.deadline or when < self.deadline:
            self.deadline = when
            if when < self.context.next_sweep:
                self.context.arm(when)


def read_priority(value: bytes, urgency: int, incremental: bool) -> tuple[int, bool]:
    """Urgency and `incremental` of a Priority field (RFC 9218 section 4); what is malformed changes nothing."""
    for member in value.split(b","):
        name, _, rest = member.strip(b" \t").partition(b"=")
        text = rest.partition(b";")[0]
        if name == b"u" and len(text) == 1 and b"0" <= text <= b"7":
            urgency = text[0] - 48
        elif name == b"i":
            if not rest or text == b"?1":
                incremental = True
            elif text == b"?0":
                incremental = False
    return urgency, incremental
