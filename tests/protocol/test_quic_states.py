"""The states of a QUIC connection, as the server tells them apart (RFC 9000 section 10)."""

from __future__ import annotations

from typing import Any

from tests.support.http3 import Server
from tests.support.live import hello

from hypercorn.protocol.quic.endpoint import CLOSING, CONNECTED, DISCARDED, DRAINING, HANDSHAKE


def peer_of(server: Server) -> Any:
    (peer,) = server.endpoint.peers
    return peer


def test_a_peer_is_connected_once_its_handshake_is_complete() -> None:
    server = Server(hello)
    client = server.connect()
    server.endpoint.received(server.port, [(data, client.address) for data, _ in client.quic.datagrams_to_send(0.0)])
    peer = peer_of(server)
    assert peer.state == HANDSHAKE
    assert peer.open
    server.settle()
    assert peer.state == CONNECTED
    assert peer.open


def test_a_connection_that_the_server_ends_answers_late_packets_and_is_discarded() -> None:
    server = Server(hello)
    client = server.client()
    peer = peer_of(server)
    late = client.packet(b"\x01" * 40)
    peer.connection.abort()
    assert peer.state == CLOSING
    server.port.sent.clear()
    server.endpoint.received(server.port, [(late, client.address)])
    assert server.port.sent == peer.close_datagrams != []
    server.settle(10)
    assert peer.state == DISCARDED
    assert not server.endpoint.table


def test_a_connection_that_the_client_ends_is_answered_by_nothing() -> None:
    server = Server(hello)
    client = server.client()
    peer = peer_of(server)
    client.quic.close()
    server.exchange()
    assert peer.state == DRAINING
    server.port.sent.clear()
    server.endpoint.received(server.port, [(client.sent[-1], client.address)])
    assert not server.port.sent
    server.settle(10)
    assert peer.state == DISCARDED


def test_silence_ends_a_connection_without_a_word() -> None:
    server = Server(hello, quic_idle_timeout=5, h2_ping_interval=100, keep_alive_timeout=100)
    client = server.client()
    peer = peer_of(server)
    client.lose = lambda _: True
    server.port.sent.clear()
    server.settle(6)
    assert peer.state == DISCARDED
    assert not server.port.sent


def test_the_end_of_a_connection_waits_for_a_socket_that_takes_nothing() -> None:
    """It is sent all the same: the port keeps it, and nobody would ask for it again."""
    server = Server(hello)
    server.client()
    peer = peer_of(server)
    server.port.sent.clear()
    server.port.blocked = True
    peer.connection.abort()
    assert peer.state == CLOSING
    assert server.port.sent == peer.close_datagrams != []
