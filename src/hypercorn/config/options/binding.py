"""Options for the addresses to serve on."""

from __future__ import annotations

from hypercorn.config.options.option import Option
from hypercorn.config.values import BINDS, GROUP, SWITCH, TEXTS, UMASK, USER, number

OPTIONS: tuple[Option, ...] = (
    Option("bind", BINDS, ["127.0.0.1:8000"], "Binding", "address to serve on; may be repeated", "-b"),
    Option("insecure_bind", BINDS, [], "Binding", "address for plain HTTP beside TLS"),
    Option("quic_bind", BINDS, [], "Binding", "address for HTTP/3 (UDP); needs TLS"),
    Option("http3", SWITCH, False, "Binding", "HTTP/3 over UDP on the ports of bind; needs TLS"),
    Option(
        "h2c_upgrade",
        SWITCH,
        False,
        "Binding",
        "allow Upgrade: h2c (HTTP/2 without TLS), except from trusted proxies; withdrawn by RFC 9113",
    ),
    Option("backlog", number(0), 100, "Binding", "connections that may wait to be accepted"),
    Option("reuse_port", SWITCH, False, "Binding", "one socket for each worker (SO_REUSEPORT), not one for all"),
    Option("user", USER, None, "Binding", "owner of unix sockets, by name or number", "-u"),
    Option("group", GROUP, None, "Binding", "group of unix sockets, by name or number", "-g"),
    Option(
        "umask",
        UMASK,
        None,
        "Binding",
        "file mode mask of unix sockets; octal if it begins with 0",
        "-m",
    ),
    Option("server_names", TEXTS, [], "Binding", "host name to serve; may be repeated", aliases=("server_name",)),
)
