"""What the requests of one worker share: the application, its state, the fields that the server adds, the logs."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from hypercorn.clock import unix_seconds
from hypercorn.protocol.limits import WebSocketSettings
from hypercorn.protocol.ports import Connection, Context, Runtime
from hypercorn.wire.deflate import Compression

if TYPE_CHECKING:
    from hypercorn.asgi.exchange import Exchange
    from hypercorn.config import Config


class ASGIContext(Context):
    """The `Context` of connections whose streams are ASGI applications' calls."""

    __slots__ = (
        "access",
        "alt_svc",
        "alt_svc_pairs",
        "answers",
        "app",
        "arm_deadline",
        "busy",
        "connection_replaced",
        "date",
        "date_field",
        "gated",
        "logger",
        "max_app_queue_size",
        "overload",
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

    def __init__(self, runtime: Runtime, app: Callable[..., Any], config: Config, logger: Any) -> None:
        super().__init__(runtime)
        self.app = app
        self.logger = logger
        self.access: Callable[..., None] | None = None
        self.records = False  # True when each request leaves an access record
        self.request_opened: Callable[[], None] | None = None
        self.arm_deadline: Callable[[float], None] | None = None
        self.connection_replaced: Callable[[Connection, Connection], None] | None = None
        # What may stand between a request and the application: `asgi.gate` sets it up where options ask for it.
        self.gated = False
        self.proxy: Any = None  # net.proxies.ProxyHeaders
        self.answers: dict[str, Any] | None = None  # contexts of paths that the server itself answers
        self.overload: Any = None  # asgi.overload.Overload
        self.busy: Any = None  # the context of requests that are too many
        self.state: dict[str, Any] = {}
        self.root_path = config.root_path
        self.max_app_queue_size = config.max_app_queue_size
        self.with_date = config.include_date_header
        self.server_field = b"server: hypercorn-h11\r\n" if config.include_server_header else b""
        self.alt_svc = b""
        self.alt_svc_pairs: list[tuple[bytes, bytes]] = []
        self.date = 0  # the second that the fields below are of
        self.date_field = b""
        self.plain_fields = b""
        self.plain_pairs: list[tuple[bytes, bytes]] = []
        self.say_alt_svc(config.alt_svc_headers)
        self.take_limits(config)

    def take_limits(self, config: Config) -> None:
        """Copies the limits; None, which means off in a configuration, is 0 here."""
        self.max_request_line_size = config.max_request_line_size
        self.max_header_size = config.max_header_size
        self.max_header_count = config.max_header_count
        self.max_body_size = config.max_body_size or 0
        self.max_unread_body = config.max_unread_body or 0
        self.keep_alive_max_requests = config.keep_alive_max_requests or 0
        self.header_timeout = config.header_timeout or 0.0
        self.body_timeout = config.read_timeout or config.body_timeout or 0.0
        self.keep_alive_timeout = config.keep_alive_timeout or 0.0
        self.idle_grace = config.idle_grace
        if config.keep_alive_header and self.keep_alive_timeout:
            self.keep_alive_hint = b"keep-alive: timeout=%d\r\n\r\n" % self.keep_alive_timeout
        self.write_timeout = config.write_timeout or 0.0
        self.min_receive_rate = config.min_receive_rate or 0
        self.min_send_rate = config.min_send_rate or 0
        self.min_rate_grace = config.min_rate_grace
        self.linger_timeout = config.linger_timeout or 0.0
        self.keep_case = config.h11_pass_raw_headers
        self.http2 = "h2" in config.alpn_protocols
        self.h2_max_concurrent_streams = config.h2_max_concurrent_streams
        self.h2_max_frame_size = config.h2_max_inbound_frame_size
        self.h2_max_header_list_size = config.h2_max_header_list_size
        self.h2_stream_window = config.h2_stream_window
        self.h2_max_stream_window = max(config.h2_stream_window, config.h2_max_stream_window)
        self.h2_connection_window = config.h2_connection_window
        self.h2_max_resets = config.h2_max_resets
        self.h2_ping_interval = config.h2_ping_interval or 0.0
        self.h2_ping_timeout = config.h2_ping_timeout or 0.0
        self.server_names = frozenset(name.lower().encode("ascii", "replace") for name in config.server_names)

        self.websocket = websocket_settings(config)

    def say_alt_svc(self, values: list[str]) -> None:
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

    def record(self, stream: Exchange, duration: float) -> None:
        """One access record, of a request that an application saw. A status of 0 is one that was never sent."""
        if self.access is not None:
            self.access(stream.scope, stream.status or None, stream.headers, stream.sent, duration)

    def log_fault(self, error: Exception) -> None:
        self.logger.log_error("A connection ended in an internal error", exc_info=error)

    def log_error(self, message: str, *args: Any) -> None:
        self.logger.log_error(message, *args)

    def log_warning(self, message: str, *args: Any) -> None:
        self.logger.log_warning(message, *args)

    def log_exception(self, message: str, what: str, error: BaseException) -> None:
        self.logger.log_error(message, what, exc_info=error)

    def replaced(self, connection: Connection, successor: Connection) -> None:
        if self.connection_replaced is not None:
            self.connection_replaced(connection, successor)

    def arm(self, deadline: float) -> None:
        if self.arm_deadline is not None:
            self.arm_deadline(deadline)


def websocket_settings(config: Config) -> WebSocketSettings | None:
    """The limits of WebSockets, or None where they are switched off."""
    if not config.websockets:
        return None
    settings = WebSocketSettings()
    settings.max_message_size = config.websocket_max_message_size
    settings.max_frame_size = config.websocket_max_frame_size or 0
    settings.max_queue = config.websocket_max_queue
    settings.ping_interval = config.websocket_ping_interval or 0.0
    settings.ping_timeout = config.websocket_ping_timeout or 0.0
    settings.close_timeout = config.websocket_close_timeout or 0.0
    settings.handshake_timeout = config.websocket_handshake_timeout or 0.0
    settings.idle_timeout = config.websocket_idle_timeout or 0.0
    settings.lifetime = config.websocket_lifetime or 0.0
    origins = (origin.lower().encode("ascii", "replace") for origin in config.websocket_origins)
    settings.origins = frozenset() if "*" in config.websocket_origins else frozenset(origins)
    settings.compression = Compression.of(config.websocket_compression)
    return settings
