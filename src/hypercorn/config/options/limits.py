"""Limits in bytes and counts; None is no limit."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import number, optional, size

OPTIONS: tuple[Option, ...] = (
    Option("max_request_line_size", size(), 8192, "Limits", "request line; longer ones get 414"),
    Option(
        "max_header_size",
        size(),
        16384,
        "Limits",
        "all header fields together; more gets 431",
        aliases=("h11_max_incomplete_size",),
    ),
    Option("max_header_count", number(1), 100, "Limits", "number of header fields; more get 431"),
    Option("max_body_size", optional(size(0)), None, "Limits", "request body; more gets 413"),
    Option(
        "max_unread_body",
        size(0),
        16 * 1024 * 1024,
        "Limits",
        "unread request body that is read and dropped, so that the client sees the response",
    ),
    Option(
        "min_receive_rate",
        optional(size(0)),
        240,
        "Limits",
        "bytes per second of a request body; fewer get 408, except gRPC over HTTP/2 and HTTP/3",
        unlimited=0,
    ),
    Option(
        "min_send_rate",
        optional(size(0)),
        240,
        "Limits",
        "bytes per second of waiting output that a client must read",
        unlimited=0,
    ),
    Option("write_buffer_size", size(), 65536, "Limits", "waiting output at which send() waits"),
    Option("max_app_queue_size", number(1), 10, "Limits", "messages waiting for the application"),
    Option("keep_alive_max_requests", optional(number(1)), 1000, "Limits", "requests on one connection"),
    Option("h2_max_concurrent_streams", number(1), 100, "Limits", "HTTP/2 streams of one connection"),
    Option("h2_max_header_list_size", size(), 65536, "Limits", "HTTP/2 header fields of one request"),
    Option("h2_max_inbound_frame_size", size(16384), 16384, "Limits", "HTTP/2 frame"),
    Option("h2_stream_window", size(), 65535, "Limits", "HTTP/2 request body that a client may send before it is read"),
    Option(
        "h2_max_stream_window", size(), 1048576, "Limits", "limit to which that grows while the application keeps up"
    ),
    Option("h2_connection_window", size(65535), 4194304, "Limits", "HTTP/2 request bodies in transit, in total"),
    Option("h2_max_resets", number(1), 1000, "Limits", "HTTP/2 streams that a client may reset before a response"),
    Option("quic_max_connections", number(1), 10000, "Limits", "HTTP/3 connections of one worker"),
    Option(
        "quic_max_datagram_size",
        number(1200, 65507),
        8952,
        "Limits",
        "largest UDP datagram sent, if the path carries it",
    ),
    Option(
        "quic_retry_threshold", number(0), 100, "Limits", "open handshakes above which clients must prove their address"
    ),
    Option(
        "websocket_max_message_size",
        optional(size()),
        16 * 1024 * 1024,
        "Limits",
        "WebSocket message; more closes with 1009",
    ),
    Option("websocket_max_frame_size", optional(size()), None, "Limits", "WebSocket frame; more closes with 1009"),
    Option("websocket_max_queue", number(1), 16, "Limits", "WebSocket messages waiting for the application"),
)
