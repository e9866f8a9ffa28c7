"""The application, its state, the added fields and the logs, which the requests of one worker share."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hypercorn.clock import unix_seconds
from hypercorn.config.options import limits_of
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.ports import Connection, Context
from hypercorn.protocol.runtime import Runtime
from hypercorn.protocol.websocket.settings import WebSocketSettings
from hypercorn.wire.deflate import Compression

if TYPE_CHECKING:
    from hypercorn.config import Config

PATH_CHARACTERS = "/:@!$&'()*+,;="  # what a path may have unescaped, beside letters and digits (RFC 3986 section 3.3)


class ASGIContext(Context):
    """The `Context` of connections whose exchanges are calls of an ASGI application."""

    __slots__ = (
        "access",
        "added_path",
        "added_raw_path",
        "alt_svc",
        "alt_svc_pairs",
        "answers",
        "app",
        "arm_deadline",
        "connection_replaced",
        "date",
        "date_field",
        "gated",
        "logger",
        "misdirected",
        "missing_trailers",
        "overload",
        "overloaded",
        "pathsend",
        "plain_fields",
        "plain_pairs",
        "proxy",
        "records",
        "request_opened",
        "root_path",
        "server_field",
        "state",
        "with_date",
    )

    def __init__(
        self, runtime: Runtime, app: Callable[..., object], config: Config, logger: Any, limits: Limits | None = None
    ) -> None:
        super().__init__(runtime, Limits(limits_of(config)) if limits is None else limits)
        self.app = app
        self.logger = logger
        self.access: Callable[..., None] | None = None
        self.records = False  # True when each request leaves an access record
        self.request_opened: Callable[[], None] | None = None
        self.arm_deadline: Callable[[float], None] | None = None
        self.connection_replaced: Callable[[Connection | None, Connection], None] | None = None
        # What may stand between a request and the application: `asgi.gate` sets it up where options ask for it.
        self.gated = False
        self.proxy: Any = None  # net.proxies.ProxyHeaders
        self.answers: dict[str, Any] | None = None  # contexts of paths that the server itself answers
        self.overload: Any = None  # asgi.overload.Overload
        self.overloaded: Any = None  # the context of requests that are too many
        self.misdirected: Any = None  # ... of requests whose forwarded host is not served, where both are asked for
        self.missing_trailers = False  # an application has left some out, and the log has said so
        self.state: dict[str, Any] = {}
        self.root_path = config.root_path
        # What a proxy takes off each path, and the application gets again; "" where paths are kept as they come.
        self.added_path = config.root_path if config.add_root_path else ""
        self.added_raw_path = quote(self.added_path, PATH_CHARACTERS).encode()
        self.pathsend = config.pathsend  # whether applications may give files
        self.with_date = config.include_date_header
        self.server_field = b"server: hypercorn-h11\r\n" if config.include_server_header else b""
        self.alt_svc = b""
        self.alt_svc_pairs: list[tuple[bytes, bytes]] = []
        self.date = 0  # the second that the fields below are of
        self.date_field = b""
        self.plain_fields = b""
        self.plain_pairs: list[tuple[bytes, bytes]] = []
        self.set_alt_svc(config.alt_svc_headers)
        self.take_settings(config)

    def take_settings(self, config: Config) -> None:
        """Takes what else than limits the protocols are told."""
        seconds = self.limits.keep_alive_timeout
        if config.keep_alive_header and 0 < seconds < inf:
            self.keep_alive_hint = b"keep-alive: timeout=%d\r\n\r\n" % seconds
        self.keep_case = config.h11_pass_raw_headers
        self.http2 = "h2" in config.alpn_protocols
        self.h2c_upgrade = config.h2c_upgrade
        self.server_names = frozenset(name.lower().encode("ascii", "replace") for name in config.server_names)
        self.websocket = websocket_settings(config)

    def set_alt_svc(self, values: list[str]) -> None:
        """Sets the values of the alt-svc fields (RFC 7838)."""
        self.alt_svc = b"".join(b"alt-svc: %b\r\n" % value.encode() for value in values)
        self.alt_svc_pairs = [(b"alt-svc", value.encode()) for value in values]
        self.date = 0  # what was put together before does not hold

    def renew_date(self, now: int) -> None:
        """A new second has begun."""
        self.date = now
        date = formatdate(now, usegmt=True).encode()
        self.date_field = b"date: %b\r\n" % date if self.with_date else b""
        self.plain_fields = self.date_field + self.server_field + self.alt_svc
        self.plain_pairs = [
            *([(b"date", date)] if self.with_date else []),
            *([(b"server", b"hypercorn-h2")] if self.server_field else []),
            *self.alt_svc_pairs,
        ]

    def server_pairs(self, has_date: bool, has_server: bool) -> list[tuple[bytes, bytes]]:
        now = unix_seconds()
        if now != self.date:
            self.renew_date(now)
        if not has_date and not has_server:
            return self.plain_pairs
        absent = {b"date": has_date, b"server": has_server}
        return [pair for pair in self.plain_pairs if not absent.get(pair[0])]

    def server_fields(self, has_date: bool, has_server: bool) -> bytes:
        now = unix_seconds()
        if now != self.date:
            self.renew_date(now)
        if not has_date and not has_server:
            return self.plain_fields
        return b"".join((b"" if has_date else self.date_field, b"" if has_server else self.server_field, self.alt_svc))

    def log_refusal(self, connection: Connection, status: int, reason: str) -> None:
        """One line of what was wrong, at a level that a hostile peer cannot fill a disk with."""
        client = connection.transport.client
        self.logger.log_debug("Refused a request of %s: %d %s", client[0] if client else "-", status, reason)

    def record(self, exchange: Any, duration: float) -> None:
        """One access record, of a request that an application saw. A status of 0 is one that was never sent."""
        if self.access is not None:
            self.access(exchange.scope, exchange.status or None, exchange.headers, exchange.sent, duration)

    def log_fault(self, error: Exception) -> None:
        self.logger.log_error("A connection ended in an internal error", exc_info=error)

    def log_error(self, message: str, *args: Any) -> None:
        self.logger.log_error(message, *args)

    def log_warning(self, message: str, *args: Any) -> None:
        self.logger.log_warning(message, *args)

    def log_exception(self, message: str, what: str, error: BaseException) -> None:
        self.logger.log_error(message, what, exc_info=error)

    def replaced(self, connection: Connection | None, successor: Connection) -> None:
        if self.connection_replaced is not None:
            self.connection_replaced(connection, successor)

    def arm(self, deadline: float) -> None:
        if self.arm_deadline is not None:
            self.arm_deadline(deadline)


def websocket_settings(config: Config) -> WebSocketSettings | None:
    """The settings that WebSockets share, or None where they are switched off."""
    if not config.websockets:
        return None
    origins = (origin.lower().encode("ascii", "replace") for origin in config.websocket_origins)
    allowed = frozenset() if "*" in config.websocket_origins else frozenset(origins)
    return WebSocketSettings(allowed, Compression.of(config.websocket_compression), config.websocket_extended_connect)
