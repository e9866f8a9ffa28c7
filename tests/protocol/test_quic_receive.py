"""What strangers send over QUIC: the work and the memory that it takes, and whose address counts."""

from __future__ import annotations

import gc
import itertools
import logging
import random
import socket
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.connection import QuicConnection, QuicNetworkPath
from aioquic.quic.packet import QuicErrorCode, pull_quic_header
from aioquic.quic.stream import QuicStreamReceiver
from tests.support.http3 import Client, Server, Stranger, request
from tests.support.live import echo, hello

from hypercorn.protocol.quic.connection import ACKS, FRAME_HANDLERS, MOST_LATE_STARTS, ServerConnection
from hypercorn.protocol.quic.endpoint import UNFINISHED
from hypercorn.protocol.quic.receive import GAPS, PACKETS, Frames, Octets, Receiver, Unacknowledged
from hypercorn.runtime.udp import UDPSocket
from hypercorn.wire.http3 import varint

# Releases of aioquic that keep no connection id for each path have other books of ids and of windows, too: those for
# Python 3.10 are the last of them.
WITH_PATH_IDS = pytest.mark.skipif(
    not hasattr(QuicNetworkPath(addr=("", 0)), "peer_cid"),
    reason="this aioquic keeps no connection id for each path",
)

LINES = 20000  # lines of Python for each kB: about 1 ms


# -- the places of aioquic that are taken


def test_the_places_in_aioquic() -> None:
    server = Server(hello)
    client = server.client()
    client.ask()
    quic = server.connection.quic
    assert type(getattr(quic, FRAME_HANDLERS)) is Frames
    assert all(type(stream.receiver) is Receiver for number, stream in quic._streams.items() if number & 3 in (0, 2))
    for name in ("_payload_received", "_handle_stream_frame", "_handle_crypto_frame", "_get_or_create_stream"):
        assert callable(getattr(QuicConnection, name)), name
    for name in ("handle_frame", "handle_reset", "starting_offset", "get_stop_frame", "stop"):
        assert callable(getattr(QuicStreamReceiver, name)), name


# -- octets in any order


@pytest.mark.parametrize("seed", range(40))
def test_octets_come_out_in_order(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice((40, 300, 2000))
    whole = bytes(chance.randrange(256) for _ in range(size))
    octets = Octets()
    there = bytearray(size)
    got = b""
    while len(got) < size:
        start = chance.randrange(size) if chance.random() < 0.9 else len(got)
        stop = min(size, start + chance.choice((0, 1, 2, 30, size)))
        try:
            octets.add(start, whole[start:stop])
            there[start:stop] = b"\x01" * (stop - start)
        except Unacknowledged:
            assert len(octets.runs) == GAPS
        if chance.random() < 0.3:
            got += octets.take()
            assert got == whole[: len(got)]
        assert octets.start == (there.index(0) if 0 in there else size)
        assert len(octets.runs) == len(there[octets.start :].replace(b"\0", b" ").split())
        assert len(octets.runs) <= GAPS
        if octets.start == size:
            got += octets.take()
    assert got == whole


def test_octets_from_the_end_are_not_moved() -> None:
    octets = Octets()
    for offset in range(2000, 0, -1):
        octets.add(offset, b"x")
    assert [type(run) for run in octets.runs] == [deque]
    octets.add(0, b"x")
    assert octets.take() == b"x" * 2001


def test_a_packet_with_a_gap_too_many_comes_again() -> None:
    server = Server(echo)
    client = server.client()
    for number in range(GAPS + 10):
        client.deliver(b"\x0e\x00" + varint(2 * number + 2) + b"\x01x")
    receiver = server.connection.quic._streams[0].receiver
    assert len(receiver.octets.runs) == GAPS
    assert receiver.highest_offset == 2 * GAPS + 1, "what was not kept counts"
    acknowledged = server.connection.quic._spaces[
        next(e for e in server.connection.quic._spaces if e.name == "ONE_RTT")
    ]
    assert sum(len(one) for one in acknowledged.ack_queue) >= GAPS
    assert not server.connection.quic.closing
    client.deliver(b"\x0e\x00\x00\x01x")  # the first gap closes: there is room for another
    client.deliver(b"\x0e\x00\x01\x01x")
    client.deliver(b"\x0e\x00" + varint(2 * GAPS + 2) + b"\x01x")
    assert receiver.highest_offset == 2 * GAPS + 3


@WITH_PATH_IDS
def test_a_stream_that_was_reset_does_not_hold_the_connections_window() -> None:
    server = Server(echo, h2_connection_window=131072, h2_stream_window=65536)
    client = server.client()
    for number in range(20):
        stream = client.send(request(b"/", b"POST"), end=False)
        server.settle(0.05)
        client.quic._streams[stream].sender.highest_offset = 60000  # octets that never come
        client.quic.reset_stream(stream, 0x10C)
        server.settle(0.05)
        assert client.closed is None, number
    assert client.ask(request(b"/", b"POST"), b"x" * 60000).body == b"x" * 60000


# -- work


def full(frames: Iterator[bytes], most: int, room: int = 1100) -> Iterator[bytes]:
    """Packets of so many frames."""
    packet = b""
    count = 0
    for one in frames:
        if len(packet) + len(one) > room or count >= most:
            yield packet + bytes(room - len(packet))
            packet, count = b"", 0
        packet += one
        count += 1
    yield packet + bytes(room - len(packet))


def each(make: Callable[[int], bytes], first: int = 0) -> Callable[[], Iterator[bytes]]:
    return lambda: map(make, itertools.count(first))


START = b"\x06\x00\x00"  # an empty CRYPTO frame
FRAME_TYPES: dict[str, Callable[[], Iterator[bytes]]] = {
    "PING": each(lambda _: b"\x01"),
    "PADDING and PING": each(lambda _: b"\x01\x00"),
    "ACK": each(lambda _: b"\x02\x00\x00\x00\x00"),
    "ACK with ranges": each(lambda _: b"\x02" + varint(1000) + b"\x00" + varint(490) + b"\x00" + bytes(980)),
    "RESET_STREAM": each(lambda _: b"\x04\x00\x00\x00"),
    "STOP_SENDING": each(lambda _: b"\x05\x00\x00"),
    "CRYPTO with gaps": each(lambda n: b"\x06" + varint(2 * n + 2) + b"\x01x"),
    "CRYPTO empty": each(lambda _: b"\x06\x00\x00"),
    "STREAM with gaps": each(lambda n: b"\x0e\x00" + varint(2 * n + 2) + b"\x01x"),
    "STREAM with gaps, many": each(lambda n: b"\x0e" + varint(4 * (n % 64)) + varint(2 * (n // 64) + 2) + b"\x01x"),
    "STREAM backwards": each(lambda n: b"\x0e\x00" + varint(60000 - n % 60000) + b"\x01x"),
    "STREAM octets": each(lambda n: b"\x0e\x02" + varint(n) + b"\x01!"),
    "STREAM again": each(lambda _: b"\x0e\x00\x02\x01x"),
    "STREAM empty": each(lambda _: b"\x0a\x00\x00"),
    "MAX_DATA": each(lambda n: b"\x10" + varint(2000000 + n)),
    "MAX_STREAM_DATA": each(lambda n: b"\x11" + varint(4 * (n % 64)) + varint(n)),
    "MAX_STREAMS": each(lambda n: b"\x12" + varint(n)),
    "DATA_BLOCKED": each(lambda n: b"\x14" + varint(n % 60)),
    "STREAM_DATA_BLOCKED": each(lambda n: b"\x15" + varint(4 * (n % 64)) + b"\x01"),
    "STREAMS_BLOCKED": each(lambda _: b"\x16\x01"),
    "NEW_CONNECTION_ID": each(lambda _: b"\x18\x01\x00\x01c" + bytes(16)),
    "PATH_CHALLENGE": each(lambda n: b"\x1a" + n.to_bytes(8, "big")),
    "PATH_RESPONSE": each(lambda n: b"\x1b" + n.to_bytes(8, "big")),
}
INITIAL_TYPES = ("PING", "PADDING and PING", "ACK", "CRYPTO with gaps", "CRYPTO empty")


def lines_of(call: Callable[[], object]) -> int:
    """Lines of Python that a call runs: a measure of its work that no other process changes."""
    count = 0

    def trace(_frame: Any, event: str, _arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    ("kind", "established"),
    [*((kind, True) for kind in FRAME_TYPES), *((kind, False) for kind in INITIAL_TYPES)],
)
def test_work_follows_the_octets(kind: str, established: bool) -> None:
    server = Server(hello)
    sender: Any = server.client() if established else Stranger(server)
    if not established:
        sender.deliver(START)
    work: list[int] = []
    sent: list[int] = []
    for packet in itertools.islice(full(FRAME_TYPES[kind](), 200), 24):
        data = sender.packet(packet)
        batch = [(data, sender.address)]
        sent.append(len(data))
        work.append(lines_of(lambda batch=batch: (server.endpoint.received(server.port, batch), server.runtime.run())))
    most = max(sum(work[at : at + 6]) / sum(sent[at : at + 6]) for at in range(0, 24, 6))
    assert most * 1000 < LINES, work
    assert sum(work[12:]) < 1.3 * sum(work[:12]), f"it grows: {work}"
    assert not server.log.errors


@pytest.mark.parametrize("established", [True, False], ids=["1-RTT", "Initial"])
def test_a_packet_of_too_many_frames_ends_its_connection(established: bool) -> None:
    server = Server(hello)
    sender: Any = server.client() if established else Stranger(server)
    other = server.client()
    sender.deliver(START + b"\x01" * 900)
    quic = next(peer for peer in server.endpoint.peers if peer.quic.closing).quic
    assert quic._close_event.error_code == QuicErrorCode.PROTOCOL_VIOLATION
    assert other.ask().body == b"hello"


def test_streams_that_are_taken_back_at_once() -> None:
    server = Server(hello)
    client = server.client()
    client.deliver(
        b"".join(b"\x04" + varint(4 * n) + b"\x41\x0c\x00\x05" + varint(4 * n) + b"\x41\x0c" for n in range(99))
    )
    assert not server.connection.quic.closing, "a client that turns to another page was cut off"


def test_packets_beyond_those_that_anybody_needs_are_padding() -> None:
    server = Server(hello)
    sender = Stranger(server)
    sender.deliver(START)
    (quic,) = [peer.quic for peer in server.endpoint.peers]
    packets = [sender.packet(b"\x01" + bytes(40)) for _ in range(20)]
    packets = [data[: pull_quic_header(Buffer(data=data)).packet_length] for data in packets]
    data = b"".join(packets)
    server.endpoint.received(server.port, [(data, sender.address)])
    space = quic._spaces[next(epoch for epoch in quic._spaces if epoch.name == "INITIAL")]
    assert sum(len(one) for one in space.ack_queue) == 1 + PACKETS
    assert quic._network_paths[0].bytes_received == 1200 + len(data), (
        "they count for what may be sent to an unproven address"
    )


@pytest.mark.parametrize(("kind", "more"), [(b"\x02", b""), (b"\x03", bytes(3))], ids=["ACK", "ACK_ECN"])
@pytest.mark.parametrize("count", [1, 5])
def test_of_many_ranges_the_newest_count(kind: bytes, more: bytes, count: int) -> None:
    server = Server(hello)
    client = server.client()
    quic = server.connection.quic
    taken: list[Any] = []
    own = quic._loss.on_ack_received
    quic._loss.on_ack_received = lambda **said: (taken.append(said["ack_rangeset"]), own(**said))
    frame = kind + varint(1000) + b"\x05" + varint(200) + b"\x00" + bytes(400) + more
    client.deliver(frame * count + b"\x01" if count == 1 else frame * 2 + b"\x01")
    assert not quic.closing
    assert [(len(one), one.bounds()) for one in taken] == [(65, range(872, 1001))] * min(count, 2)
    client.deliver((kind + b"\x01\x00\x00\x00" + more) * 8 + b"\x01")
    assert len(taken) == min(count, 2) + ACKS
    client.deliver(kind + varint(1000) + b"\x05" + varint(500) + b"\x00")
    assert quic.closing


def test_an_id_that_was_not_told_is_not_given_back() -> None:
    server = Server(hello)
    client = server.client()
    client.deliver(b"".join(b"\x19" + varint(number) for number in range(1, 40)))
    (quic,) = [peer.quic for peer in server.endpoint.peers]
    assert quic._close_event.error_code == QuicErrorCode.PROTOCOL_VIOLATION


@WITH_PATH_IDS
def test_ids_of_the_past_are_forgotten() -> None:
    server = Server(hello)
    client = server.client()
    for _ in range(60):
        client.quic.change_connection_id()
        assert client.ask().body == b"hello"
    assert len(server.connection.quic._peer_cid_sequence_numbers) <= 10


# -- handshakes


def hello_of(client: Client) -> bytes:
    """The ClientHello that a client wants to send."""
    client.quic.datagrams_to_send(client.server.now())
    stream = client.quic._crypto_streams[
        next(epoch for epoch in client.quic._crypto_streams if epoch.name == "INITIAL")
    ]
    return bytes(stream.sender._buffer)


@pytest.mark.parametrize("order", ["octets", "backwards", "shuffled"])
def test_a_client_hello_in_pieces(order: str) -> None:
    server = Server(hello)
    client = server.connect()
    message = hello_of(client)
    server.clients.clear()
    sender = Stranger(server)
    sender.source = client.quic.host_cid
    size = 1 if order == "octets" else 20
    pieces = [(at, message[at : at + size]) for at in range(0, len(message), size)]
    if order == "backwards":
        pieces.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(pieces)
    frames = [b"\x06" + varint(at) + varint(len(piece)) + piece + b"\x01\x00" for at, piece in pieces]
    for packet in full(iter(frames), 60):
        sender.deliver(packet)
    (quic,) = [peer.quic for peer in server.endpoint.peers]
    assert quic.tls.state.name == "SERVER_EXPECT_FINISHED"


@pytest.mark.parametrize(
    "frame",
    [b"\x06" + varint(16384) + b"\x01x", b"\x06\x00\x04\x01\x01\x00\x00", b"\x06" + varint(524286) + b"\x01x"],
    ids=["window", "message", "far"],
)
def test_a_handshake_that_is_too_long(frame: bytes) -> None:
    server = Server(hello)
    Stranger(server).deliver(frame)
    (quic,) = [peer.quic for peer in server.endpoint.peers]
    assert quic._close_event.error_code == QuicErrorCode.CRYPTO_BUFFER_EXCEEDED


# -- memory


def kept(call: Callable[[], object]) -> int:
    """Octets that a call leaves behind."""
    gc.collect()
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        call()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_an_octet_far_away_takes_no_room() -> None:
    server = Server(echo)
    client = server.client()
    client.ask()
    frames = b"".join(b"\x0e" + varint(4 * number) + varint(65000) + b"\x01x" for number in range(1, 64))
    data = client.packet(frames)
    size = kept(lambda: server.endpoint.received(server.port, [(data, client.address)]))
    assert size < 30000


def test_a_stream_far_ahead_makes_no_others() -> None:
    """It opens those below it (RFC 9000 section 2.1), which count and can be used, but take no room yet."""
    server = Server(echo)
    client = server.client()
    client.ask()
    quic = server.connection.quic
    before = len(quic._streams)
    data = client.packet(b"\x0a" + varint(4 * 80) + b"\x01\x01")
    size = kept(lambda: server.endpoint.received(server.port, [(data, client.address)]))
    assert len(quic._streams) == before + 1
    assert quic._local_max_streams_bidi.used == 81
    assert size < 40000
    for _ in range(3):
        client.ask()
    assert quic._local_max_streams_bidi.used == 81
    assert len(quic.skipped) == 76


def test_streams_whose_heads_are_late() -> None:
    """Octets of a few streams may overtake their first ones; packets with more come again."""
    server = Server(echo)
    client = server.client()
    client.ask()
    quic = server.connection.quic
    space = quic._spaces[tls.Epoch.ONE_RTT]
    before = len(quic._streams)

    def taken(frame: bytes) -> bool:
        number = client.quic._packet_number
        client.deliver(frame)
        return number in space.ack_queue

    for number in range(4, 4 + MOST_LATE_STARTS):
        assert taken(b"\x0e" + varint(4 * number) + b"\x05\x01x")
    for number in range(40, 50):
        assert not taken(b"\x0e" + varint(4 * number) + b"\x05\x01x")
    assert len(quic._streams) == before + MOST_LATE_STARTS
    assert taken(b"\x0e\x10\x00\x05\x01\x40\x40ab"), "the head of one of them"
    assert taken(b"\x0e" + varint(4 * 40) + b"\x05\x01x"), "so there is room for another"
    assert not taken(b"\x0e" + varint(4 * 41) + b"\x05\x01x")
    assert taken(b"\x0a" + varint(4 * 41) + b"\x01\x01"), "first octets are always taken"
    assert not quic.closing


def test_windows_and_ends_before_the_octets_of_streams() -> None:
    """A client may say how much it takes on a stream, or that it takes nothing, before it sends its first octets."""
    server = Server(echo)
    client = server.client()
    quic = server.connection.quic
    for first, before in ((0, b"\x11%b\x7f\xff"), (40, b"\x05%b\x05"), (80, b"\x0e%b\x00\x00")):
        numbers = [varint(4 * number) for number in range(first, first + MOST_LATE_STARTS + 6)]
        sent = client.quic._packet_number
        client.deliver(b"".join(before % number + b"\x0a" + number + b"\x01\x01" for number in numbers))
        assert sent in quic._spaces[tls.Epoch.ONE_RTT].ack_queue
    assert not quic.closing


def test_a_handshake_that_does_not_end_takes_little() -> None:
    server = Server(hello, quic_retry_threshold=1000)
    strangers = [Stranger(server, ("10.1.1.1", number)) for number in range(1, 16)]
    data = [(one.packet(b"\x06" + varint(16000) + b"\x01x"), one.address) for one in strangers]
    server.endpoint.received(server.port, data[:1])
    size = kept(lambda: server.endpoint.received(server.port, data[1:]))
    assert len(server.endpoint.peers) == 15
    assert size / 14 < 50000


def test_many_of_them_take_no_more_than_what_was_sent() -> None:
    server = Server(hello, quic_retry_threshold=1000)
    strangers = [Stranger(server, ("10.1.1.1", number)) for number in range(1, 300)]
    data = [(one.packet(b"\x06" + varint(16000) + b"\x01x"), one.address) for one in strangers]
    server.endpoint.received(server.port, data[:20])
    size = kept(lambda: server.endpoint.received(server.port, data[20:]))
    assert len(server.endpoint.peers) == UNFINISHED
    assert len(server.endpoint.flights.waiting) == 299 - UNFINISHED
    assert size / 279 < 2500
    server.settle(6)
    assert not server.endpoint.flights.waiting, "they are waited for without end"
    assert server.client().ask().body == b"hello"


def test_a_client_hello_in_two_datagrams_while_many_are_waited_for() -> None:
    server = Server(hello, quic_retry_threshold=1000)
    for number in range(1, 40):
        Stranger(server, ("10.1.1.1", number)).deliver(b"\x06" + varint(16000) + b"\x01x")
    client = server.connect()
    message = hello_of(client)
    server.clients.clear()
    sender = Stranger(server)
    sender.source = client.quic.host_cid
    junk = bytearray(sender.packet(START))
    junk[40] ^= 1
    server.endpoint.received(server.port, [(bytes(junk), sender.address)])
    assert len(server.endpoint.flights.waiting) == 39 - UNFINISHED, "what cannot be decrypted is kept"
    sender.deliver(b"\x01\x00\x06" + varint(300) + varint(len(message) - 300) + message[300:] + bytes(9))
    assert len(server.endpoint.peers) == UNFINISHED
    sender.deliver(b"\x06\x00" + varint(300) + message[:300])
    assert len(server.endpoint.peers) == UNFINISHED + 1
    quic = next(peer.quic for peer in server.endpoint.peers if peer.quic.path == sender.address)
    assert quic.tls.state.name == "SERVER_EXPECT_FINISHED"
    other = server.connect(address=("10.7.7.7", 77)).start()
    assert other.ask().body == b"hello"


@pytest.mark.parametrize("place", ["stored", "last", "opened"])
def test_a_fault_in_the_first_datagrams_ends_the_connection(place: str, monkeypatch: Any) -> None:
    """A fault of this server in a datagram that waited for the rest of its ClientHello, in that rest, and where the
    connection is announced."""
    server = Server(hello, quic_retry_threshold=1000)
    for number in range(1, 40):
        Stranger(server, ("10.1.1.1", number)).deliver(b"\x06" + varint(16000) + b"\x01x")
    before = set(server.endpoint.peers)
    message = hello_of(server.connect())
    server.clients.clear()
    sender = Stranger(server)
    sender.deliver(b"\x06" + varint(300) + varint(len(message) - 300) + message[300:])
    assert server.endpoint.peers == before

    usual, taken = ServerConnection.receive_datagram, []

    def receive_datagram(self: Any, *options: Any) -> None:
        taken.append(1)
        if len(taken) == {"stored": 1, "last": 2}.get(place):
            raise ValueError("a fault")
        usual(self, *options)

    def opened(connection: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(ServerConnection, "receive_datagram", receive_datagram)
    if place == "opened":
        server.endpoint.opened = opened
    sender.deliver(b"\x06\x00" + varint(300) + message[:300])
    assert not server.endpoint.half_open - before
    assert not any(peer.open for peer in server.endpoint.peers - before)
    assert len(server.log.errors) == 1
    assert "ended in an internal error" in server.log.errors[0]
    server.settle(4)
    assert server.endpoint.peers <= before
    assert set(server.endpoint.table.values()) <= before


def test_a_first_packet_that_is_wrong_is_answered_all_the_same() -> None:
    server = Server(hello, quic_retry_threshold=1000)
    for number in range(1, 40):
        Stranger(server, ("10.1.1.1", number)).deliver(b"\x06" + varint(16000) + b"\x01x")
    before = len(server.endpoint.flights.waiting)
    for frames in (b"\x01", b"\x1e", b"\x06\x00\x04\x01\xff\xff\xff", b"\x06" + varint(1 << 20) + b"\x01x"):
        sender = Stranger(server, ("10.5.5.5", 5))
        server.port.sent.clear()
        sender.deliver(frames)
        assert server.port.sent, frames
    assert len(server.endpoint.flights.waiting) == before


@pytest.mark.parametrize("how", ["client", "server", "unfinished", "fault", "running"])
def test_an_ended_connection_leaves_no_cycle(how: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if how == "running":
            await receive()
            await receive()
        await hello(scope, receive, send)

    server = Server(app)
    gc.collect()
    gc.disable()
    try:
        if how == "unfinished":
            Stranger(server).deliver(START)
        else:
            client = server.client()
            if how == "running":
                client.send(request())
                server.settle()
            else:
                client.ask()
        (peer,) = server.endpoint.peers
        gone = [weakref.ref(one) for one in (peer.connection, peer.quic, peer.quic._loss)]
        if how == "client" or how == "running":
            client.quic.close()
        elif how == "server":
            peer.connection.close()
        elif how == "fault":
            peer.internal_error(ValueError("a fault"))
        del peer
        server.settle(40)
        server.clients.clear()
        server.ended.clear()
        server.log.causes.clear()
        assert not server.endpoint.peers
        assert [one() for one in gone] == [None] * 3
    finally:
        gc.enable()


# -- addresses


def test_only_an_address_that_answers_is_the_clients() -> None:
    server = Server(hello)
    client = server.client()
    client.ask()
    moved: list[Any] = []
    server.endpoint.moved = lambda connection: moved.append(connection.transport.client)
    real, client.address = client.address, ("10.99.0.1", 99)  # nothing that is sent there reaches the client
    client.send(request(b"/forged"))
    server.exchange()
    client.address = real
    server.settle()
    assert [record[0]["path"] for record in server.records] == ["/", "/forged"]
    assert [record[0]["client"] for record in server.records] == [real, real]
    assert not moved
    client.address = ("10.99.0.2", 100)  # a client that has moved answers
    client.ask()
    client.ask()
    assert server.records[-1][0]["client"] == ("10.99.0.2", 100)
    assert moved == [("10.99.0.2", 100)]


def test_what_aioquic_warns_of_is_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(hello)
    with caplog.at_level(logging.DEBUG):
        sender = Stranger(server)
        sender.deliver(b"\x01")  # the first packet has to have a CRYPTO frame
        server.client().deliver(b"\x3f")
        server.settle()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not server.log.errors
    assert len(server.log.debugs) == 2
    assert all(line.startswith("QUIC connection ") for line in server.log.debugs)


# -- turns


def test_the_loop_gets_its_turn_between_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("hypercorn.runtime.udp.perf_counter", lambda: clock[0])
    used: list[bytes] = []

    class Slow:
        """Each datagram costs it a millisecond."""

        def received(self, _port: Any, batch: Any) -> None:
            for data, _ in batch:
                clock[0] += 0.001
                used.append(data)

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    endpoint: Any = Slow()
    port = UDPSocket(sock, 0, endpoint)
    with sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(20):
            sender.sendto(b"%d" % number, sock.getsockname())
        port.readable()
        assert len(used) <= 3, "one burst holds the loop"
        for _ in range(20):
            port.readable()
    assert used == [b"%d" % number for number in range(20)]
