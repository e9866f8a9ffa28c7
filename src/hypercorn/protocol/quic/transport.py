"""A QUIC connection as scopes and streams see it."""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.ports import Transport
from hypercorn.protocol.quic.connection import ServerConnection
from hypercorn.protocol.runtime import Runtime


class QUICTransport(Transport):
    """A QUIC connection, as scopes and streams see it. Nothing is written to it: streams write to QUIC."""

    __slots__ = ("quic",)

    def __init__(
        self, runtime: Runtime, quic: ServerConnection, client: tuple[str, int], server: tuple[str, int | None] | None
    ) -> None:
        super().__init__(runtime)
        self.quic = quic
        self.client = client
        self.server = server
        self.scheme = "https"

    def send_bytes(self, data: bytes) -> None:
        raise NotImplementedError

    def unsent(self) -> int:
        return 0

    def close(self) -> None:
        """Does nothing: the connection closes itself."""

    def abort(self) -> None:
        """Does nothing: the connection closes itself."""

    def internal_error(self, error: Exception) -> None:
        connection: Any = self.connection
        if connection is not None:
            connection.deadline = 0.0
            connection.endpoint.internal_error(error)

    def get_extra_info(self, name: str) -> object:
        if name == "peername":
            return self.client
        if name == "sockname":
            return self.server
        if name == "alpn":
            return "h3"
        if name == "quic":
            return self.quic
        return None
