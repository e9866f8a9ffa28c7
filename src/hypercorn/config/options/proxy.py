"""Proxies in front."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import PROXIES, SWITCH, choice
from hypercorn.net.proxies import FORWARDED, X_FORWARDED

OPTIONS: tuple[Option, ...] = (
    Option(
        "trusted_proxies",
        PROXIES,
        [],
        "Proxy",
        'address or network of a trusted proxy, or "unix" for unix sockets; may be repeated',
    ),
    Option(
        "proxy_headers",
        choice(X_FORWARDED, FORWARDED),
        X_FORWARDED,
        "Proxy",
        "fields to trust: X-Forwarded-For and -Proto, or for and proto of Forwarded (RFC 7239)",
    ),
    Option(
        "forwarded_host",
        SWITCH,
        False,
        "Proxy",
        "take the host from X-Forwarded-Host (or host of Forwarded), which every trusted proxy must set",
    ),
    Option(
        "forwarded_port",
        SWITCH,
        False,
        "Proxy",
        "take the port from X-Forwarded-Port, which every trusted proxy must set",
    ),
    Option(
        "forwarded_prefix",
        SWITCH,
        False,
        "Proxy",
        "put X-Forwarded-Prefix in front of root_path; every trusted proxy must set it",
    ),
    Option(
        "proxy_protocol",
        SWITCH,
        False,
        "Proxy",
        "expect a PROXY header (version 1 or 2) on connections from trusted proxies",
    ),
)
