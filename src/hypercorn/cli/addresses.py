"""The flags that are parts of `--bind`: `--host`, `--port`, `--uds` and `--fd`, and the switch of the access log.

They are flags only. A configuration has `bind` and `access_log`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypercorn.errors import ConfigError
from hypercorn.net.address import DEFAULT_PORT, LOOPBACK, join_host_port, parse_bind

if TYPE_CHECKING:
    from hypercorn.config import Config

GROUP = "Binding"  # of the options, where these are shown
FLAGS = ("--host", "--port", "--uds", "--fd", "--no-access-log")


def add_flags(add: Callable[..., object]) -> None:
    """Adds the flags to a group of the parser, whose `add_argument` is given."""
    absent = argparse.SUPPRESS
    add("--host", default=absent, help="host of the address to serve on, in the place of --bind")
    add("--port", default=absent, help="port of that address")
    add("--uds", metavar="PATH", default=absent, help="unix socket to serve on: --bind unix:PATH")
    add("--fd", metavar="N", default=absent, help="descriptor of a socket to serve on: --bind fd://N")
    add("--no-access-log", action="store_true", default=absent, help="no access log, as access_log = none")


def apply(config: Config, arguments: argparse.Namespace) -> None:
    """Sets what these flags say. Raises ConfigError, which names the flag."""
    given = vars(arguments)
    if "no_access_log" in given:
        if given.get("access_log"):
            raise ConfigError("--no-access-log and --access-log exclude each other")
        config.load({"access_log": None}, "flag --no-access-log")
    ways = [
        flag
        for flag, names in (("--bind", ["bind"]), ("--host or --port", ["host", "port"]), *_OTHERS)
        if any(name in given for name in names)
    ]
    if len(ways) > 1:
        raise ConfigError(f"{' and '.join(ways)} exclude each other; --bind may be repeated")
    if "uds" in given:
        config.load({"bind": f"unix:{given['uds']}"}, "flag --uds")
    elif "fd" in given:
        config.load({"bind": f"fd://{given['fd']}"}, "flag --fd")
    elif "host" in given or "port" in given:
        flags = " and ".join(f"--{name}" for name in ("host", "port") if name in given)
        config.load({"bind": _address(config, given)}, f"flag {flags}")


_OTHERS = (("--uds", ["uds"]), ("--fd", ["fd"]))


def _address(config: Config, given: dict[str, str]) -> str:
    """The address of `--host` and `--port`. The part that is not given stays what it is, where it is set already."""
    before = parse_bind(config.bind[0]) if config.bind else None
    inet = before if before is not None and before.kind == "tcp" else None
    host = given.get("host", inet.host if inet is not None else LOOPBACK).strip("[]")
    if "port" not in given:
        return join_host_port(host, inet.port if inet is not None else DEFAULT_PORT)
    port = given["port"]
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigError(f"port = {port!r} (flag --port): expected a number from 0 to 65535")
    return join_host_port(host, int(port))
