"""Health, metrics and overload."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import BINDS, PATH, URL_PATH, URL_PATHS, number, optional, seconds

_OFF_OR_TIME = optional(seconds(positive=True))
_OFF_OR_COUNT = optional(number(1))

OPTIONS: tuple[Option, ...] = (
    Option("health_path", URL_PATH, None, "Operations", "path for liveness checks, answered by the server itself"),
    Option(
        "ready_path", URL_PATH, None, "Operations", "path for readiness checks: 200, or 503 while the server drains"
    ),
    Option(
        "metrics_bind",
        BINDS,
        [],
        "Operations",
        "address of /metrics (OpenMetrics), /health and /ready, in plain HTTP; may be repeated",
    ),
    Option("limit_connections", _OFF_OR_COUNT, None, "Operations", "connections per worker; more get 503"),
    Option(
        "limit_concurrency",
        _OFF_OR_COUNT,
        None,
        "Operations",
        "concurrent requests and WebSockets per worker; more get 503",
    ),
    Option(
        "shed_delay",
        _OFF_OR_TIME,
        None,
        "Operations",
        "wait for the event loop beyond which, if it lasts, new requests get 503",
    ),
    Option("client_connections", _OFF_OR_COUNT, None, "Operations", "connections of one client; more get 429"),
    Option(
        "client_connection_rate",
        _OFF_OR_COUNT,
        None,
        "Operations",
        "new connections of one client in a second, in the mean; more are refused by 429",
    ),
    Option(
        "client_connection_burst",
        _OFF_OR_COUNT,
        None,
        "Operations",
        "new connections of one client at once; none: as many as client_connection_rate",
    ),
    Option(
        "client_request_rate",
        _OFF_OR_COUNT,
        None,
        "Operations",
        "requests of one client in a second, in the mean; more are answered by 429",
    ),
    Option(
        "client_request_burst",
        _OFF_OR_COUNT,
        None,
        "Operations",
        "requests of one client at once; none: as many as client_request_rate",
    ),
    Option("client_prefix_ipv4", number(1, 32), 32, "Operations", "bits of an IPv4 address that make a client"),
    Option("client_prefix_ipv6", number(1, 128), 64, "Operations", "bits of an IPv6 address that make a client"),
    Option("client_table_size", _OFF_OR_COUNT, 10000, "Operations", "clients whose rates a worker remembers"),
    Option(
        "client_exempt_paths",
        URL_PATHS,
        [],
        "Operations",
        "path whose requests, and those below it, no client_request_rate counts; may be repeated",
    ),
    Option(
        "slow_callback",
        _OFF_OR_TIME,
        None,
        "Operations",
        "log what blocks the event loop for longer than this",
    ),
    Option(
        "quic_qlog_dir",
        PATH,
        None,
        "Operations",
        "folder for a qlog file of each QUIC connection, to look into HTTP/3",
    ),
    Option(
        "slow_request",
        optional(seconds()),
        None,
        "Operations",
        "remember requests that take this long or longer, for hypercorn ctl slow",
    ),
)
