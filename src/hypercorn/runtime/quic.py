"""HTTP/3 in a worker: its UDP sockets, its endpoint, and what other protocols say of it (RFC 7838)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from hypercorn.net.address import address_text, client_address
from hypercorn.net.quic import create_quic_configuration, is_self_signed

if TYPE_CHECKING:
    from hypercorn.runtime.ports import Listener
    from hypercorn.runtime.worker import Worker


class QUICServer:
    """The HTTP/3 side of a worker. It owns the UDP sockets, which outlive the listeners: what drains still needs them.

    Raises ConfigError where the extra `h3` is not installed, or certificate or key cannot be used.
    """

    def __init__(self, worker: Worker, sockets: list[socket.socket]) -> None:
        self.worker = worker
        self.config = worker.config
        self.listeners: list[Listener] = []
        self.sockets = sockets
        configuration = create_quic_configuration(self.config)
        from hypercorn.protocol.quic import QUICEndpoint

        self.endpoint = QUICEndpoint(
            worker.context,
            configuration,
            worker.log,
            worker.deadlines.connections.add,
            worker.disconnected,
            worker.place,
        )
        self.endpoint.max_connections = self.config.quic_max_connections
        self.endpoint.retry_threshold = self.config.quic_retry_threshold
        if is_self_signed(configuration):
            worker.log.log_info("The certificate is self-signed: browsers will not use HTTP/3 with it unasked")

    async def start(self) -> list[str]:
        """Reads the sockets. Returns their URLs."""
        from hypercorn.runtime.udp import Inbox, UDPPort

        runtime, place = self.worker.runtime, self.worker.place
        ports = [UDPPort(sock, number, self.endpoint) for number, sock in self.own()]
        for port in ports:
            self.listeners.append(await runtime.listen_datagrams(port.sock, port))
        if place is not None and place.inbox is not None:
            self.listeners.append(await runtime.listen_datagrams(place.inbox, Inbox(place.inbox, ports, self.endpoint)))
        return list(dict.fromkeys(f"https://{address_text(port.sock.getsockname())}" for port in ports))

    def own(self) -> list[tuple[int, socket.socket]]:
        """The sockets that are this worker's, numbered by their addresses. Where there is one for each worker, the
        kernel chooses; else all read the same."""
        place = self.worker.place
        by_address: dict[Any, list[socket.socket]] = {}
        for sock in self.sockets:
            by_address.setdefault(sock.getsockname(), []).append(sock)
        mine: list[tuple[int, socket.socket]] = []
        for number, copies in enumerate(by_address.values()):
            if place is not None and len(copies) == place.count:
                copies = [copies[place.index]]
            mine.extend((number, sock) for sock in copies)
        return mine

    def alt_svc(self) -> list[str]:
        """What the answers of other versions say of this one."""
        names = (sock.getsockname() for sock in self.sockets)
        ports = dict.fromkeys(name[1] for name in names if client_address(name) is not None)
        return [f'h3=":{port}"; ma={int(self.config.alt_svc_max_age)}' for port in ports]

    def reload(self) -> None:
        """Takes certificate and key from their files again, for connections to come. Raises ConfigError."""
        self.endpoint.configuration = create_quic_configuration(self.config)

    def close(self) -> None:
        """Ends everything, sockets included."""
        self.endpoint.close()
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        for sock in self.sockets:
            sock.close()
