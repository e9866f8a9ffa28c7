"""Attacks over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator

from bench.attacks import Attack, Floor, Row, Target
from bench.attacks.openssl import OpenSSLClient

CONNECTIONS = 20
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def key_updates(data: bytes) -> Attack:
    """Each connection asks for new keys until it is cut off, with `data` between."""

    def run(target: Target) -> Generator[int, None, None]:
        clients = [OpenSSLClient(target.host, target.port) for _ in range(CONNECTIONS)]
        before = sum(client.sent for client in clients)
        yield 0
        for client in clients:
            for _ in range(5000):
                if not client.update_keys() or (data and not client.write(data)):
                    break
        yield sum(client.sent for client in clients) - before
        for client in clients:
            client.close()

    return run


def handshakes(target: Target) -> Generator[int, None, None]:
    """One connection after another, each with one request."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    yield 0
    sent = 0
    for _ in range(3000):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing)
        with socket.create_connection((target.host, target.port), timeout=5) as sock:
            while True:
                try:
                    session.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sent += send(sock, outgoing)
                    incoming.write(sock.recv(65536))
            session.write(GET)
            sent += send(sock, outgoing)
            sock.recv(65536)
    yield sent


def send(sock: socket.socket, outgoing: ssl.MemoryBIO) -> int:
    """Sends what was encrypted. Returns the number of bytes."""
    data = outgoing.read()
    sock.sendall(data)
    return len(data)


ROWS: list[Row] = [
    Row("tls-key-updates", "TLS: KeyUpdates that ask for another", "tls", key_updates(b"")),
    Row("tls-key-updates-data", "TLS: KeyUpdates between bytes of a request", "tls", key_updates(b"a")),
    Row(
        "tls-handshakes",
        "TLS: connections of one request each",
        "tls",
        handshakes,
        requests=3000,
        floor=Floor("OpenSSL alone takes 1.1 ms for each kB, in a bare loop", 5),
    ),
]
