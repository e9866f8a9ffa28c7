"""Downloads over HTTP/3 in memory: runs of full packets, and how long datagrams may be (RFC 8899)."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from aioquic.tls import Epoch
from tests.support.http3 import Client, Server, request
from tests.support.live import echo, hello

import hypercorn.protocol.quic.connection as quic_server
from hypercorn.protocol.quic.bulk import KNOWN
from hypercorn.wire.http3 import varint

grown_up = pytest.mark.skipif(not KNOWN, reason="this aioquic writes every packet itself")
# A client that takes everything, and a server that keeps it.
WIDE = {"max_data": 1 << 24, "max_stream_data": 1 << 24, "idle_timeout": 1000.0}
PATIENT: Any = {"keep_alive_timeout": 1000.0, "quic_idle_timeout": 1000.0}


async def download(scope: Any, receive: Any, send: Any) -> None:
    """As many octets as the path says, no two pieces alike."""
    size = int(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for at in range(0, size, 65536):
        await send({"type": "http.response.body", "body": body(size)[at : at + 65536], "more_body": True})
    await send({"type": "http.response.body"})


@cache
def body(size: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


def check_books(server: Server) -> None:
    """Nothing is on its way, and everything was counted once."""
    quic = server.connection.quic
    assert quic._loss.bytes_in_flight == 0
    # A packet of acknowledgements alone stays in the books until a later one is acknowledged: nobody waits for it.
    sent = quic._spaces[Epoch.ONE_RTT].sent_packets.values()
    assert not [packet for packet in sent if packet.in_flight or packet.is_ack_eliciting]
    assert quic._spaces[Epoch.ONE_RTT].ack_eliciting_in_flight == 0


@pytest.mark.parametrize("aioquic_alone", [False, True])
def test_what_arrives_is_what_was_sent(monkeypatch: pytest.MonkeyPatch, aioquic_alone: bool) -> None:
    if aioquic_alone:
        monkeypatch.setattr(quic_server, "bulk", lambda connection, now: None)
    server = Server(download, **PATIENT)
    client = server.client(**WIDE)
    for size in (10, 3000, 100_001, 300_000):
        assert client.ask(request(b"/%d" % size)).body == body(size)
    sent = server.connection.quic._packet_number
    assert server.connection.quic.mtu.streamed > sent / 2 or aioquic_alone or not KNOWN
    check_books(server)


@pytest.mark.parametrize("every", [pytest.param(3, marks=grown_up), 20, 101])
def test_what_was_lost_comes_again(every: int) -> None:
    server = Server(download, **PATIENT)
    client = server.client(**WIDE)
    count = 0

    def lose(_: bytes) -> bool:
        nonlocal count
        count += 1
        return count % every == 0

    client.lose = lose
    stream = client.send(request(b"/400000"))
    server.settle(30)
    assert client.answer(stream).body == body(400_000)
    assert client.answer(stream).over
    client.lose = lambda _: False
    server.settle(5)
    check_books(server)


def test_streams_take_turns() -> None:
    server = Server(download, **PATIENT)
    client = server.client(**WIDE)
    streams = [client.send(request(b"/200000", b"GET", (b"priority", b"u=3, i"))) for _ in range(4)]
    while not any(client.answer(stream).over for stream in streams):
        server.settle(0.001)
    assert min(len(client.answer(stream).body) for stream in streams) > 120_000
    server.settle(5)
    assert all(client.answer(stream).body == body(200_000) for stream in streams)
    assert server.connection.quic.mtu.streamed > 100 or not KNOWN
    check_books(server)


def test_windows_of_the_peer_hold() -> None:
    server = Server(download, **PATIENT)
    client = server.client(max_data=200_000, max_stream_data=150_000)
    client.quic._write_stream_limits = lambda **_: None
    client.quic._write_connection_limits = lambda **_: None
    first, second = (client.send(request(b"/300000")) for _ in range(2))
    server.settle(5)
    got = [len(client.answer(stream).body) for stream in (first, second)]
    assert all(140_000 > size > 40_000 for size in got[1:])
    assert sum(got) <= 200_000
    assert max(got) <= 150_000
    assert client.closed is None


def test_both_ways_at_once() -> None:
    server = Server(echo, **PATIENT)
    data = body(300_000)
    client = server.client(**WIDE)
    streams = [client.send(request(b"/", b"POST"), data) for _ in range(2)]
    server.settle(20)
    assert [bytes(client.answer(stream).body) for stream in streams] == [data, data]
    check_books(server)


def test_fresh_keys_in_the_middle() -> None:
    server = Server(download, **PATIENT)
    client = server.client(**WIDE)
    stream = client.send(request(b"/400000"))
    for _ in range(3):
        client.quic.request_key_update()
        server.settle(0.005)
    server.settle(5)
    assert client.answer(stream).body == body(400_000)
    check_books(server)


@grown_up
def test_q_h3_9_packets_leave_together() -> None:
    server = Server(download, quic_max_datagram_size=1452, **PATIENT)
    client = server.client(**WIDE)
    calls, count = server.port.calls, len(client.sizes)
    assert client.ask(request(b"/300000")).body == body(300_000)
    in_large = sum(size == 1452 for size in client.sizes[count:])
    assert in_large / (server.port.calls - calls) > 4


def test_q_h3_7_a_timer_after_the_end_is_no_harm() -> None:
    server = Server(hello)
    client = server.client()
    client.ask()
    (peer,) = server.endpoint.peers
    client.quic.close()
    server.settle()
    peer.timer(server.now())
    peer.timer(server.now() + 100)
    server.advance(100)
    assert not server.endpoint.peers
    assert not server.log.errors


def test_q_h3_7_what_one_request_puts_into_its_state_no_other_sees() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["state"]))
        scope["state"]["mine"] = True
        await hello(scope, receive, send)

    server = Server(app)
    server.context.state["shared"] = True
    for client in (server.client(), server.client()):
        client.ask()
        client.ask()
    assert seen == [{"shared": True}] * 4


# -- how long datagrams may be


def longest(client: Client) -> int:
    return max(client.sizes)


@grown_up
@pytest.mark.parametrize(("limit", "largest"), [(1200, 1200), (1300, 1300), (1452, 1452), (4000, 4000), (8952, 8952)])
def test_h3_12_datagrams_grow_with_what_the_path_takes(limit: int, largest: int) -> None:
    server = Server(download, quic_max_datagram_size=limit, **PATIENT)
    client = server.client(**WIDE)
    assert client.ask(request(b"/300000")).body == body(300_000)
    assert longest(client) == largest
    tried = list(dict.fromkeys(size for size in client.sizes if size in (1200, 1300, 1452, 2904, 4000, 5808, 8952)))
    assert tried == sorted(tried), "a longer one before a shorter one had proven itself"
    check_books(server)


def test_h3_12_few_octets_are_worth_no_long_probe() -> None:
    client = Server(download, **PATIENT).client(**WIDE)
    assert client.ask(request(b"/20000")).over
    assert longest(client) == 1452


@grown_up
def test_h3_12_the_limit_of_the_peer_holds() -> None:
    told = varint(3) + varint(2) + varint(1472)  # max_udp_payload_size
    client = Server(download, **PATIENT).client(parameters=told, **WIDE)
    assert client.ask(request(b"/300000")).over
    assert longest(client) == 1472


@grown_up
@pytest.mark.parametrize("most", [1200, 1452, 3000])
def test_h3_12_a_lost_probe_is_no_congestion(most: int) -> None:
    server = Server(download, **PATIENT)
    client = server.connect(**WIDE)
    client.lose = lambda data: len(data) > most
    client.start()
    stream = client.send(request(b"/300000"))
    server.settle(20)
    assert client.answer(stream).body == body(300_000)
    quic = server.connection.quic
    assert quic.datagram_size == {1200: 1200, 1452: 1452, 3000: 2904}[most]
    assert sum(size > most for size in client.sizes) == 3
    assert quic._loss.congestion_window > 150_000
    check_books(server)


@grown_up
def test_h3_12_another_path_is_measured_anew() -> None:
    server = Server(download, **PATIENT)
    client = server.client(**WIDE)
    assert client.ask(request(b"/300000")).over
    assert longest(client) == 8952
    client.address = ("10.77.0.1", 7777)
    client.quic.change_connection_id()
    client.sizes.clear()
    client.lose = lambda data: len(data) > 2000  # it is a narrow one
    assert client.ask(request(b"/300000")).body == body(300_000)
    assert server.connection.quic.datagram_size == 1452
    assert sum(size > 2000 for size in client.sizes) <= 3


@grown_up
def test_h3_12_a_congestion_window_below_a_datagram_stops_nothing() -> None:
    server = Server(download, **PATIENT)
    client = server.client(**WIDE)
    client.ask(request(b"/400000"))
    quic = server.connection.quic
    quic._loss._cc.congestion_window = 3000
    quic.mtu.resize(quic, 8952)
    assert quic._loss.congestion_window == 2 * 8952
    quic._loss._cc.congestion_window = 3000  # as an algorithm may have it that does not know of longer datagrams
    stream = client.send(request(b"/400000"))
    server.settle(5)
    assert client.answer(stream).over
    assert client.answer(stream).body == body(400_000)
