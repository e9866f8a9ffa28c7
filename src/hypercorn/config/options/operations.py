"""Health, metrics and overload."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import BINDS, URL_PATH, number, optional, seconds

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
    Option(
        "slow_callback",
        _OFF_OR_TIME,
        None,
        "Operations",
        "log what blocks the event loop for longer than this",
    ),
)
