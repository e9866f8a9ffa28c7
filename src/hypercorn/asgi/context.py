"""The application, its state and its paths, which the requests of one worker share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING
from urllib.parse import quote

from hypercorn.config.options import limits_of
from hypercorn.config.values import split_header
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.ports import Connection, Context
from hypercorn.protocol.records import Records
from hypercorn.protocol.response_fields import ResponseFields
from hypercorn.protocol.runtime import Runtime
from hypercorn.protocol.websocket.settings import WebSocketSettings
from hypercorn.wire.deflate import Compression

if TYPE_CHECKING:
    from hypercorn.asgi.broadcast import Broadcast
    from hypercorn.asgi.clients import ClientLimits
    from hypercorn.asgi.overload import Overload
    from hypercorn.certificates.challenges import Challenges
    from hypercorn.config import Config
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.net.proxies import ProxyHeaders
    from hypercorn.typing import LifespanState

PATH_CHARACTERS = "/:@!$&'()*+,;="  # what a path may have unescaped, beside letters and digits (RFC 3986 section 3.3)


class Gate:
    """What stands between a request and the application where options ask for it: `asgi.gate` sets it up."""

    __slots__ = (
        "answers",
        "broadcast",
        "challenged",
        "challenges",
        "clients",
        "misdirected",
        "overload",
        "overloaded",
        "proxy",
        "throttled",
    )

    def __init__(self) -> None:
        self.proxy: ProxyHeaders  # where proxies are trusted
        self.answers: dict[str, ASGIContext] | None = None  # contexts of paths that the server itself answers
        self.challenges: Challenges | None = None  # where the server gets its certificates by itself
        self.challenged: ASGIContext  # with `challenges`: the context of requests that ask for an answer to one
        self.overload: Overload | None = None
        self.overloaded: ASGIContext  # with `overload`: the context of requests that are too many
        self.broadcast: Broadcast | None = None  # where applications are offered broadcasts
        self.clients: ClientLimits | None = None  # where requests of each client are limited
        self.throttled: ASGIContext  # with `clients`: the context of requests that a client sends too often
        self.misdirected: ASGIContext | None = None  # of requests whose forwarded host is not served


class ASGIContext(Context):
    """The `Context` of connections whose exchanges are calls of an ASGI application."""

    __slots__ = (
        "added_path",
        "added_raw_path",
        "app",
        "arm_deadline",
        "connection_replaced",
        "gate",
        "pathsend",
        "request_opened",
        "root_path",
        "state",
    )

    def __init__(
        self,
        runtime: Runtime,
        app: Callable[..., Awaitable[object]],
        config: Config,
        logger: ErrorLog,
        limits: Limits | None = None,
    ) -> None:
        limits = Limits(limits_of(config)) if limits is None else limits
        super().__init__(runtime, limits, response_fields(config, limits), Records(logger))
        self.app = app
        self.request_opened: Callable[[], None] | None = None
        self.arm_deadline: Callable[[float], None] | None = None
        self.connection_replaced: Callable[[Connection | None, Connection], None] | None = None
        self.gate: Gate | None = None
        self.state: LifespanState = {}
        self.root_path = config.root_path
        # What a proxy takes off each path, and the application gets again; "" where paths are kept as they come.
        self.added_path = config.root_path if config.add_root_path else ""
        self.added_raw_path = quote(self.added_path, PATH_CHARACTERS).encode()
        self.pathsend = config.pathsend  # whether applications may give files
        self.take_settings(config)

    def take_settings(self, config: Config) -> None:
        """Takes what else the protocols are told."""
        self.keep_case = config.h11_pass_raw_headers
        self.http2 = "h2" in config.alpn_protocols
        self.h2c_upgrade = config.h2c_upgrade
        self.server_names = frozenset(name.lower().encode("ascii", "replace") for name in config.server_names)
        self.websocket = websocket_settings(config)

    def replaced(self, connection: Connection | None, successor: Connection) -> None:
        if self.connection_replaced is not None:
            self.connection_replaced(connection, successor)

    def arm(self, deadline: float) -> None:
        if self.arm_deadline is not None:
            self.arm_deadline(deadline)


def response_fields(config: Config, limits: Limits) -> ResponseFields:
    """The fields that the server adds to responses."""
    more = map(split_header, config.headers)
    fields = ResponseFields(config.include_date_header, config.include_server_header, more)
    fields.set_alt_svc(config.alt_svc_headers)
    if config.keep_alive_header and 0 < limits.keep_alive_timeout < inf:
        fields.set_keep_alive(limits.keep_alive_timeout)
    return fields


def websocket_settings(config: Config) -> WebSocketSettings | None:
    """The settings that WebSockets share, or None where they are switched off."""
    if not config.websockets:
        return None
    origins = (origin.lower().encode("ascii", "replace") for origin in config.websocket_origins)
    allowed = frozenset() if "*" in config.websocket_origins else frozenset(origins)
    return WebSocketSettings(allowed, Compression.of(config.websocket_compression), config.websocket_extended_connect)
