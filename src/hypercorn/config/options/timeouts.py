"""Times in seconds; None is no limit."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import SWITCH, optional, seconds

_OFF_OR_TIME = optional(seconds(positive=True))

OPTIONS: tuple[Option, ...] = (
    Option("header_timeout", _OFF_OR_TIME, 10.0, "Timeouts", "time for a request's head; then 408"),
    Option("body_timeout", _OFF_OR_TIME, 30.0, "Timeouts", "time between pieces of a body; then 408"),
    Option("write_timeout", _OFF_OR_TIME, 60.0, "Timeouts", "time without progress in sending a response"),
    Option("min_rate_grace", seconds(), 5.0, "Timeouts", "time before min_receive_rate and min_send_rate count"),
    Option(
        "read_timeout",
        _OFF_OR_TIME,
        None,
        "Timeouts",
        "replaces body_timeout",
        replaces="body_timeout",
    ),
    Option("keep_alive_header", SWITCH, False, "Timeouts", "announce keep_alive_timeout in a Keep-Alive field"),
    Option(
        "keep_alive_timeout",
        optional(seconds()),
        5.0,
        "Timeouts",
        "time that an idle connection stays open; 0: none does",
        aliases=("keep_alive",),
    ),
    Option(
        "idle_grace",
        seconds(),
        1.0,
        "Timeouts",
        "at shutdown, time that an idle connection stays open after its last use",
    ),
    Option("h2_ping_interval", _OFF_OR_TIME, 30.0, "Timeouts", "silence of an HTTP/2 client before a ping"),
    Option("h2_ping_timeout", _OFF_OR_TIME, 20.0, "Timeouts", "time for the answer to that ping"),
    Option(
        "quic_idle_timeout", seconds(positive=True), 60.0, "Timeouts", "silence after which an HTTP/3 connection ends"
    ),
    Option("linger_timeout", optional(seconds()), 2.0, "Timeouts", "time that a closed connection is still read"),
    Option("ssl_handshake_timeout", seconds(True), 60.0, "Timeouts", "time for the TLS handshake"),
    Option(
        "websocket_ping_interval",
        _OFF_OR_TIME,
        None,
        "Timeouts",
        "time between WebSocket pings",
    ),
    Option("websocket_ping_timeout", _OFF_OR_TIME, 20.0, "Timeouts", "time for the answer to a ping; then 1011"),
    Option("websocket_close_timeout", _OFF_OR_TIME, 10.0, "Timeouts", "time for a WebSocket's closing handshake"),
    Option(
        "websocket_handshake_timeout",
        _OFF_OR_TIME,
        60.0,
        "Timeouts",
        "time for the application to answer a WebSocket handshake",
    ),
    Option("websocket_idle_timeout", _OFF_OR_TIME, None, "Timeouts", "time without a WebSocket message"),
    Option("websocket_lifetime", _OFF_OR_TIME, None, "Timeouts", "time that a WebSocket may last"),
)
