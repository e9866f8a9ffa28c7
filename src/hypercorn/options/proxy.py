"""Proxies in front."""

from __future__ import annotations

from hypercorn.net.proxies import FORWARDED, X_FORWARDED
from hypercorn.options.option import Option
from hypercorn.values import PROXIES, SWITCH, choice

OPTIONS: tuple[Option, ...] = (
    Option(
        "trusted_proxies",
        PROXIES,
        [],
        "Proxy",
        'address or network of proxies whose forwarding fields count, "unix" for unix sockets; may be repeated',
    ),
    Option(
        "proxy_headers",
        choice(X_FORWARDED, FORWARDED),
        X_FORWARDED,
        "Proxy",
        "which of them: X-Forwarded-For, -Proto, -Host, -Port and -Prefix, or the Forwarded field of RFC 7239",
    ),
    Option(
        "proxy_protocol",
        SWITCH,
        False,
        "Proxy",
        "connections of trusted proxies begin with a PROXY header (version 1 or 2)",
    ),
)
