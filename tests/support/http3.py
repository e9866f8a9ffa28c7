"""aioquic's client against an endpoint, both in memory and on one clock: for tests of HTTP/3 without sockets."""

from __future__ import annotations

import datetime
import os
import select
import socket
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from aioquic import tls
from aioquic.h3.connection import H3Connection, HeadersState
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events as quic_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.peer import PATIENCE

from hypercorn.asgi.gate import context_of
from hypercorn.config import Config
from hypercorn.net.forwarding import DatagramForwarder
from hypercorn.net.quic_tls import ServerConfiguration
from hypercorn.protocol.ports import Connection
from hypercorn.protocol.quic.endpoint import DatagramSocket, QUICEndpoint
from hypercorn.runtime.deadlines import Deadlines
from hypercorn.runtime.memory import MemoryRuntime

Fields = list[tuple[bytes, bytes]]
ROUND_TRIPS = 2000  # exchanges of datagrams after which a test is taken for an endless one


class InterimH3Connection(H3Connection):
    """A client that takes any number of interim responses, where aioquic 1.3, the last one for Python 3.10, takes a
    second head for trailers."""

    def _handle_request_or_push_frame(self, **frame: Any) -> Any:
        found = super()._handle_request_or_push_frame(**frame)
        for event in found:
            if isinstance(event, HeadersReceived) and dict(event.headers).get(b":status", b"")[:1] == b"1":
                frame["stream"].headers_recv_state = HeadersState.INITIAL
        return found


@cache
def certificate() -> tuple[Any, Any]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return built, key


def request(path: bytes = b"/", method: bytes = b"GET", *more: tuple[bytes, bytes]) -> Fields:
    """The fields of a request."""
    return [(b":method", method), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path), *more]


class Log:
    """What the server logs."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.debugs: list[str] = []
        self.causes: list[Any] = []

    def log_error(self, message: str, *args: Any, exc_info: Any = None) -> None:
        self.errors.append(message % args)
        self.causes.append(exc_info)

    def log_warning(self, message: str, *args: Any) -> None:
        self.errors.append(message % args)

    def log_debug(self, message: str, *args: Any, exc_info: Any = None) -> None:
        self.debugs.append(message % args)


class MemoryPort(DatagramSocket):
    """Keeps what the server sends."""

    server = ("127.0.0.1", 443)

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.calls = 0

    def send(self, datagrams: list[bytes], address: Any) -> None:
        self.calls += 1
        self.sent.extend((data, address) for data in datagrams)


class Answer:
    """What came on one stream."""

    def __init__(self) -> None:
        self.heads: list[Fields] = []
        self.body = bytearray()
        self.over = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        return int(dict(self.heads[0])[b":status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.heads[0])


class Client:
    """A client on the wire of a `Server`. Nothing moves but in `Server.settle`."""

    def __init__(
        self, server: Server | Wire, address: Any = ("10.0.0.1", 5000), parameters: bytes = b"", **options: Any
    ) -> None:
        self.server = server
        self.address = address
        settings: dict[str, Any] = {"is_client": True, "alpn_protocols": ["h3"], "server_name": "localhost", **options}
        configuration = QuicConfiguration(**settings)
        configuration.verify_mode = 0
        self.tickets: list[Any] = []  # sessions that the server lets it resume
        self.quic = QuicConnection(configuration=configuration, session_ticket_handler=self.tickets.append)
        self.http: Any = None
        self.bare = False  # no HTTP/3 is opened after the handshake
        self.connected = False
        self.answers: dict[int, Answer] = {}
        self.events: list[Any] = []
        self.closed: quic_events.ConnectionTerminated | None = None
        self.lose: Callable[[bytes], bool] = lambda _: False  # datagrams that do not arrive, either way
        self.sent: list[bytes] = []
        self.sizes: list[int] = []  # of the datagrams that came
        if parameters:
            own = self.quic._serialize_transport_parameters
            self.quic._serialize_transport_parameters = lambda: own() + parameters
        self.quic.connect(("127.0.0.1", 443), server.now())

    def start(self) -> Client:
        """The handshake, and HTTP/3's SETTINGS."""
        self.server.settle()
        assert self.connected or self.closed, "the handshake did not end"
        return self

    def read(self) -> None:
        """Uses what QUIC has to tell."""
        while (event := self.quic.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, quic_events.HandshakeCompleted):
                self.connected = True
                if not self.bare:
                    self.http = InterimH3Connection(self.quic)
            if isinstance(event, quic_events.ConnectionTerminated):
                self.closed = event
            if isinstance(event, quic_events.StreamReset):
                self.answer(event.stream_id).reset = event.error_code
            if self.http is not None:
                for http_event in self.http.handle_event(event):
                    self.http_event(http_event)

    def http_event(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            answer = self.answer(event.stream_id)
            answer.heads.append(event.headers)
            answer.over = event.stream_ended
        elif isinstance(event, DataReceived):
            answer = self.answer(event.stream_id)
            answer.body += event.data
            answer.over = event.stream_ended

    def answer(self, stream: int = 0) -> Answer:
        return self.answers.setdefault(stream, Answer())

    def send(self, fields: Fields, body: bytes | None = None, *, end: bool = True) -> int:
        """A request; its stream."""
        stream: int = self.quic.get_next_available_stream_id()
        self.http.send_headers(stream, fields, end_stream=end and body is None)
        if body is not None:
            self.http.send_data(stream, body, end)
        return stream

    def ask(self, fields: Fields | None = None, body: bytes | None = None) -> Answer:
        """A request, and its whole answer."""
        stream = self.send(request() if fields is None else fields, body)
        self.server.settle()
        return self.answer(stream)

    def raw(self, data: bytes, *, stream: int | None = None, end: bool = False) -> int:
        """Octets on a stream, past aioquic's HTTP/3."""
        number: int = self.quic.get_next_available_stream_id() if stream is None else stream
        self.quic.send_stream_data(number, data, end)
        return number

    def packet(self, frames: bytes, size: int = 1200) -> bytes:
        """A datagram with a packet of these frames, past aioquic's own."""
        quic = self.quic
        builder = QuicPacketBuilder(
            host_cid=quic.host_cid,
            is_client=True,
            max_datagram_size=size,
            packet_number=quic._packet_number,
            peer_cid=quic._peer_cid.cid,
            version=quic._version or 0,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, quic._cryptos[tls.Epoch.ONE_RTT])
        write_frames(builder, frames)
        datagrams, _ = builder.flush()
        quic._packet_number = builder.packet_number
        return datagrams[0]

    def deliver(self, frames: bytes, size: int = 1200) -> None:
        """Such a datagram arrives at once."""
        server: Any = self.server
        server.endpoint.received(server.port, [(self.packet(frames, size), self.address)])

    def uni(self, data: bytes) -> int:
        """Octets on a new unidirectional stream."""
        number: int = self.quic.get_next_available_stream_id(is_unidirectional=True)
        self.quic.send_stream_data(number, data)
        return number


class Stranger:
    """A client that sends Initials of its own making, all of one connection."""

    def __init__(self, server: Server, address: Any = ("10.66.0.1", 6666)) -> None:
        self.server = server
        self.address = address
        self.target, self.source = os.urandom(8), os.urandom(8)
        self.crypto = CryptoPair()
        self.crypto.setup_initial(cid=self.target, is_client=True, version=1)
        self.number = 0

    def packet(self, frames: bytes) -> bytes:
        """A datagram with a packet of these frames."""
        builder = QuicPacketBuilder(
            host_cid=self.source,
            is_client=True,
            max_datagram_size=1200,
            packet_number=self.number,
            peer_cid=self.target,
            version=1,
        )
        builder.start_packet(QuicPacketType.INITIAL, self.crypto)
        write_frames(builder, frames)
        datagrams, _ = builder.flush()
        self.number = builder.packet_number
        return datagrams[0]

    def deliver(self, frames: bytes) -> None:
        """Such a datagram arrives at once."""
        self.server.endpoint.received(self.server.port, [(self.packet(frames), self.address)])


def write_frames(builder: QuicPacketBuilder, frames: bytes) -> None:
    """Octets that are one frame, or several, to aioquic one of the first one's type."""
    buffer = builder.start_frame(frames[0], capacity=len(frames))
    buffer.push_bytes(frames[1:])


class Wire:
    """A real socket to a live server, in the place of `Server`."""

    def __init__(self, port: int, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.address = ("::1" if family == socket.AF_INET6 else "127.0.0.1", port)
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.readable = select.poll()  # select() takes no descriptor above 1023
        self.readable.register(self.sock, select.POLLIN)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4194304)
        self.client: Any = None

    def now(self) -> float:
        return time.monotonic()

    def flush(self) -> None:
        """Sends what the client has to send."""
        for data, _ in self.client.quic.datagrams_to_send(self.now()):
            if not self.client.lose(data):
                self.sock.sendto(data, self.address)

    def settle(self, until: Callable[[], Any] = lambda: False, within: float = PATIENCE) -> None:
        """Carries datagrams until a condition holds."""
        end = self.now() + within
        while not until():
            assert self.now() < end, "it did not come about in time"
            self.flush()
            timer = self.client.quic.get_timer()
            wait = 0.05 if timer is None else min(0.05, max(0.0, timer - self.now()))
            if self.readable.poll(1000 * wait):
                for _ in range(64):
                    try:
                        data = self.sock.recv(65536, socket.MSG_DONTWAIT)
                    except BlockingIOError:
                        break
                    except ConnectionRefusedError:
                        break
                    self.client.sizes.append(len(data))
                    if not self.client.lose(data):
                        self.client.quic.receive_datagram(data, ("127.0.0.1", 443), self.now())
            timer = self.client.quic.get_timer()
            if timer is not None and timer <= self.now():
                self.client.quic.handle_timer(self.now())
            self.client.read()
            self.flush()


class LiveClient(Client):
    """A client of a live server."""

    def __init__(self, port: int, family: socket.AddressFamily = socket.AF_INET, **options: Any) -> None:
        self.wire = Wire(port, family)
        super().__init__(self.wire, **options)
        self.wire.client = self

    def start(self) -> LiveClient:
        self.wire.settle(lambda: self.connected or self.closed)
        return self

    def ask(self, fields: Fields | None = None, body: bytes | None = None) -> Answer:
        stream = self.send(request() if fields is None else fields, body)
        self.wire.settle(lambda: self.answer(stream).over or self.answer(stream).reset is not None or self.closed)
        return self.answer(stream)

    def close(self) -> None:
        self.quic.close()
        self.wire.flush()
        self.wire.sock.close()

    def __enter__(self) -> LiveClient:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class Server:
    """An endpoint, its clock and its clients."""

    def __init__(self, app: Any, place: DatagramForwarder | None = None, **options: Any) -> None:
        config = Config()
        for name, value in options.items():
            assert hasattr(config, name), name
            setattr(config, name, value)
        self.config = config
        self.runtime = MemoryRuntime()
        self.log = Log()
        self.context = context_of(self.runtime, app, config, self.log)
        self.records: list[tuple[Any, ...]] = []
        self.context.records.keep(lambda *record: self.records.append(record), None)
        self.deadlines = Deadlines(self.runtime, self.context)
        self.context.arm_deadline = self.deadlines.arm
        self.context.connection_replaced = self.replaced
        configuration = ServerConfiguration(
            is_client=False,
            alpn_protocols=["h3"],
            connection_id_length=10,
            congestion_control_algorithm="cubic",
            idle_timeout=config.quic_idle_timeout,
            max_data=config.h2_connection_window,
            max_stream_data=config.h2_stream_window,
            largest=config.quic_max_datagram_size,
        )
        configuration.certificate, configuration.private_key = certificate()
        self.ended: list[Connection] = []
        self.endpoint = QUICEndpoint(
            self.context, configuration, self.log, self.deadlines.connections.add, self.closed, place
        )
        self.endpoint.max_connections = config.quic_max_connections
        self.endpoint.retry_threshold = config.quic_retry_threshold
        self.port = MemoryPort()
        self.clients: list[Client] = []

    def replaced(self, connection: Connection, successor: Connection) -> None:
        self.deadlines.connections.discard(connection)
        self.deadlines.connections.add(successor)

    def closed(self, connection: Connection) -> None:
        self.ended.append(connection)
        self.deadlines.connections.discard(connection)
        connection.connection_lost()

    def now(self) -> float:
        return self.runtime.time

    def client(self, **options: Any) -> Client:
        """A client that has connected."""
        return self.connect(**options).start()

    def connect(self, **options: Any) -> Client:
        """A client that has sent nothing yet."""
        client = Client(self, options.pop("address", ("10.0.0.1", 5000 + len(self.clients))), **options)
        self.clients.append(client)
        return client

    @property
    def connection(self) -> Any:
        """The first connection."""
        return next(iter(self.endpoint.peers)).connection

    def exchange(self) -> bool:
        """Carries what both sides have to send. False where that is nothing."""
        moved = False
        self.runtime.run()
        batch = []
        for client in self.clients:
            for data, _ in client.quic.datagrams_to_send(self.now()):
                client.sent.append(data)
                moved = True
                if not client.lose(data):
                    batch.append((data, client.address))
        if batch:
            self.endpoint.received(self.port, batch)
        self.runtime.run()
        sent, self.port.sent = self.port.sent, []
        by_address = {client.address: client for client in self.clients}
        for data, address in sent:
            moved = True
            if address not in by_address:
                continue
            client = by_address[address]
            client.sizes.append(len(data))
            if not client.lose(data):
                client.quic.receive_datagram(data, ("127.0.0.1", 443), self.now())
        for client in self.clients:
            client.read()
        return moved

    def settle(self, seconds: float = 0.2) -> None:
        """Moves the clock by some seconds, and lets everything happen that happens meanwhile."""
        end = self.now() + seconds
        for _ in range(ROUND_TRIPS):
            if self.exchange():
                continue
            timers = [client.quic.get_timer() for client in self.clients]
            due = [when for when in (*timers, *self.pending()) if when is not None and when <= end]
            if not due:
                self.advance(max(0.0, end - self.now()))
                return
            self.advance(max(0.0, min(due) - self.now()) + 0.0001)
        raise AssertionError("it does not come to rest")

    def pending(self) -> list[float]:
        return [timer.when for _, _, timer in self.runtime.timers if not timer.cancelled]

    def advance(self, seconds: float) -> None:
        """Moves the clock, and runs the timers of all."""
        self.runtime.advance(seconds)
        for client in self.clients:
            when = client.quic.get_timer()
            if when is not None and when <= self.now():
                client.quic.handle_timer(self.now())
