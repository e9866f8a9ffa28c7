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
        'address or network of proxies whose forwarding fields count, "unix" for unix sockets; may be repeated',
    ),
    Option(
        "proxy_headers",
        choice(X_FORWARDED, FORWARDED),
        X_FORWARDED,
        "Proxy",
        "which of them: X-Forwarded-For and -Proto, or the for and proto of the Forwarded field (RFC 7239)",
    ),
    Option(
        "forwarded_host",
        SWITCH,
        False,
        "Proxy",
        "the host is that of X-Forwarded-Host (or the host of Forwarded), which every trusted proxy has to set",
    ),
    Option(
        "forwarded_port",
        SWITCH,
        False,
        "Proxy",
        "the port is that of X-Forwarded-Port, which every trusted proxy has to set",
    ),
    Option(
        "forwarded_prefix",
        SWITCH,
        False,
        "Proxy",
        "root_path begins with X-Forwarded-Prefix, which every trusted proxy has to set",
    ),
    Option(
        "proxy_protocol",
        SWITCH,
        False,
        "Proxy",
        "connections of trusted proxies begin with a PROXY header (version 1 or 2)",
    ),
)
