"""Options for the fields of responses and for what is kept of requests."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import HEADERS, SWITCH, TEXTS, choice, seconds

OPTIONS: tuple[Option, ...] = (
    Option("include_date_header", SWITCH, True, "Responses", "add a date header"),
    Option("include_server_header", SWITCH, True, "Responses", "add a server header"),
    Option(
        "headers",
        HEADERS,
        [],
        "Responses",
        'header to add to every response, "Name: value"; may be repeated',
        aliases=("header",),
    ),
    Option("alt_svc_headers", TEXTS, [], "Responses", "value of an alt-svc header; may be repeated"),
    Option("alt_svc_max_age", seconds(), 3600.0, "Responses", "time that clients remember that HTTP/3 is available"),
    Option(
        "pathsend",
        SWITCH,
        False,
        "Responses",
        "offer http.response.pathsend and zerocopysend; not for middleware that changes bodies",
    ),
    Option(
        "server_timing",
        choice("off", "trusted", "on"),
        "off",
        "Responses",
        "add server-timing, with the times of queue and application: to every response, or to those of trusted proxies",
    ),
    Option("h11_pass_raw_headers", SWITCH, False, "Responses", "keep the case of request header names (HTTP/1)"),
)
