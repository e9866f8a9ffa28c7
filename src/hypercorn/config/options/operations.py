"""Health, metrics and overload."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import BINDS, URL_PATH, number, optional, seconds

_OFF_OR_TIME = optional(seconds(positive=True))
_OFF_OR_COUNT = optional(number(1))

OPTIONS: tuple[Option, ...] = (
    Option("health_path", URL_PATH, None, "Operations", "path that the server itself answers while it lives"),
    Option("ready_path", URL_PATH, None, "Operations", "... with 200 while it takes requests, 503 while it drains"),
    Option(
        "metrics_bind",
        BINDS,
        [],
        "Operations",
        "address of /metrics (OpenMetrics), /health and /ready, in plain HTTP; may be repeated",
    ),
    Option("limit_connections", _OFF_OR_COUNT, None, "Operations", "connections of a worker; more are answered by 503"),
    Option(
        "limit_concurrency",
        _OFF_OR_COUNT,
        None,
        "Operations",
        "requests and WebSockets of a worker at the same time; more are answered by 503",
    ),
    Option(
        "shed_delay",
        _OFF_OR_TIME,
        None,
        "Operations",
        "wait of a request for the event loop beyond which, if it lasts, new ones are answered by 503",
    ),
    Option(
        "slow_callback",
        _OFF_OR_TIME,
        None,
        "Operations",
        "time that the event loop may be blocked before the log shows what blocks it",
    ),
)
