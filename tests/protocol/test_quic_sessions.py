"""Sessions of TLS that clients of HTTP/3 resume."""

from __future__ import annotations

from typing import Any

from aioquic.quic.events import HandshakeCompleted
from tests.support.http3 import Client, Server
from tests.support.live import hello

from hypercorn.net.quic_tls import Sessions


def visit(server: Server, ticket: Any = None, **options: Any) -> tuple[Client, Any]:
    """A client that asks, and the ticket that it was given."""
    client = server.client(session_ticket=ticket, **options)
    assert client.ask().body == b"hello"
    return client, client.tickets[0] if client.tickets else None


def resumed(client: Client) -> bool:
    (event,) = [event for event in client.events if isinstance(event, HandshakeCompleted)]
    assert not event.early_data_accepted
    was: bool = event.session_resumed
    return was


def test_a_session_is_resumed_once() -> None:
    server = Server(hello)
    client, ticket = visit(server)
    assert not resumed(client)
    assert ticket.max_early_data_size is None
    client, second = visit(server, ticket)
    assert resumed(client)
    client, _ = visit(server, ticket)
    assert not resumed(client), "a ticket was taken twice"
    client, _ = visit(server, second)
    assert resumed(client)
    assert not server.log.errors


def test_other_workers_and_new_certificates_have_other_sessions() -> None:
    server = Server(hello)
    _, ticket = visit(server)
    client, _ = visit(Server(hello), ticket)
    assert not resumed(client)
    server.endpoint.configuration.sessions = Sessions()
    client, _ = visit(server, ticket)
    assert not resumed(client)


def test_a_session_is_for_one_host() -> None:
    server = Server(hello)
    _, ticket = visit(server)
    ticket.server_name = "other.example"
    client, _ = visit(server, ticket, server_name="other.example")
    assert not resumed(client)


def test_certificates_of_clients_are_judged_each_time() -> None:
    class Clients:
        def judge(self, *_: Any) -> int:
            return 0

    server = Server(hello)
    clients: Any = Clients()
    server.endpoint.configuration.clients = clients
    client, ticket = visit(server)
    assert ticket is None
    assert not resumed(client)


def test_sessions_are_limited() -> None:
    sessions = Sessions()

    class Ticket:
        def __init__(self, number: int) -> None:
            self.ticket = b"%d" % number

    for number in range(Sessions.MOST + 10):
        sessions.keep(Ticket(number), "a")
    assert len(sessions.tickets) == Sessions.MOST
    assert sessions.take(b"9", "a") is None
    assert sessions.take(b"10", "b") is None, "another host"
    assert sessions.take(b"10", "a") is None
    assert sessions.take(b"11", "a").ticket == b"11"
