"""The QUIC endpoint in memory: who comes in, whose a datagram is, timers, and where aioquic is overridden."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from aioquic._buffer import Buffer
from aioquic.h3.connection import H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from tests.support.http3 import Client, Server, certificate, request
from tests.support.live import body_of, echo, hello, respond

from hypercorn.net.forwarding import DatagramForwarder, pack, unpack
from hypercorn.protocol.http3.states import HANDSHAKE
from hypercorn.protocol.quic.ids import ID_BYTES, ConnectionIds
from hypercorn.runtime.udp import ForwardedDatagrams

ADDRESS = ("10.9.9.9", 999)


def initial(client: Client) -> bytes:
    """The first datagram of a client that has not started."""
    return client.quic.datagrams_to_send(client.server.now())[0][0]  # type: ignore[no-any-return]


def packet_type(data: bytes) -> Any:
    return pull_quic_header(Buffer(data=data), host_cid_length=8).packet_type


def packet_types(data: bytes) -> set[Any]:
    """Those of all packets in a datagram."""
    found = set()
    while data and data[0] & 0x40:  # what follows is padding
        header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        found.add(header.packet_type)
        data = data[header.packet_length :]
    return found


def test_h3_13_nothing_is_answered_by_more_than_three_times_its_size() -> None:
    server = Server(hello)
    client = server.connect()
    data = initial(client)
    client.lose = lambda _: True
    server.endpoint.received(server.port, [(data, client.address)])
    server.settle(2)
    server.advance(5)
    assert 0 < sum(client.sizes) + sum(len(sent) for sent, _ in server.port.sent) <= 3 * len(data)


def test_h3_13_retry_under_load() -> None:
    server = Server(hello, quic_retry_threshold=5)
    idle = [server.connect(address=("10.1.0.1", 2000 + number)) for number in range(5)]
    for client in idle:
        server.endpoint.received(server.port, [(initial(client), client.address)])
        client.lose = lambda _: True
    assert len(server.endpoint.half_open) == 5
    server.port.sent.clear()
    flood = [server.connect(address=("10.2.0.1", 3000 + number)) for number in range(50)]
    for client in flood:
        server.endpoint.received(server.port, [(initial(client), client.address)])
        client.lose = lambda _: True
    assert len(server.endpoint.peers) == 5, "state was kept for an address that nobody has proven"
    assert {packet_type(data) for data, _ in server.port.sent} == {QuicPacketType.RETRY}
    assert len(server.port.sent) == 50
    server.port.sent.clear()
    client = server.client(address=("10.3.0.1", 4000))
    assert client.ask().body == b"hello"
    assert client.quic._retry_count == 1
    server.settle(15)
    assert not server.endpoint.half_open, "handshakes that nobody goes on with stay"


def test_tokens_are_for_one_address_one_id_and_a_short_time() -> None:
    ids = ConnectionIds()
    token = ids.new_token(b"original", ADDRESS, b"retry id", 1000.0)
    assert ids.read_token(token, ADDRESS, b"retry id", 1010.0) == b"original"
    assert ids.read_token(token, ("10.9.9.8", 999), b"retry id", 1010.0) is None
    assert ids.read_token(token, ("10.9.9.9", 998), b"retry id", 1010.0) is None
    assert ids.read_token(token, ADDRESS, b"other id", 1010.0) is None
    assert ids.read_token(token, ADDRESS, b"retry id", 1050.0) is None
    assert ConnectionIds().read_token(token, ADDRESS, b"retry id", 1010.0) is None
    for cut in range(len(token)):
        assert ids.read_token(token[:cut], ADDRESS, b"retry id", 1010.0) is None


def test_more_connections_than_allowed_are_refused() -> None:
    server = Server(hello, quic_max_connections=2)
    clients = [server.client() for _ in range(2)]
    third = server.connect()
    server.settle(1)
    assert third.closed is not None
    assert third.closed.error_code == 2  # CONNECTION_REFUSED
    assert clients[0].ask().body == b"hello"
    assert len(server.endpoint.peers) == 2


def test_other_versions_are_negotiated() -> None:
    server = Server(hello)
    client = server.connect()
    data = bytearray(initial(client))
    data[1:5] = b"\x1a\x2a\x3a\x4a"
    server.endpoint.received(server.port, [(bytes(data), ADDRESS), (bytes(data[:600]), ADDRESS)])
    (answer,) = [sent for sent, _ in server.port.sent]
    assert packet_type(answer) == QuicPacketType.VERSION_NEGOTIATION
    assert len(answer) < len(data)
    server.port.sent.clear()
    server.endpoint.received(server.port, [(answer + bytes(1200), ADDRESS)])
    assert not server.port.sent, "a negotiation was answered by another"


@pytest.mark.parametrize("version", [0x00000001, 0x6B3343CF], ids=["v1", "v2"])
def test_both_versions(version: int) -> None:
    server = Server(hello)
    assert server.client(supported_versions=[version]).ask().body == b"hello"


def test_q_h3_2_malformed_datagrams_end_nothing() -> None:
    server = Server(hello)
    client = server.client()
    good = initial(server.connect())
    chance = random.Random(7)
    batch = [b"", b"\x00", b"\xff", bytes(1200), b"\xc0" * 1200, good[:1199], b"\xc0\x00\x00\x00\x01\xff" + bytes(1200)]
    for _ in range(400):
        data = bytearray(good if chance.random() < 0.5 else chance.randbytes(chance.randrange(1, 1500)))
        for _ in range(chance.randrange(1, 10)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        batch.append(bytes(data))
    own = list(server.endpoint.table)
    for _ in range(400):
        head = bytes((chance.choice((0x40, 0xC0)),)) if chance.random() < 0.5 else b"\x5f"
        batch.append(head + chance.choice(own) + chance.randbytes(chance.randrange(1, 200)))
    server.endpoint.received(server.port, [(data, ADDRESS) for data in batch])
    server.port.sent.clear()
    assert client.ask().body == b"hello"
    assert not server.log.errors


def test_a_fault_of_the_server_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(hello)
    other, client = server.client(), server.client()
    peer = next(peer for peer in server.endpoint.peers if peer.quic.path == client.address)

    def broken(*_: Any) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(peer.connection, "handle", broken)
    client.send(request())
    server.settle(1)
    assert server.log.errors == ["An HTTP/3 connection ended in an internal error"]
    assert client.closed is not None
    assert other.ask().body == b"hello"
    assert len(server.endpoint.peers) == 1


def test_packets_of_connections_that_are_gone_are_answered_by_a_reset() -> None:
    server = Server(hello)
    client = server.client()
    client.ask()
    token = server.endpoint.ids.reset_token(client.quic._peer_cid.cid)
    server.endpoint.close()
    client.quic.send_ping(1)
    (data, _), *_ = client.quic.datagrams_to_send(server.now())
    data += bytes(60)
    server.port.sent.clear()
    server.endpoint.received(server.port, [(data, ADDRESS)])
    (reset,) = [sent for sent, _ in server.port.sent]
    assert reset.endswith(token)
    assert 21 <= len(reset) < len(data)
    assert reset[0] & 0xC0 == 0x40
    server.endpoint.received(server.port, [(data, ADDRESS)] * 1000)
    assert len(server.port.sent) < 250, "resets are not limited"


def test_h3_05_one_timer_however_many_connections() -> None:
    server = Server(hello, keep_alive_timeout=1000.0)
    for _ in range(30):
        server.client().ask()
    assert len(server.endpoint.heap) <= 60
    assert len(server.pending()) <= 2, "one of QUIC, one of the deadlines"


def test_h3_05_h3_08_a_large_answer_and_small_ones_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/large":
            await respond(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(80):
            await send({"type": "http.response.body", "body": b"x" * 262144, "more_body": True})
        await send({"type": "http.response.body"})

    server = Server(app)
    client = server.client(max_data=1 << 25, max_stream_data=1 << 25)
    large = client.send(request(b"/large"))
    while not client.answer(large).over:
        small = client.send(request())
        server.settle(0.01)
        assert client.answer(small).over
    assert len(client.answer(large).body) == 80 * 262144


def test_migration() -> None:
    server = Server(echo)
    client = server.client()
    client.ask()
    client.address = ("10.77.0.1", 7777)
    client.quic.change_connection_id()
    assert client.ask(request(b"/", b"POST"), b"x" * 100000).body == b"x" * 100000
    assert client.ask().status == 200
    assert server.records[-1][0]["client"] == ("10.77.0.1", 7777)
    client.address = ("10.77.0.2", 7778)  # a NAT that forgot: the same id from elsewhere
    assert client.ask(request(b"/", b"POST"), b"y" * 1000).body == b"y" * 1000
    assert len(server.endpoint.peers) == 1
    for _ in range(20):
        client.quic.change_connection_id()
        assert client.ask().status == 200
    assert len(server.endpoint.table) <= 10, "retired ids are kept"


def test_h3_12_long_datagrams_only_after_a_probe() -> None:
    server = Server(hello)
    client = server.client()
    assert 1452 in client.sizes
    probe = client.sizes.index(1452)
    assert all(size <= 1200 for size in client.sizes[:probe])
    assert server.connection.quic._max_datagram_size == 1452


def test_h3_12_a_path_that_takes_no_long_datagrams() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"x" * 300000)

    server = Server(app)
    client = server.connect(max_data=1 << 22, max_stream_data=1 << 22)
    client.lose = lambda data: len(data) > 1200
    client.start()
    stream = client.send(request())
    server.settle(10)
    assert len(client.answer(stream).body) == 300000
    assert client.sizes.count(1452) <= 3


def test_h3_12_a_path_that_becomes_narrow() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"x" * 300000)

    server = Server(app)
    client = server.client(max_data=1 << 22, max_stream_data=1 << 22)
    client.lose = lambda data: len(data) > 1200
    stream = client.send(request())
    server.settle(30)
    assert len(client.answer(stream).body) == 300000


def test_a_client_that_takes_short_datagrams_gets_them() -> None:
    server = Server(hello)
    limit = 1300
    client = server.client(parameters=b"\x03\x02" + (limit | 0x4000).to_bytes(2, "big"))
    assert client.ask().body == b"hello"
    assert max(client.sizes) <= limit
    assert server.connection.quic.mtu.peer_limit == limit


def ticket() -> Any:
    """What a server that takes early data gives a client for its next visit; aioquic's own does."""
    tickets: list[Any] = []
    settings = QuicConfiguration(is_client=False, alpn_protocols=["h3"], max_datagram_size=1200)
    settings.certificate, settings.private_key = certificate()
    asking = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
    asking.verify_mode = 0
    client = QuicConnection(configuration=asking, session_ticket_handler=tickets.append)
    client.connect(ADDRESS, 0.0)
    server: Any = None
    for turn in range(5):
        for data, _ in client.datagrams_to_send(turn / 100):
            if server is None:
                wanted = pull_quic_header(Buffer(data=data), host_cid_length=8).destination_cid
                server = QuicConnection(
                    configuration=settings,
                    original_destination_connection_id=wanted,
                    session_ticket_handler=lambda _: None,
                )
            server.receive_datagram(data, ADDRESS, turn / 100)
        for data, _ in server.datagrams_to_send(turn / 100):
            client.receive_datagram(data, ADDRESS, turn / 100)
    assert tickets[0].max_early_data_size
    return tickets[0]


def test_nothing_is_served_before_the_handshake() -> None:
    """No early data (RFC 9001 section 4.6): who sends some all the same is served once, by what comes after it."""
    bodies: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert server.connection.state != HANDSHAKE
        bodies.append(await body_of(receive))
        await respond(send)

    server = Server(app)
    client = server.connect(session_ticket=ticket())
    given: list[Any] = []
    client.quic._session_ticket_handler = given.append
    client.http, client.bare = H3Connection(client.quic), True
    stream = client.send(request(b"/", b"POST"), b"once")
    server.settle(3)
    assert any(QuicPacketType.ZERO_RTT in packet_types(data) for data in client.sent)
    assert not client.quic.tls.early_data_accepted
    assert client.answer(stream).over
    assert bodies == [b"once"]
    assert [one.max_early_data_size for one in given] == [None], "it could come again with early data"


def test_a_port_that_takes_nothing_for_a_while() -> None:
    server = Server(echo)
    client = server.client()
    server.port.blocked = True
    stream = client.send(request(b"/", b"POST"), b"x" * 5000)
    server.settle(0.2)
    assert not client.answer(stream).heads
    server.port.blocked = False
    server.endpoint.unblocked()
    server.settle(1)
    assert client.answer(stream).body == b"x" * 5000


def test_ids_name_their_worker() -> None:
    ids = ConnectionIds(3, b"k" * 32)
    fresh = ids.new()
    assert len(fresh) == ID_BYTES
    assert ids.owner(fresh) == 3
    assert ids.owner(b"short") == -1
    assert ConnectionIds(1, b"k" * 32).reset_token(fresh) == ids.reset_token(fresh)


@pytest.mark.parametrize("address", [("10.0.0.1", 443), ("fe80::1", 65535, 7, 2)])
def test_forwarded_datagrams_keep_their_address(address: Any) -> None:
    assert unpack(pack(2, address, b"data")) == (2, address, b"data")
    for data in (b"", b"abc", pack(0, address, b"")[:-1]):
        with pytest.raises(ValueError):
            unpack(data)


class TwoWorkers:
    """Two servers at one address. `steer` says which of them the kernel gives a datagram to."""

    def __init__(self) -> None:
        key = os.urandom(32)
        self.serving = [0, 1]
        self.places = [DatagramForwarder(index, key, lambda: self.serving) for index in range(2)]
        self.servers = []
        self.inboxes = []
        for place in self.places:
            place.open()
            server = Server(hello, place)
            ports: Any = [server.port]
            self.servers.append(server)
            self.inboxes.append(ForwardedDatagrams(place, ports, server.endpoint))
        self.steer = 0

    def settle(self, client: Client) -> None:
        """Carries datagrams until nobody has any."""
        for _ in range(60):
            now = client.server.now()
            for data, _ in client.quic.datagrams_to_send(now):
                chosen = self.servers[self.steer]
                chosen.endpoint.received(chosen.port, [(data, client.address)])
            for inbox, server in zip(self.inboxes, self.servers, strict=True):
                inbox.readable()
                server.runtime.run()
                for data, _ in server.port.sent:
                    client.quic.receive_datagram(data, ("127.0.0.1", 443), now)
                server.port.sent.clear()
            client.read()
            for server in self.servers:
                server.advance(0.001)

    def close(self) -> None:
        for place in self.places:
            place.close()


def test_h3_06_q_p_16_packets_reach_the_worker_that_owns_them() -> None:
    workers = TwoWorkers()
    try:
        for owner in (0, 1):
            workers.steer = owner
            client = Client(workers.servers[owner])
            workers.settle(client)
            assert client.connected
            first = client.send(request())
            workers.settle(client)
            assert client.answer(first).body == b"hello"
            workers.steer = 1 - owner  # the client has moved, and the kernel gives its packets to the other one
            client.address = ("10.200.0.1", 4321)
            client.quic.change_connection_id()
            second = client.send(request())
            workers.settle(client)
            assert client.answer(second).body == b"hello"
            client.send(request())  # the client has shown by now that it receives at its new address
            workers.settle(client)
            assert workers.servers[owner].records[-1][0]["client"] == ("10.200.0.1", 4321)
        assert [len(server.endpoint.peers) for server in workers.servers] == [1, 1]
    finally:
        workers.close()


def test_a_worker_that_drains_passes_new_clients_on() -> None:
    workers = TwoWorkers()
    try:
        old = Client(workers.servers[0])
        workers.settle(old)
        workers.serving = [1]
        workers.servers[0].context.terminating = True
        new = Client(workers.servers[0], ("10.50.0.1", 5050))
        workers.settle(new)
        assert new.connected
        for client in (new, old):
            stream = client.send(request())
            workers.settle(client)
            assert client.answer(stream).body == b"hello"
        assert [len(server.endpoint.peers) for server in workers.servers] == [1, 1]
    finally:
        workers.close()


def test_an_inbox_takes_only_what_a_worker_of_this_server_sent() -> None:
    key = os.urandom(32)
    places = [DatagramForwarder(index, key) for index in range(2)]
    try:
        assert not places[0].forward(1, 0, ADDRESS, b"x"), "it has no inbox yet"
        for place in places:
            place.open()
        assert places[0].forward(1, 0, ADDRESS, b"data")
        assert places[1].inbox is not None
        sealed = places[1].inbox.recv(2000)
        assert places[1].received(sealed) == (0, ADDRESS, b"data")
        for wrong in (b"", sealed[:10], sealed[:-1], bytes(16) + sealed[16:]):
            with pytest.raises(ValueError):
                places[1].received(wrong)
        for _ in range(20000):  # it is full at some time, which is no error
            places[0].forward(1, 0, ADDRESS, os.urandom(100))
        places[1].close()
        assert not places[0].forward(1, 0, ADDRESS, b"x")
        assert not places[0].forward(0, 0, ADDRESS, b"x"), "to itself"
    finally:
        for place in places:
            place.close()
