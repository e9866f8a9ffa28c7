"""HTTP/3 on one QUIC connection (RFC 9114): many streams, each an exchange, and three that carry what concerns all.

aioquic says what arrived on which stream; this machine says what it means. Faults of a message reset its stream, faults
of the connection end it. What costs the server more than its peer is counted (`mux.budgets`), and a stream that was
reset counts as open until its application call has ended. `states` has the states.

Data goes to QUIC only as far as the congestion window lets it leave, so that urgent streams can still overtake, and
what waits for a peer that does not read stays with the streams, behind which their applications wait.
"""

from __future__ import annotations

from typing import Any

from aioquic.quic import events

from hypercorn.net.quic_tls import tls_extension
from hypercorn.protocol.http3.control import ControlStreams
from hypercorn.protocol.http3.qpack import INDEXED_SECTION_BYTES, Blocked, FieldPair, FieldSections, QPACKError
from hypercorn.protocol.http3.states import (
    BODY,
    CONNECTION,
    DONE,
    DRAINING,
    ENDED,
    HANDSHAKE,
    HEAD,
    HEAD_BLOCKED,
    LEAVING,
    REQUEST,
    SERVING,
    TRAILERS,
    TRAILERS_BLOCKED,
    WAITING,
)
from hypercorn.protocol.http3.stream import HTTP3Stream, RequestReader
from hypercorn.protocol.mux.budgets import DRAIN_SECONDS, GLITCHES, RESETS, UPDATES, USEFUL_BYTES
from hypercorn.protocol.mux.connection import ErrorCodes, Multiplexer
from hypercorn.protocol.mux.states import CLOSED, DISCARDING, NO_HEAD, TUNNEL
from hypercorn.protocol.mux.stream import pump
from hypercorn.protocol.ports import Connection, Context
from hypercorn.protocol.quic.connection import ServerConnection
from hypercorn.protocol.quic.receive import Arrived
from hypercorn.protocol.quic.transport import QUICTransport
from hypercorn.protocol.websocket.over_stream import open_tunnel
from hypercorn.wire import http3 as wire
from hypercorn.wire.hpack import Field
from hypercorn.wire.http2_head import HTTP2Head, judge_request, judge_trailers
from hypercorn.wire.http2_tables import GOOD, OVERHEAD_BYTES

HANDSHAKE_SECONDS = 10.0  # seconds for a handshake
SLACK_BYTES = 4096  # octets beyond the congestion window that QUIC is given, so that its packets are full
REMEMBERED_STREAMS = 32  # streams that may have data in QUIC before it is asked what became of it
MAX_REQUEST_ID = wire.LARGEST_VARINT - 3  # the highest id of a request's stream
CODES = ErrorCodes(
    none=wire.H3_NO_ERROR,
    malformed=wire.H3_MESSAGE_ERROR,
    internal=wire.H3_INTERNAL_ERROR,
    cancelled=wire.H3_REQUEST_CANCELLED,
    excessive=wire.H3_EXCESSIVE_LOAD,
)


class HTTP3Connection(Multiplexer):
    """The HTTP/3 state of one QUIC connection. `endpoint` moves its datagrams, as `quic.endpoint.Peer` does."""

    def __init__(self, transport: QUICTransport, context: Context, quic: ServerConnection, endpoint: Any) -> None:
        super().__init__(transport, context, CODES)
        self.quic = quic
        self.endpoint = endpoint
        self.pairs: wire.FieldPairs = endpoint.pairs
        self.sections: FieldSections  # since the handshake is over
        self.control = ControlStreams()
        self.peer_leaving = False  # it has sent GOAWAY
        self.opened_at = context.runtime.now()
        # requests
        self.requests = 0  # so far
        self.next_id = 0  # requests below this one have begun, but for those in `skipped_ids`
        self.skipped_ids: set[int] = set()
        self.readers: dict[int, RequestReader] = {}  # of the streams on which the peer may send what is used
        self.unstarted: list[HTTP3Stream] = []  # streams whose applications start when the events are used up
        self.discarding: set[int] = set()  # streams of which the rest is dropped
        # what goes out
        self.send_window = 0
        self.fed_streams: set[int] = set()  # streams of which QUIC may hold octets that were not sent
        self.reported: list[FieldPair] | None = None  # the worker's fields that `own_pairs` were made of
        self.own_pairs: list[FieldPair] = []
        self.close_at = 0.0  # LEAVING ends then, whatever is not delivered; 0: something else is open
        self.deadline = 0.0
        self.wait_until(self.opened_at + HANDSHAKE_SECONDS)

    @property
    def ended(self) -> bool:
        """True where nothing more is read or written."""
        return self.state == ENDED

    # -- from QUIC

    def work(self, now: float) -> None:
        """Handles the events of QUIC."""
        while self.state != ENDED:
            event = self.quic.next_event()
            if event is None:
                break
            self.handle(event, now)
        self.begin_calls()

    def begin_calls(self) -> None:
        """Starts the applications of new streams, as many as a turn has time for."""
        unstarted = self.unstarted
        self.unstarted = []
        for number, stream in enumerate(unstarted):
            if self.transport.turn_is_over():
                self.unstarted = unstarted[number:] + self.unstarted
                self.transport.turn_soon()
                break
            if stream.exchange is not None:  # else it was answered meanwhile
                stream.begin_call()

    def handle(self, event: events.QuicEvent, now: float) -> None:
        """Handles one event of QUIC."""
        if isinstance(event, Arrived):
            data, end = event.receiver.take()
            self.quic.consumed(len(data))
            if not event.stream_id & 3:
                self.request_data(event.stream_id, data, end, now)
            else:
                self.control.received(self, event.stream_id, data, end)
        elif isinstance(event, events.StreamReset):
            self.quic.was_reset(event.stream_id)
            if not event.stream_id & 3:
                self.stream_reset(event.stream_id)
            else:
                self.control.reset(self, event.stream_id)
        elif isinstance(event, events.StopSendingReceived):
            if not event.stream_id & 3:
                self.sending_stopped(event.stream_id)
            else:
                self.control.stopped(self, event.stream_id)
        elif isinstance(event, events.PingAcknowledged):
            self.pinged_at = 0.0
        elif isinstance(event, events.HandshakeCompleted):
            self.handshake_completed()
        elif isinstance(event, events.ConnectionIdRetired):
            self.endpoint.retired(event.connection_id)
        elif isinstance(event, events.ConnectionTerminated):
            self.connection_ended()

    def handshake_completed(self) -> None:
        """Judges the client's certificate and begins HTTP/3."""
        if not self.quic.judge_client():
            self.endpoint.transmit(self.context.runtime.now())
            self.connection_ended()
            return
        if not self.endpoint.established():
            self.finish(wire.H3_EXCESSIVE_LOAD, "too many connections")
            return
        self.state = CONNECTION.change(self.state, SERVING)
        self.transport.tls = tls_extension(self.quic.tls)
        self.idle_at = -1.0
        self.sections = FieldSections()
        self.control.open(self)
        if self.context.terminating:
            self.shutdown()

    # -- requests

    def request_data(self, stream_id: int, data: bytes, end: bool, now: float) -> None:
        """Takes octets of a request's stream."""
        reader = self.readers.get(stream_id)
        if reader is None:
            if not self.is_new(stream_id):
                self.rest_received(stream_id, len(data), end)
                return
            reader = self.readers[stream_id] = RequestReader(self.context.limits.h2_max_header_list_size, now)
            self.wait_until(now + self.context.limits.header_timeout)
        reader.overhead += len(data)
        reader.frames.feed(data, end)
        self.advance(stream_id, reader)

    def is_new(self, stream_id: int) -> bool:
        """True where nothing of this stream was seen before. Streams may overtake each other."""
        if stream_id in self.skipped_ids:
            self.skipped_ids.discard(stream_id)
            return True
        if stream_id < self.next_id:
            return False
        self.skipped_ids.update(range(self.next_id, stream_id, 4))
        self.next_id = stream_id + 4
        return True

    def rest_received(self, stream_id: int, size: int, end: bool) -> None:
        """Drops the rest of a request that was answered without it."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.state == DISCARDING:
            self.body_octets += size
            stream.rest_received(size, end)

    def advance(self, stream_id: int, reader: RequestReader) -> None:
        """Takes every frame at hand."""
        frames = reader.frames
        while self.readers.get(stream_id) is reader and reader.state not in WAITING and self.state != ENDED:
            event = frames.next()
            if event == wire.F_DATA:
                self.body_received(stream_id, reader)
            elif event == wire.F_HEADERS:
                self.headers_received(stream_id, reader)
            elif event == wire.NEED_DATA:
                self.all_read(stream_id, reader)
                return
            elif event == wire.OVERSIZE:
                if self.takes_headers(stream_id, reader):
                    self.oversize(stream_id, reader)
            elif event == wire.UNKNOWN:
                self.spend(GLITCHES)
            else:
                self.fail(frames.code, frames.reason)

    def all_read(self, stream_id: int, reader: RequestReader) -> None:
        """No whole frame is left."""
        if reader.frames.ended:
            self.finish_reader(stream_id)
            if reader.frames.partial:
                self.fail(wire.H3_FRAME_ERROR, "a frame is cut off by the end of its stream")
            else:
                self.request_ended(stream_id)
        elif reader.overhead * 2 >= self.context.limits.h2_stream_window:
            self.credit(stream_id, reader.overhead)
            reader.overhead = 0

    def request_ended(self, stream_id: int) -> None:
        """The peer has ended its side, after its last frame."""
        stream = self.streams.get(stream_id)
        if stream is None:
            self.cut_stream(stream_id, wire.H3_REQUEST_INCOMPLETE)
            self.spend(RESETS)
        elif 0 <= stream.content_length != stream.received:
            self.fault(stream, wire.H3_MESSAGE_ERROR)
        else:
            stream.request_complete(b"")

    def takes_headers(self, stream_id: int, reader: RequestReader) -> bool:
        """True where HEADERS may come; else the connection ends (RFC 9114 sections 4.1 and 4.4)."""
        stream = self.streams.get(stream_id)
        if reader.state == TRAILERS:
            self.fail(wire.H3_FRAME_UNEXPECTED, "HEADERS after trailers")
        elif stream is not None and stream.request == TUNNEL and stream.progress != NO_HEAD:
            self.fail(wire.H3_FRAME_UNEXPECTED, "HEADERS in a tunnel")
        else:
            return True
        return False

    def headers_received(self, stream_id: int, reader: RequestReader) -> None:
        """HEADERS: a request, or the trailer fields of one."""
        if reader.state != HEAD and not self.takes_headers(stream_id, reader):
            return
        block = reader.frames.payload
        if len(block) > INDEXED_SECTION_BYTES and block[:1] != b"\x00":
            self.oversize(stream_id, reader)
            return
        try:
            instructions, pairs = self.sections.decode(stream_id, block)
        except Blocked:
            reader.state = REQUEST.change(reader.state, HEAD_BLOCKED if reader.state == HEAD else TRAILERS_BLOCKED)
        except QPACKError as error:
            self.fail(error.code, error.reason)
        else:
            self.section_decoded(stream_id, reader, instructions, pairs)

    def sections_unblocked(self, streams: list[int]) -> None:
        """QPACK's table has what these streams have waited for. Raises QPACKError."""
        for stream_id in streams:
            reader = self.readers.get(stream_id)
            if reader is None:
                continue
            instructions, pairs = self.sections.decode(stream_id, None)
            self.section_decoded(stream_id, reader, instructions, pairs)
            if self.state == ENDED:
                return
            self.advance(stream_id, reader)

    def section_decoded(
        self, stream_id: int, reader: RequestReader, instructions: bytes, pairs: list[FieldPair]
    ) -> None:
        """Takes a field section that was decoded."""
        if instructions:
            self.send(self.control.decoder_id, instructions, False)
        is_head = reader.state <= HEAD_BLOCKED
        reader.state = REQUEST.change(reader.state, BODY if is_head else TRAILERS)
        size = sum(len(name) + len(value) + OVERHEAD_BYTES for name, value in pairs)
        if size > self.context.limits.h2_max_header_list_size or len(pairs) > self.context.limits.max_header_count + 5:
            self.oversize(stream_id, reader)
            return
        fields = self.sections.shared(pairs)
        if is_head:
            self.new_request(stream_id, fields, reader.frames.at_end)
        else:
            self.trailers_received(self.streams[stream_id], fields, reader)

    def oversize(self, stream_id: int, reader: RequestReader) -> None:
        """Refuses a request with more fields than the server takes."""
        if reader.state == HEAD:
            reader.state = REQUEST.change(HEAD, BODY)  # it may follow, while the answer waits for the peer's window
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.fault(stream, wire.H3_MESSAGE_ERROR)
        elif self.state >= LEAVING:
            self.cut_stream(stream_id, wire.H3_REQUEST_REJECTED)
        else:
            self.requests += 1
            self.answer_early(stream_id, HTTP2Head(), 431, False)

    def new_request(self, stream_id: int, fields: list[Field], complete: bool) -> None:
        """Opens a stream, if its request is in order and there is room for it."""
        context = self.context
        if self.state >= LEAVING:
            self.cut_stream(stream_id, wire.H3_REQUEST_REJECTED)
            return
        self.requests += 1
        if self.requests >= context.limits.keep_alive_max_requests:
            self.drain()
        if len(self.streams) + self.orphans.count >= context.limits.h2_max_concurrent_streams:
            self.cut_stream(stream_id, wire.H3_REQUEST_REJECTED)
            self.spend(RESETS)
            return
        head = HTTP2Head()
        verdict = judge_request(fields, head)
        head.http_version = "3"
        head.complete = complete
        if verdict > 0 and head.host:
            self.answer_early(stream_id, head, verdict, complete)
        elif verdict != GOOD or not head.host or (complete and head.content_length > 0):
            self.answered = 0
            context.refused(self, head, 400, "malformed request")
            self.cut_stream(stream_id, wire.H3_MESSAGE_ERROR)
            self.spend(RESETS)
        elif context.server_names and not context.serves(head.host):
            self.answer_early(stream_id, head, 421, complete)
        elif head.content_length > context.limits.max_body_size:
            self.answer_early(stream_id, head, 413, complete)
        elif head.protocol:
            stream: Any = open_tunnel(self, stream_id, head)
            if stream is not None:
                self.unstarted.append(stream)
        else:
            stream = self.open_stream(stream_id, head)
            stream.exchange = context.open_http(stream, head)
            self.unstarted.append(stream)

    def new_stream(self, stream_id: int, complete: bool) -> HTTP3Stream:
        """A stream for a request. `complete`: the request has no body."""
        if complete:
            self.finish_reader(stream_id)
        limit = self.context.limits.h2_stream_window
        stream = self.streams[stream_id] = HTTP3Stream(self, stream_id, self.quic.stream_window(stream_id), limit)
        return stream

    def open_stream(self, stream_id: int, head: HTTP2Head) -> HTTP3Stream:
        """The stream of a request that an application is going to see."""
        client = self.quic.client
        if client is not None and client[:2] != self.transport.client:
            self.transport.client = (client[0], client[1])
            self.transport.scope_template = None
            self.endpoint.moved()
        stream = self.new_stream(stream_id, head.complete)
        stream.take_head(head)
        if not head.priority:  # what a client does not say is what RFC 9218 says it means
            stream.incremental = False
        return stream

    def answer_early(self, stream_id: int, head: HTTP2Head, status: int, complete: bool, reason: str = "") -> None:
        """Answers a request that no application sees."""
        head.http_version = "3"
        self.new_stream(stream_id, complete).answer_early(head, status, complete, reason)

    def trailers_received(self, stream: HTTP3Stream, fields: list[Field], reader: RequestReader) -> None:
        """The second HEADERS of a stream."""
        trailers = None if stream.request == TUNNEL else judge_trailers(fields)
        if trailers is None or 0 <= stream.content_length != stream.received:
            self.fault(stream, wire.H3_MESSAGE_ERROR)
        elif stream.exchange is not None:
            stream.exchange.trailers_received(trailers)  # ahead of the end, which `advance` finds

    def body_received(self, stream_id: int, reader: RequestReader) -> None:
        """A piece of a request's body."""
        if reader.state != BODY:
            self.fail(wire.H3_FRAME_UNEXPECTED, "DATA outside of a message")
            return
        stream = self.streams[stream_id]
        data = reader.frames.payload
        end = reader.frames.at_end
        size = len(data)
        reader.overhead -= size
        self.body_octets += size
        stream.recv_window -= size
        if end:
            self.finish_reader(stream_id)
        stream.piece_received(data, end)

    def cancel_start(self, stream: Connection) -> None:
        if stream in self.unstarted:
            self.unstarted.remove(stream)

    def prioritize(self, stream_id: int, value: bytes) -> bool:
        """PRIORITY_UPDATE. False where the stream is none of a request, or one that is far ahead."""
        most = self.context.limits.h2_max_concurrent_streams
        if stream_id & 3 or stream_id >= self.next_id + 4 * most * 2:
            return False
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.prioritize(value)
        elif stream_id >= self.next_id or stream_id in self.skipped_ids or stream_id in self.readers:
            if len(self.priorities) < most:
                self.priorities[stream_id] = value
        return True

    # -- ends of streams

    def stream_reset(self, stream_id: int) -> None:
        """RESET_STREAM: the peer sends no more of a stream."""
        stream = self.streams.get(stream_id)
        if stream_id in self.readers:
            self.cancelled_by_peer(stream_id)
        elif stream is not None and stream.state == DISCARDING:
            stream.end()
        elif self.is_new(stream_id):
            self.cancel_sections(stream_id)
            self.cancelled_by_peer(stream_id)

    def sending_stopped(self, stream_id: int) -> None:
        """STOP_SENDING: the peer does not want the response. QUIC has reset it already."""
        stream = self.streams.get(stream_id)
        if (stream is not None and stream.state != DISCARDING) or stream_id in self.readers or self.is_new(stream_id):
            self.cancelled_by_peer(stream_id)
        else:
            self.spend(GLITCHES)

    def cancelled_by_peer(self, stream_id: int) -> None:
        """The peer has no use for a stream any more."""
        stream = self.streams.get(stream_id)
        self.cut_stream(stream_id, wire.H3_REQUEST_CANCELLED)
        if stream is None:
            self.spend(RESETS)
            return
        early = stream.progress == NO_HEAD
        stream.drop()
        if early:
            self.spend(RESETS)
        self.close_if_done()

    def reset_stream(self, stream: Connection, code: int) -> None:
        one: Any = stream
        if one.state == CLOSED:
            return
        self.cut_stream(one.id, code)
        one.drop()
        self.close_if_done()

    def cut_stream(self, stream_id: int, code: int) -> None:
        """Ends the directions of a stream that have not ended."""
        self.drop_reader(stream_id)
        self.priorities.pop(stream_id, None)
        self.stop_reading(stream_id, code)
        if not self.quic.written(stream_id):
            self.quic.reset_stream(stream_id, code)
            self.transport.end_turn_soon()

    def stop_reading(self, stream_id: int, code: int) -> None:
        """Asks the peer not to send the rest of a stream, if there may be any."""
        if not self.quic.received(stream_id):
            self.quic.stop_stream(stream_id, code)
            self.transport.end_turn_soon()

    def drop_reader(self, stream_id: int) -> None:
        """Stops reading a stream."""
        if stream_id in self.readers:
            self.finish_reader(stream_id)
            self.cancel_sections(stream_id)

    def finish_reader(self, stream_id: int) -> None:
        """A stream was read to its end, or to where nothing more is used of it."""
        reader = self.readers.pop(stream_id)
        reader.state = REQUEST.change(reader.state, DONE)

    def cancel_sections(self, stream_id: int) -> None:
        """The field sections of a stream will not be decoded."""
        instructions = self.sections.cancel(stream_id)
        if instructions:
            self.send(self.control.decoder_id, instructions, False)

    def keep_reading(self, stream: Connection) -> None:
        """Reads and drops the rest of a request whose response was sent (RFC 9114 section 4.1.2), as over HTTP/2:
        browsers that are told to stop before they have sent it take the request for failed. Where it is known to be
        longer than `max_unread_body`, the client gets no credit for it, only time to read the response."""
        one: Any = stream
        self.drop_reader(one.id)
        if self.quic.received(one.id):
            one.end()
        elif one.discard_rest():
            self.discarding.add(one.id)
        else:
            self.reset_stream(stream, wire.H3_NO_ERROR)

    def check_discarding(self) -> None:
        """Asks for no more of requests whose clients have used up their credit, and have the response."""
        limit = self.context.limits.max_unread_body
        for stream_id in list(self.discarding):
            stream = self.streams.get(stream_id)
            if stream is None:
                self.discarding.discard(stream_id)
            elif stream.content_length - stream.received <= limit and self.quic.exhausted(stream_id):
                self.reset_stream(stream, wire.H3_NO_ERROR)

    # -- sending

    def send(self, stream_id: int, data: bytes, end: bool) -> None:
        """Hands octets of a stream to QUIC. They leave when the turn ends."""
        if self.state == ENDED:
            return
        try:
            self.quic.send_stream_data(stream_id, data, end)
        except (RuntimeError, ValueError):
            return  # the peer stopped the stream; the event that says so is on its way
        self.fed_streams.add(stream_id)
        self.transport.end_turn_soon()

    def head_frame(self, stream_id: int, fields: list[FieldPair]) -> bytes:
        """HEADERS for a stream; what its encoding needs goes to the peer's decoder first."""
        instructions, block = self.sections.encode(stream_id, fields)
        if instructions:
            self.send(self.control.encoder_id, instructions, False)
        return b"%c%b%b" % (wire.F_HEADERS, wire.varint(len(block)), block)

    def server_pairs(self, has_date: bool, has_server: bool) -> list[FieldPair]:
        """The fields that the server adds: an answer over HTTP/3 does not point at HTTP/3."""
        pairs = self.context.response_fields.in_pairs(has_date, has_server)
        if pairs is not self.reported:
            self.reported = pairs
            self.own_pairs = [
                (name, b"hypercorn-h3") if name == b"server" else (name, value)
                for name, value in pairs
                if name != b"alt-svc"
            ]
        return self.own_pairs

    def turn_ended(self) -> None:
        self.begin_calls()
        if self.state == ENDED:
            return
        now = self.context.runtime.now()
        if self.discarding:
            self.check_discarding()
        if self.idle_at < 0 and not self.streams:
            self.idle_at = now
            self.wait_until(now + self.idle_limit())
        if self.close_at:
            self.close_if_done()
        self.transmit(now)

    def flush_output(self) -> None:
        self.transmit(self.context.runtime.now())

    def transmit(self, now: float) -> None:
        """Gives QUIC what may leave now, the most urgent first, and has it sent."""
        if self.quic.opened:
            self.windows_opened()
            if self.state == ENDED:
                return
        if self.scheduler.waiting:
            self.make_room()
            pump(self)
        self.endpoint.transmit(now)
        if self.scheduler.waiting or self.send_window <= 0 or len(self.fed_streams) > REMEMBERED_STREAMS:
            self.make_room()

    def make_room(self) -> None:
        """Finds how much QUIC may be given, and how much of each stream that waits."""
        quic = self.quic
        room = quic.room() + max(SLACK_BYTES, quic.datagram_size)
        for stream_id in list(self.fed_streams):
            unsent = quic.unsent(stream_id)
            if unsent <= 0:
                self.fed_streams.discard(stream_id)
            else:
                room -= unsent
        self.send_window = max(0, room)
        for stream in list(self.streams.values()):
            if stream.pending:
                stream.send_window = quic.stream_window(stream.id)
                if stream.send_window <= 0:
                    stream.dequeue()
                else:
                    stream.enqueue()

    def windows_opened(self) -> None:
        """The peer takes more of some streams: those that waited for it go on."""
        quic = self.quic
        opened, quic.opened = quic.opened, set()
        for stream_id in opened:
            stream = self.streams.get(stream_id)
            if stream is not None:
                stream.send_window = quic.stream_window(stream_id)
                if stream.pending and stream.send_window > 0:
                    if stream.send_window < USEFUL_BYTES:
                        self.spend(UPDATES)
                    stream.enqueue()

    def written(self) -> None:
        """Does nothing: `send` schedules the end of the turn."""

    def credit(self, stream_id: int, size: int) -> None:
        """Lets the peer send more on a stream."""
        self.quic.credit(stream_id, size)
        self.transport.end_turn_soon()

    # -- ends of the connection

    def fail(self, code: int, reason: str) -> None:
        if self.state != ENDED:
            self.context.refused(self, None, 400, reason)
            self.finish(code, reason)

    def goaway_received(self) -> None:
        """GOAWAY: the client is about to leave (RFC 9114 section 5.2). Requests that it has sent nevertheless are
        answered: the connection closes once nothing has come for a moment."""
        self.peer_leaving = True
        now = self.context.runtime.now()
        if self.idle_at > 0:
            self.idle_at = now
        self.wait_until(now + DRAIN_SECONDS)

    def drain(self) -> None:
        """Takes no more requests than those on their way."""
        if self.state == SERVING:
            self.state = CONNECTION.change(self.state, DRAINING)
            self.send(self.control.control_id, wire.frame(wire.F_GOAWAY, wire.varint(MAX_REQUEST_ID)), False)
            self.drain_at = self.context.runtime.now() + DRAIN_SECONDS
            self.wait_until(self.drain_at)

    def send_last_goaway(self) -> None:
        """Takes no more requests."""
        self.drain_at = 0.0
        if self.state < LEAVING:
            self.state = CONNECTION.change(self.state, LEAVING)
            self.send(self.control.control_id, wire.frame(wire.F_GOAWAY, wire.varint(self.next_id)), False)

    def close_if_done(self) -> None:
        if self.state == LEAVING and not self.streams:
            self.close()

    def close(self) -> None:
        """Closes politely: what was written is delivered first, as CONNECTION_CLOSE would cut it off."""
        if self.state == ENDED:
            return
        if self.state == HANDSHAKE:
            self.finish(wire.H3_NO_ERROR, "")
            return
        self.send_last_goaway()
        if self.quic.delivered():
            self.endpoint.transmit(self.context.runtime.now())  # GOAWAY, which CONNECTION_CLOSE would cut off
            self.finish(wire.H3_NO_ERROR, "")
        elif not self.close_at:
            self.close_at = self.context.runtime.now() + self.context.limits.write_timeout
            self.wait_until(self.close_at)

    def finish(self, code: int, reason: str) -> None:
        """Sends CONNECTION_CLOSE and forgets the streams."""
        if self.state != ENDED:
            self.quic.close(error_code=code, reason_phrase=reason)
            self.endpoint.transmit(self.context.runtime.now())
            self.connection_ended()

    def connection_ended(self) -> None:
        """The connection is over: the peer has closed it, is not there any more, or was told."""
        if self.state != ENDED:
            self.state = CONNECTION.change(self.state, ENDED)
            self.deadline = 0.0
            self.endpoint.ended()

    def abort(self) -> None:
        self.finish(wire.H3_NO_ERROR if self.context.terminating else wire.H3_INTERNAL_ERROR, "")

    def shutdown(self) -> None:
        now = self.context.runtime.now()
        if self.state == HANDSHAKE:
            # The handshake may still be completed.
            self.opened_at = min(self.opened_at, now + DRAIN_SECONDS - HANDSHAKE_SECONDS)
            self.wait_until(now + DRAIN_SECONDS)
        elif not self.streams and 0 <= self.idle_at < now - self.context.limits.idle_grace:
            self.close()
        else:
            self.drain()
            self.shutdown_streams()

    # -- times

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if self.state != ENDED:
            self.check_peer(now)
            self.check_streams(now)
            self.transport.end_turn_soon()

    def check_peer(self, now: float) -> None:
        """Checks what the connection as a whole waits for."""
        if self.state == HANDSHAKE:
            if now >= self.opened_at + HANDSHAKE_SECONDS:
                self.finish(wire.H3_NO_ERROR, "the handshake took too long")
            else:
                self.wait_until(self.opened_at + HANDSHAKE_SECONDS)
            return
        self.check_heads(now)
        if self.drain_at and now >= self.drain_at:
            self.send_last_goaway()
            self.close_if_done()
        elif self.drain_at:
            self.wait_until(self.drain_at)
        if self.state == ENDED:
            return
        if self.close_at:
            if now >= self.close_at:
                self.finish(wire.H3_NO_ERROR, "")
                return
            self.wait_until(self.close_at)
        if self.streams:
            self.check_alive(now)
        elif self.idle_at > 0:
            if now < self.idle_at + self.idle_limit():
                self.wait_until(self.idle_at + self.idle_limit())
            elif not self.close_at:
                self.close()

    def idle_limit(self) -> float:
        """Seconds that the connection may be without a request: until the first, as long as a first head may take."""
        limits = self.context.limits
        limit = limits.keep_alive_timeout if self.requests else max(limits.keep_alive_timeout, limits.header_timeout)
        return min(limit, DRAIN_SECONDS) if self.peer_leaving else limit

    def check_heads(self, now: float) -> None:
        """Streams whose request did not begin in time."""
        timeout = self.context.limits.header_timeout
        for stream_id, reader in list(self.readers.items()):
            if reader.state <= HEAD_BLOCKED:
                if now >= reader.since + timeout:
                    self.cut_stream(stream_id, wire.H3_REQUEST_INCOMPLETE)
                else:
                    self.wait_until(reader.since + timeout)

    def check_alive(self, now: float) -> None:
        """Asks a silent peer whether it is there, so that QUIC's own timeout is never a slow application's."""
        limits = self.context.limits
        if limits.h2_ping_interval == float("inf"):
            return
        silence = min(limits.h2_ping_interval, self.quic.idle_timeout / 2)
        if self.pinged_at:
            if now >= self.pinged_at + limits.h2_ping_timeout:
                self.finish(wire.H3_NO_ERROR, "no answer")
            else:
                self.wait_until(self.pinged_at + limits.h2_ping_timeout)
        elif now >= self.received_at + silence:
            self.pinged_at = now
            self.quic.send_ping(0)
            self.wait_until(now + limits.h2_ping_timeout)
        else:
            self.wait_until(self.received_at + silence)
