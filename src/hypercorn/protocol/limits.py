"""The limits that every protocol keeps to, as numbers.

Made from the option table by csrc/make_limits.py: change src/hypercorn/config/options/ and run that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = (
    "body_timeout",
    "client_connection_burst",
    "client_connection_rate",
    "client_connections",
    "client_prefix_ipv4",
    "client_prefix_ipv6",
    "client_request_burst",
    "client_request_rate",
    "client_table_size",
    "h2_connection_window",
    "h2_max_concurrent_streams",
    "h2_max_header_list_size",
    "h2_max_inbound_frame_size",
    "h2_max_resets",
    "h2_max_stream_window",
    "h2_ping_interval",
    "h2_ping_timeout",
    "h2_stream_window",
    "header_timeout",
    "idle_grace",
    "keep_alive_max_requests",
    "keep_alive_timeout",
    "limit_concurrency",
    "limit_connections",
    "linger_timeout",
    "max_app_queue_size",
    "max_body_size",
    "max_header_count",
    "max_header_size",
    "max_request_line_size",
    "max_unread_body",
    "min_rate_grace",
    "min_receive_rate",
    "min_send_rate",
    "quic_idle_timeout",
    "quic_max_connections",
    "quic_max_datagram_size",
    "quic_retry_threshold",
    "shed_delay",
    "shutdown_timeout",
    "slow_callback",
    "slow_request",
    "ssl_handshake_timeout",
    "startup_timeout",
    "websocket_close_timeout",
    "websocket_handshake_timeout",
    "websocket_idle_timeout",
    "websocket_lifetime",
    "websocket_max_frame_size",
    "websocket_max_message_size",
    "websocket_max_queue",
    "websocket_ping_interval",
    "websocket_ping_timeout",
    "write_buffer_size",
    "write_timeout",
    "wsgi_buffer_size",
    "wsgi_max_body_size",
    "wsgi_queue_size",
    "wsgi_queue_timeout",
    "wsgi_spool_size",
    "wsgi_threads",
)


class Limits:
    """The limits of one worker, by the names of their options: times in seconds, sizes in bytes. Frozen.

    "No limit" is a number too, so that one comparison tells: infinity for a time, 2**62 for a size or a count, and 0
    for a least rate. So 0 is zero everywhere.
    """

    __slots__ = NAMES

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Takes what `hypercorn.config.options.limits_of` gives. Raises KeyError where a limit is missing."""
        self.body_timeout: float = values["body_timeout"]
        self.client_connection_burst: int = values["client_connection_burst"]
        self.client_connection_rate: int = values["client_connection_rate"]
        self.client_connections: int = values["client_connections"]
        self.client_prefix_ipv4: int = values["client_prefix_ipv4"]
        self.client_prefix_ipv6: int = values["client_prefix_ipv6"]
        self.client_request_burst: int = values["client_request_burst"]
        self.client_request_rate: int = values["client_request_rate"]
        self.client_table_size: int = values["client_table_size"]
        self.h2_connection_window: int = values["h2_connection_window"]
        self.h2_max_concurrent_streams: int = values["h2_max_concurrent_streams"]
        self.h2_max_header_list_size: int = values["h2_max_header_list_size"]
        self.h2_max_inbound_frame_size: int = values["h2_max_inbound_frame_size"]
        self.h2_max_resets: int = values["h2_max_resets"]
        self.h2_max_stream_window: int = values["h2_max_stream_window"]
        self.h2_ping_interval: float = values["h2_ping_interval"]
        self.h2_ping_timeout: float = values["h2_ping_timeout"]
        self.h2_stream_window: int = values["h2_stream_window"]
        self.header_timeout: float = values["header_timeout"]
        self.idle_grace: float = values["idle_grace"]
        self.keep_alive_max_requests: int = values["keep_alive_max_requests"]
        self.keep_alive_timeout: float = values["keep_alive_timeout"]
        self.limit_concurrency: int = values["limit_concurrency"]
        self.limit_connections: int = values["limit_connections"]
        self.linger_timeout: float = values["linger_timeout"]
        self.max_app_queue_size: int = values["max_app_queue_size"]
        self.max_body_size: int = values["max_body_size"]
        self.max_header_count: int = values["max_header_count"]
        self.max_header_size: int = values["max_header_size"]
        self.max_request_line_size: int = values["max_request_line_size"]
        self.max_unread_body: int = values["max_unread_body"]
        self.min_rate_grace: float = values["min_rate_grace"]
        self.min_receive_rate: int = values["min_receive_rate"]
        self.min_send_rate: int = values["min_send_rate"]
        self.quic_idle_timeout: float = values["quic_idle_timeout"]
        self.quic_max_connections: int = values["quic_max_connections"]
        self.quic_max_datagram_size: int = values["quic_max_datagram_size"]
        self.quic_retry_threshold: int = values["quic_retry_threshold"]
        self.shed_delay: float = values["shed_delay"]
        self.shutdown_timeout: float = values["shutdown_timeout"]
        self.slow_callback: float = values["slow_callback"]
        self.slow_request: float = values["slow_request"]
        self.ssl_handshake_timeout: float = values["ssl_handshake_timeout"]
        self.startup_timeout: float = values["startup_timeout"]
        self.websocket_close_timeout: float = values["websocket_close_timeout"]
        self.websocket_handshake_timeout: float = values["websocket_handshake_timeout"]
        self.websocket_idle_timeout: float = values["websocket_idle_timeout"]
        self.websocket_lifetime: float = values["websocket_lifetime"]
        self.websocket_max_frame_size: int = values["websocket_max_frame_size"]
        self.websocket_max_message_size: int = values["websocket_max_message_size"]
        self.websocket_max_queue: int = values["websocket_max_queue"]
        self.websocket_ping_interval: float = values["websocket_ping_interval"]
        self.websocket_ping_timeout: float = values["websocket_ping_timeout"]
        self.write_buffer_size: int = values["write_buffer_size"]
        self.write_timeout: float = values["write_timeout"]
        self.wsgi_buffer_size: int = values["wsgi_buffer_size"]
        self.wsgi_max_body_size: int = values["wsgi_max_body_size"]
        self.wsgi_queue_size: int = values["wsgi_queue_size"]
        self.wsgi_queue_timeout: float = values["wsgi_queue_timeout"]
        self.wsgi_spool_size: int = values["wsgi_spool_size"]
        self.wsgi_threads: int = values["wsgi_threads"]

    def __setattr__(self, name: str, value: object) -> None:
        if name not in NAMES or hasattr(self, name):
            raise AttributeError(f"limits are frozen: {name} cannot be set")
        object.__setattr__(self, name, value)

    def changed(self, **values: float) -> Limits:
        """The same limits but for those that are given."""
        return Limits({name: getattr(self, name) for name in NAMES} | values)
