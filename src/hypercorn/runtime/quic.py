"""HTTP/3 in a worker: its UDP sockets, its endpoint, and what other protocols say of it (RFC 7838)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from hypercorn.errors import ConfigError
from hypercorn.metrics import current_board_slot
from hypercorn.net.address import address_text, client_address
from hypercorn.net.quic import create_quic_configuration, is_self_signed
from hypercorn.runtime.contract import WorkerBase

CHECK_SECONDS = 0.2  # seconds between two looks at the board

if TYPE_CHECKING:
    from hypercorn.net.forwarding import DatagramForwarder
    from hypercorn.net.qlog import QLog
    from hypercorn.net.quic_tls import ServerConfiguration
    from hypercorn.protocol.ports import Connection
    from hypercorn.runtime.ports import Listener


class QUICServer:
    """The HTTP/3 side of a worker. It owns the UDP sockets, which outlive the listeners: what drains still needs them.

    Raises ConfigError where the extra `h3` is not installed, or certificate or key cannot be used.
    """

    def __init__(self, worker: WorkerBase, sockets: list[socket.socket]) -> None:
        self.worker = worker
        self.config = worker.config
        self.listeners: list[Listener] = []
        self.sockets = sockets
        self.forwarder = new_forwarder(worker)
        configuration = create_quic_configuration(self.config, self.worker.limits)
        self.qlog: QLog | None = None
        if self.config.quic_qlog_dir is not None:
            from hypercorn.net.qlog import QLog

            self.qlog = QLog(self.config.quic_qlog_dir, worker.log)
            configuration.quic_logger = self.qlog
        from hypercorn.protocol.quic.endpoint import QUICEndpoint

        self.endpoint = QUICEndpoint(
            worker.context,
            configuration,
            worker.log,
            self.opened,
            self.closed,
            self.forwarder,
        )
        self.endpoint.latest_configuration = self.latest_configuration
        self.endpoint.full = self.full
        self.endpoint.established = self.established
        self.endpoint.moved = self.moved
        self.limited: set[Connection] = set()  # those that count for `limit_connections`
        self.seen = None if worker.tls is None else worker.tls.current  # the TLS context of the same files
        self.endpoint.max_connections = worker.limits.quic_max_connections
        self.endpoint.retry_threshold = worker.limits.quic_retry_threshold
        if is_self_signed(configuration):
            worker.log.log_info("The certificate is self-signed: browsers will not use HTTP/3 with it unasked")

    async def start(self) -> list[str]:
        """Reads the sockets. Returns their URLs."""
        from hypercorn.runtime.udp import ForwardedDatagrams, UDPSocket

        runtime, forwarder = self.worker.runtime, self.forwarder
        udp_sockets = [UDPSocket(sock, number, self.endpoint) for number, sock in enumerate(self.sockets)]
        if forwarder is not None:
            forwarder.open()
            inbox = ForwardedDatagrams(forwarder, udp_sockets, self.endpoint)
            self.listeners.append(await runtime.listen_datagrams(inbox.sock, inbox))
        for udp in udp_sockets:
            self.listeners.append(await runtime.listen_datagrams(udp.sock, udp))
        return list(dict.fromkeys(f"https://{address_text(udp.sock.getsockname())}" for udp in udp_sockets))

    def advertise(self) -> None:
        """Has the answers of other versions say that there is this one, where the configuration says nothing of it.
        Only those over TLS do: it takes no requests for "http" (RFC 9114 section 3.1.2)."""
        if not self.config.alt_svc_headers:
            self.worker.context.response_fields.secure_alt_svc = True
            self.worker.context.response_fields.set_alt_svc(self.alt_svc())

    def withdraw(self) -> None:
        """The server stops: clears what clients remember, unless other workers go on (RFC 7838 section 3)."""
        if not self.config.alt_svc_headers:
            self.worker.context.response_fields.set_alt_svc(["clear"] if self.worker.last_owner else [])

    def alt_svc(self) -> list[str]:
        """The values of the automatic alt-svc fields."""
        names = (sock.getsockname() for sock in self.sockets)
        ports = dict.fromkeys(name[1] for name in names if client_address(name) is not None)
        return [f'h3=":{port}"; ma={int(self.config.alt_svc_max_age)}' for port in ports]

    def opened(self, connection: Connection) -> None:
        """Takes a new connection."""
        self.worker.deadlines.connections.add(connection)
        self.moved(connection)
        self.count("http3_opened")

    def full(self) -> bool:
        """True while `limit_connections` is reached."""
        operations = self.worker.operations
        return operations.open >= operations.limit

    def established(self, connection: Connection) -> bool:
        """Counts a client whose address is validated; before, it counts against no other limit than QUIC's own. Returns
        False where it is one too many."""
        if self.full():
            if self.worker.context.records.counters is not None:
                self.worker.context.records.counters.refused(503)
            return False
        if not self.worker.operations.admit_client(connection.transport):
            if self.worker.context.records.counters is not None:
                self.worker.context.records.counters.refused(429)
            return False
        self.worker.operations.open += 1
        self.limited.add(connection)
        return True

    def moved(self, connection: Connection) -> None:
        """Checks whether the address of a client, which may be a new one, is a trusted proxy's."""
        connection.transport.trusted = self.worker.operations.trusts(connection.transport.client)

    def closed(self, connection: Connection) -> None:
        """Forgets a connection that has ended."""
        worker = self.worker
        worker.deadlines.connections.discard(connection)
        if connection in self.limited:
            self.limited.discard(connection)
            worker.operations.open -= 1
            worker.operations.forget_client(connection.transport)
        try:
            connection.connection_lost()
        except Exception as error:
            worker.context.records.log_fault(error)
        self.count("http3_closed")
        if worker.empty_waiter is not None:
            worker.notify_if_empty()

    def count(self, name: str) -> None:
        """Counts, where this worker counts."""
        counters = self.worker.context.records.counters
        if counters is not None:
            counters.count(name)

    def latest_configuration(self, now: float) -> ServerConfiguration:
        """The configuration for a client that comes at `now`: where TCP has taken new certificates, so does this."""
        tls = self.worker.tls
        if tls is not None and tls.latest(now) is not self.seen:
            self.seen = tls.current
            try:
                self.endpoint.configuration = create_quic_configuration(self.config, self.worker.limits)
                self.endpoint.configuration.quic_logger = self.qlog
            except ConfigError as error:
                self.worker.log.log_error("The certificates could not be reloaded, the old ones stay: %s", error)
        return self.endpoint.configuration

    def close(self) -> None:
        """Ends everything, sockets included."""
        self.endpoint.close()
        if self.qlog is not None:
            self.qlog.close()
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        if self.forwarder is not None:
            self.forwarder.close()
        for sock in self.sockets:
            sock.close()


def new_forwarder(worker: WorkerBase) -> DatagramForwarder | None:
    """Returns the forwarder of datagrams to the other workers of the supervisor; None where there are none."""
    slot = current_board_slot()
    if slot is None or not worker.link.supervised:
        return None
    seen: tuple[float, list[int]] = (0.0, [])

    def siblings() -> list[int]:
        """The workers that take new connections, as the board says."""
        nonlocal seen
        now = worker.runtime.now()
        if now - seen[0] > CHECK_SECONDS:
            others = (one for one in slot.board.slots() if one["state"] == "serving" and one["slot"] != slot.number)
            seen = (now, [one["slot"] for one in others])
        return seen[1]

    from hypercorn.net.forwarding import DatagramForwarder  # which HTTP/3 alone needs

    return DatagramForwarder(slot.number, slot.board.secret, siblings)
