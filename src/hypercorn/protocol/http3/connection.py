"""HTTP/3 on one QUIC connection (RFC 9114): many streams, each an exchange, and three that carry what concerns all.

aioquic says what arrived on which stream; this machine says what it means. Faults of a message reset its stream, faults
of the connection end it. What costs the server more than its peer is counted (`budgets`), and a stream that was reset
counts as open until its application call has ended.
"""

from __future__ import annotations

from typing import Any

import pylsqpack
from aioquic.quic import events

from hypercorn.net.quic_tls import tls_extension
from hypercorn.protocol.http3.control import HTTP3Control
from hypercorn.protocol.http3.stream import HTTP3Stream
from hypercorn.protocol.mux.budgets import GLITCHES, RESETS
from hypercorn.protocol.mux.states import ENDED, LEAVING, NO_HEAD, OPEN, TUNNEL
from hypercorn.protocol.mux.tunnel import open_tunnel
from hypercorn.protocol.ports import Context
from hypercorn.protocol.quic.connection import ServerConnection
from hypercorn.protocol.quic.receive import Arrived
from hypercorn.protocol.quic.transport import Endpoint, QUICTransport
from hypercorn.wire import http3 as wire
from hypercorn.wire.hpack import Field
from hypercorn.wire.http2_head import HTTP2Head, judge_request, judge_trailers
from hypercorn.wire.http2_tables import GOOD, OVERHEAD
from hypercorn.wire.http3 import (
    H3_CLOSED_CRITICAL_STREAM,
    H3_EXCESSIVE_LOAD,
    H3_FRAME_ERROR,
    H3_FRAME_UNEXPECTED,
    H3_REQUEST_CANCELLED,
    H3_REQUEST_INCOMPLETE,
    H3_REQUEST_REJECTED,
    NEED_DATA,
    FrameReader,
)

KNOWN_FIELDS, LONGEST_KNOWN = 32, 1024  # fields that are remembered, and octets of one: an entry of the table fits
INDEXED_SECTION = 16384  # octets of a section that refers to the dynamic table, each octet to a whole entry of it


class HTTP3Connection(HTTP3Control):
    """The HTTP/3 state of one QUIC connection."""

    def __init__(self, transport: QUICTransport, context: Context, quic: ServerConnection, endpoint: Endpoint) -> None:
        super().__init__(transport, context, quic, endpoint)
        self.requests = 0
        self.known: dict[tuple[bytes, bytes], Field] = {}  # fields that came lately
        self.fresh: list[Any] = []  # streams whose applications start when the events are used up

    # -- from QUIC

    def work(self, now: float) -> None:
        """Uses what QUIC has to tell."""
        while self.state != ENDED:
            event = self.quic.next_event()
            if event is None:
                break
            self.handle(event, now)
        self.begin_calls()

    def begin_calls(self) -> None:
        """Starts the applications of new streams, as many as a turn has time for."""
        fresh = self.fresh
        self.fresh = []
        for number, stream in enumerate(fresh):
            if self.transport.overdue():
                self.fresh = fresh[number:] + self.fresh
                self.transport.turn_soon()
                break
            stream.begin_call()

    def turn_ended(self) -> None:
        self.begin_calls()
        super().turn_ended()

    def handle(self, event: events.QuicEvent, now: float) -> None:
        """One event."""
        if isinstance(event, Arrived):
            data, end = event.receiver.take()
            self.quic.took(len(data))
            if not event.stream_id & 3:
                self.request_data(event.stream_id, data, end, now)
            else:
                self.uni_data(event.stream_id, data, end)
        elif isinstance(event, events.StreamReset):
            self.quic.was_reset(event.stream_id)
            self.stream_reset(event.stream_id)
        elif isinstance(event, events.StopSendingReceived):
            self.sending_stopped(event.stream_id)
        elif isinstance(event, events.PingAcknowledged):
            self.pinged_at = 0.0
        elif isinstance(event, events.HandshakeCompleted):
            self.handshake_completed()
        elif isinstance(event, events.ConnectionIdRetired):
            self.endpoint.retired(event.connection_id)
        elif isinstance(event, events.ConnectionTerminated):
            self.gone()

    def handshake_completed(self) -> None:
        """The client is who it says: HTTP/3 begins."""
        if not self.quic.judge_client():
            self.endpoint.transmit(self.context.runtime.now())
            self.gone()
            return
        if not self.endpoint.established():
            self.finish(H3_EXCESSIVE_LOAD, "too many connections")
            return
        self.established = True
        self.transport.tls = tls_extension(self.quic.tls)
        self.idle_at = -1.0
        self.preface()
        if self.context.terminating:
            self.shutdown()

    # -- requests

    def request_data(self, stream_id: int, data: bytes, end: bool, now: float) -> None:
        """Octets of a request's stream."""
        reader = self.readers.get(stream_id)
        if reader is None:
            if not self.is_new(stream_id):
                self.rest_received(stream_id, len(data))
                return  # what follows an answer that did not wait for it
            reader = FrameReader(wire.ON_REQUESTS, self.context.limits.h2_max_header_list_size, now)
            self.readers[stream_id] = reader
            self.wait_until(now + self.context.limits.header_timeout)
        reader.overhead += len(data)
        reader.feed(data, end)
        self.advance(stream_id, reader)

    def is_new(self, stream_id: int) -> bool:
        """True where nothing of this stream was seen before. Streams may overtake each other."""
        if stream_id in self.gaps:
            self.gaps.discard(stream_id)
            return True
        if stream_id < self.next_id:
            return False
        self.gaps.update(range(self.next_id, stream_id, 4))
        self.next_id = stream_id + 4
        return True

    def advance(self, stream_id: int, reader: FrameReader) -> None:
        """Takes every frame at hand."""
        while self.state != ENDED and not reader.blocked and stream_id in self.readers:
            event = reader.next()
            if event == wire.F_DATA:
                self.body_received(stream_id, reader)
            elif event == wire.F_HEADERS:
                self.headers_received(stream_id, reader)
            elif event == NEED_DATA:
                break
            elif event == wire.OVERSIZE:
                self.oversize(stream_id)
            elif event == wire.UNKNOWN:
                self.spend(GLITCHES)
            else:
                self.fail(reader.code, reader.reason)
        if self.state == ENDED or reader.blocked or stream_id not in self.readers:
            return
        if reader.ended:
            self.readers.pop(stream_id)
            if reader.partial:
                self.fail(H3_FRAME_ERROR, "a frame is cut off by the end of its stream")
            else:
                self.request_ended(stream_id)
        elif reader.overhead * 2 >= self.context.limits.h2_stream_window:
            self.credit(stream_id, reader.overhead)
            reader.overhead = 0

    def request_ended(self, stream_id: int) -> None:
        """The peer has ended its side."""
        stream: Any = self.streams.get(stream_id)
        if stream is None:
            self.cut_stream(stream_id, H3_REQUEST_INCOMPLETE, False, True)
            self.spend(RESETS)
        elif stream.state >= OPEN:
            if stream.content_length >= 0 and stream.received != stream.content_length:
                self.fault(stream, wire.H3_MESSAGE_ERROR)
            else:
                stream.request_complete(b"")

    def headers_received(self, stream_id: int, reader: FrameReader) -> None:
        """HEADERS: a request, or the trailer fields of one."""
        block = reader.payload
        try:
            if block[:1] not in (b"\x00", b"") and len(block) > INDEXED_SECTION:
                self.cancel_section(stream_id)
                self.oversize(stream_id)
                return
            instructions, pairs = self.decoder.feed_header(stream_id, block)
        except pylsqpack.StreamBlocked:
            reader.blocked = True
            return
        except (pylsqpack.DecompressionFailed, ValueError):
            self.fail(wire.QPACK_DECOMPRESSION_FAILED, "a field section cannot be decoded")
            return
        self.section_decoded(stream_id, reader, instructions, pairs)

    def section_decoded(self, stream_id: int, reader: FrameReader, instructions: bytes, pairs: Any) -> None:
        """The fields are there."""
        if instructions:
            self.send(self.decoder_id, instructions, False)
        size = sum(len(name) + len(value) + OVERHEAD for name, value in pairs)
        if size > self.context.limits.h2_max_header_list_size or len(pairs) > self.context.limits.max_header_count + 5:
            self.oversize(stream_id)
            return
        fields = self.shared_fields(pairs)
        stream: Any = self.streams.get(stream_id)
        if stream is None:
            self.new_request(stream_id, fields, reader.at_end)
        else:
            self.trailers_received(stream, fields, reader)

    def shared_fields(self, pairs: Any) -> list[Field]:
        """The fields of a section. Those that come again are the same objects: a reference to an entry of the table,
        an octet on the wire, takes no memory of its own."""
        known = self.known
        fields = []
        for pair in pairs:
            field = known.get(pair)
            if field is None:
                if len(known) >= KNOWN_FIELDS:
                    known.clear()
                field = Field(*pair)
                if len(pair[0]) + len(pair[1]) <= LONGEST_KNOWN:
                    known[pair] = field
            fields.append(field)
        return fields

    def oversize(self, stream_id: int) -> None:
        """More fields than the server takes."""
        stream: Any = self.streams.get(stream_id)
        if stream is None:
            self.requests += 1
            self.answer_early(stream_id, HTTP2Head(), 431, False)
        else:
            self.fault(stream, wire.H3_MESSAGE_ERROR)

    def new_request(self, stream_id: int, fields: list[Field], complete: bool) -> None:
        """Opens a stream, if its request is in order and there is room for it."""
        context = self.context
        if self.state >= LEAVING:
            self.cut_stream(stream_id, H3_REQUEST_REJECTED, False, complete)
            return
        self.requests += 1
        if self.requests >= context.limits.keep_alive_max_requests:
            self.drain()
        if len(self.streams) + self.orphans.count >= context.limits.h2_max_concurrent_streams:
            self.cut_stream(stream_id, H3_REQUEST_REJECTED, False, complete)
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
            self.context.refused(self, head, 400, "malformed request")
            self.cut_stream(stream_id, wire.H3_MESSAGE_ERROR, False, complete)
            self.spend(RESETS)
        elif context.server_names and not context.serves(head.host):
            self.answer_early(stream_id, head, 421, complete)
        elif head.content_length > context.limits.max_body_size:
            self.answer_early(stream_id, head, 413, complete)
        elif head.protocol:
            self.new_websocket(stream_id, head)
        else:
            stream = self.open_stream(stream_id, head)
            stream.stream = context.open_http(stream, head)
            self.fresh.append(stream)

    def new_websocket(self, stream_id: int, head: HTTP2Head) -> None:
        """An extended CONNECT (RFC 9220): a WebSocket's handshake, or a protocol that is not known."""
        stream = open_tunnel(self, stream_id, head)
        if stream is not None:
            self.fresh.append(stream)

    def new_stream(self, stream_id: int, window: int) -> HTTP3Stream:
        stream = HTTP3Stream(self, stream_id, self.quic.stream_window(stream_id), window)
        self.streams[stream_id] = stream
        return stream

    def open_stream(self, stream_id: int, head: HTTP2Head) -> HTTP3Stream:
        client = self.quic.client
        if client is not None and client[:2] != self.transport.client:
            self.transport.client = (client[0], client[1])
            self.transport.scope_template = None
            self.endpoint.moved()
        if head.complete:
            self.readers.pop(stream_id, None)
        stream = self.new_stream(stream_id, self.context.limits.h2_stream_window)
        stream.take_head(head)
        if not head.priority:  # what a client does not say is what RFC 9218 says it means
            stream.incremental = False
        return stream

    def answer_early(self, stream_id: int, head: HTTP2Head, status: int, complete: bool, reason: str = "") -> None:
        head.http_version = "3"
        if complete:
            self.readers.pop(stream_id, None)
        self.new_stream(stream_id, self.context.limits.h2_stream_window).answer_early(head, status, complete, reason)

    def trailers_received(self, stream: Any, fields: list[Field], reader: FrameReader) -> None:
        """The second HEADERS of a stream."""
        trailers = None if stream.request == TUNNEL else judge_trailers(fields)
        if stream.state < OPEN:
            self.fail(H3_FRAME_UNEXPECTED, "HEADERS after trailers")
        elif trailers is None or (stream.content_length >= 0 and stream.received != stream.content_length):
            self.fault(stream, wire.H3_MESSAGE_ERROR)
        else:
            stream.stream.trailers_received(trailers)
            stream.request_complete(b"")

    def body_received(self, stream_id: int, reader: FrameReader) -> None:
        """A piece of a request's body."""
        stream: Any = self.streams.get(stream_id)
        data = reader.payload
        size = len(data)
        if stream is None or stream.state < OPEN:
            self.fail(H3_FRAME_UNEXPECTED, "DATA outside of a message")
            return
        reader.overhead -= size
        self.body_octets += size
        stream.recv_window -= size
        stream.piece_received(data, reader.at_end)

    def withdraw(self, stream: Any) -> None:
        if stream in self.fresh:
            self.fresh.remove(stream)

    def stream_reset(self, stream_id: int) -> None:
        """RESET_STREAM: the peer sends no more of a stream."""
        if stream_id & 3:
            if stream_id in self.peer_streams and self.peer_streams[stream_id] in (0, 2, 3):
                self.fail(H3_CLOSED_CRITICAL_STREAM, "a stream that has to stay was reset")
            return
        reader = self.readers.pop(stream_id, None)
        if reader is None and not self.is_new(stream_id):
            return
        if reader is None or reader.blocked:
            self.cancel_section(stream_id)
        self.taken_back(stream_id)

    def sending_stopped(self, stream_id: int) -> None:
        """STOP_SENDING: the peer does not want the response. QUIC has reset it already."""
        if stream_id & 3:
            if stream_id in (self.control_id, self.encoder_id, self.decoder_id):
                self.fail(H3_CLOSED_CRITICAL_STREAM, "a stream that has to stay was stopped")
            return
        if stream_id in self.streams or stream_id in self.readers or self.is_new(stream_id):
            self.taken_back(stream_id)
        else:
            self.spend(GLITCHES)

    def taken_back(self, stream_id: int) -> None:
        """The peer has no use for a stream any more."""
        stream: Any = self.streams.get(stream_id)
        remote_done = stream is not None and stream.state < OPEN
        self.cut_stream(stream_id, H3_REQUEST_CANCELLED, False, remote_done)
        if stream is None:
            self.spend(RESETS)
            return
        early = stream.progress == NO_HEAD
        stream.drop()
        if early:
            self.spend(RESETS)
        self.close_if_done()
