"""Every option, declared once: `Config`, command line, environment and validation come from this table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypercorn.errors import ConfigError
from hypercorn.values import (
    BINDS,
    CLASS,
    COMPRESSION,
    COMPRESSION_DEFAULTS,
    LEVEL,
    MAPPING,
    PATH,
    SWITCH,
    TARGET,
    TEXT,
    TEXTS,
    UMASK,
    VERIFY_FLAGS,
    VERIFY_MODE,
    Kind,
    choice,
    number,
    optional,
    seconds,
    size,
)

ENV_PREFIX = "HYPERCORN_"
# Variables with that prefix that are no options.
ENV_OTHERS = frozenset({"CONFIG", "PURE_PYTHON", "NO_EXTENSIONS", "REQUIRE_EXTENSIONS"})


class _Unset:
    def __repr__(self) -> str:
        return "unset"


UNSET: Any = _Unset()

_ACCESS_LOG_FORMAT = '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


@dataclass(frozen=True)
class Option:
    """One option. `flags` are those of earlier releases; an option without any is called `--its-name`."""

    name: str
    kind: Kind
    default: Any
    group: str
    help: str
    flags: tuple[str, ...] = ()
    deprecated_flags: tuple[str, ...] = ()
    flagless: bool = False
    alias_of: str = ""
    secret: bool = False

    @property
    def all_flags(self) -> tuple[str, ...]:
        """The flags to show: the old ones, or the name with dashes."""
        if self.flagless:
            return ()
        return self.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.name.upper()

    def convert(self, value: Any, source: str) -> Any:
        """The value in its proper type.

        Raises ConfigError, which says what is wrong and where it came from.
        """
        try:
            return self.kind.read(value)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            shown = "a hidden value" if self.secret else repr(value)
            message = f"{self.name} = {shown} ({source}): expected {self.kind.expected}"
            if str(error) and self.kind is BINDS:
                message = f"{self.name} = {shown} ({source}): {error}; expected {self.kind.expected}"
            raise ConfigError(message) from None


def _maximum(value: Any) -> Any:
    """0 is no limit, as in other servers: a worker that ends before its first request helps nobody."""
    return number(0).read(value) or None


_OFF_OR_TIME = optional(seconds(positive=True))
_COUNT_OR_NONE = optional(Kind("a whole number (0: no limit)", _maximum, "N"))

OPTIONS: tuple[Option, ...] = (
    # --- what to serve, and where
    Option(
        "application_path",
        TEXT,
        UNSET,
        "Application",
        "module:app, as the command line has it",
        flagless=True,
    ),
    Option("root_path", TEXT, "", "Application", "path under which the application is mounted", ("--root-path",)),
    Option("lifespan", choice("auto", "on", "off"), "auto", "Application", "ASGI lifespan: on makes it mandatory"),
    Option("startup_timeout", seconds(), 60.0, "Application", "time for lifespan startup"),
    Option("shutdown_timeout", seconds(), 60.0, "Application", "time for lifespan shutdown"),
    Option("wsgi_max_body_size", size(0), 16 * 1024 * 1024, "Application", "request body of a WSGI application"),
    Option("bind", BINDS, ["127.0.0.1:8000"], "Binding", "address to serve on; may be repeated", ("-b", "--bind")),
    Option("insecure_bind", BINDS, [], "Binding", "address for plain HTTP beside TLS", ("--insecure-bind",)),
    Option("quic_bind", BINDS, [], "Binding", "address for HTTP/3 (UDP); needs TLS", ("--quic-bind",)),
    Option("backlog", number(0), 100, "Binding", "connections that may wait to be accepted", ("--backlog",)),
    Option("user", optional(number(0)), None, "Binding", "owner (uid) of unix sockets", ("-u", "--user")),
    Option("group", optional(number(0)), None, "Binding", "group (gid) of unix sockets", ("-g", "--group")),
    Option(
        "umask",
        UMASK,
        None,
        "Binding",
        "file mode mask of unix sockets; octal with 0 ahead",
        ("-m", "--umask"),
    ),
    Option("server_names", TEXTS, [], "Binding", "host name to answer to; may be repeated", ("--server-name",)),
    # --- processes and loops
    Option("workers", number(0), 1, "Workers", "worker processes; 0: serve in this one", ("-w", "--workers")),
    Option("worker_class", TEXT, "asyncio", "Workers", "asyncio, uvloop or trio", ("-k", "--worker-class")),
    Option("runtime", choice("auto", "reactor", "loop"), "auto", "Workers", "who moves the bytes"),
    Option(
        "max_requests",
        _COUNT_OR_NONE,
        None,
        "Workers",
        "requests until a worker is replaced",
        ("--max-requests",),
    ),
    Option(
        "max_requests_jitter",
        number(0),
        0,
        "Workers",
        "random part added to max_requests",
        ("--max-requests-jitter",),
    ),
    Option(
        "graceful_timeout",
        seconds(),
        3.0,
        "Workers",
        "time for open requests at shutdown",
        ("--graceful-timeout",),
    ),
    Option("daemon", SWITCH, True, "Workers", "workers may not have child processes", ("-D", "--daemon")),
    Option("use_reloader", SWITCH, False, "Workers", "restart when the code changes", ("--reload",)),
    Option("debug", SWITCH, False, "Workers", "the event loop's debug mode", ("--debug",)),
    Option("pid_path", PATH, None, "Workers", "file for the process id", ("-p", "--pid")),
    # --- limits; None is no limit
    Option("max_request_line_size", size(), 8192, "Limits", "request line; more is answered by 414"),
    Option("max_header_size", size(), 16384, "Limits", "all header fields together; more is answered by 431"),
    Option("max_header_count", number(1), 100, "Limits", "header fields; more are answered by 431"),
    Option("max_body_size", optional(size(0)), None, "Limits", "request body; more is answered by 413"),
    Option("max_unread_body", size(0), 65536, "Limits", "body that is read and dropped after the response"),
    Option("write_buffer_size", size(), 65536, "Limits", "output that waits before send() waits"),
    Option("max_app_queue_size", number(1), 10, "Limits", "messages that wait for the application"),
    Option("keep_alive_max_requests", number(1), 1000, "Limits", "requests on one connection"),
    Option("h2_max_concurrent_streams", number(1), 100, "Limits", "HTTP/2 streams of one connection"),
    Option("h2_max_header_list_size", size(), 65536, "Limits", "HTTP/2 header fields of one request"),
    Option("h2_max_inbound_frame_size", size(16384), 16384, "Limits", "HTTP/2 frame"),
    Option("h2_stream_window", size(), 65535, "Limits", "HTTP/2 request body that a client may send unasked"),
    Option("h2_max_stream_window", size(), 1048576, "Limits", "what that grows to while the application keeps up"),
    Option("h2_connection_window", size(65535), 4194304, "Limits", "HTTP/2 request bodies on their way together"),
    Option("h2_max_resets", number(1), 1000, "Limits", "HTTP/2 streams that a client may reset before an answer"),
    Option(
        "websocket_max_message_size",
        size(),
        16 * 1024 * 1024,
        "Limits",
        "WebSocket message; more closes with 1009",
    ),
    Option("websocket_max_frame_size", optional(size()), None, "Limits", "WebSocket frame; more closes with 1009"),
    Option("websocket_max_queue", number(1), 16, "Limits", "WebSocket messages that wait for the application"),
    # --- times; None is no limit
    Option("header_timeout", _OFF_OR_TIME, 10.0, "Timeouts", "time for a request's head, then 408"),
    Option("body_timeout", _OFF_OR_TIME, 30.0, "Timeouts", "time between pieces of a body, then 408"),
    Option("write_timeout", _OFF_OR_TIME, 60.0, "Timeouts", "time without progress of a response"),
    Option("read_timeout", _OFF_OR_TIME, None, "Timeouts", "takes the place of body_timeout", ("--read-timeout",)),
    Option("keep_alive_header", SWITCH, False, "Timeouts", "tell clients of keep_alive_timeout in a Keep-Alive field"),
    Option(
        "keep_alive_timeout",
        seconds(),
        5.0,
        "Timeouts",
        "time an idle connection stays open",
        ("--keep-alive",),
    ),
    Option("h2_ping_interval", _OFF_OR_TIME, 30.0, "Timeouts", "silence of an HTTP/2 client before a ping"),
    Option("h2_ping_timeout", _OFF_OR_TIME, 20.0, "Timeouts", "time for its answer"),
    Option("linger_timeout", seconds(), 2.0, "Timeouts", "time a closed connection may still be read"),
    Option("ssl_handshake_timeout", seconds(True), 60.0, "Timeouts", "time for the TLS handshake"),
    Option(
        "websocket_ping_interval",
        _OFF_OR_TIME,
        None,
        "Timeouts",
        "time between WebSocket pings",
        ("--websocket-ping-interval",),
    ),
    Option("websocket_ping_timeout", _OFF_OR_TIME, 20.0, "Timeouts", "time for the answer to a ping, then 1011"),
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
    # --- WebSocket
    Option("websockets", SWITCH, True, "WebSocket", "off: an upgrade to WebSocket is an ordinary request"),
    Option("websocket_origins", TEXTS, [], "WebSocket", "allowed Origin (none: any); may be repeated; else 403"),
    Option(
        "websocket_compression",
        COMPRESSION,
        dict(COMPRESSION_DEFAULTS),
        "WebSocket",
        "on, off, or settings such as level=6,window_bits=12,no_context_takeover=off,threshold=256",
    ),
    # --- TLS
    Option("certfile", PATH, None, "TLS", "certificate chain (PEM)", ("--certfile",)),
    Option("keyfile", PATH, None, "TLS", "private key (PEM)", ("--keyfile",)),
    Option(
        "keyfile_password",
        optional(TEXT),
        None,
        "TLS",
        "password of the key",
        ("--keyfile-password",),
        secret=True,
    ),
    Option("ca_certs", PATH, None, "TLS", "authorities that sign client certificates (PEM)", ("--ca-certs",)),
    Option("ciphers", TEXT, "ECDHE+AESGCM", "TLS", "ciphers of TLS 1.2, as OpenSSL names them", ("--ciphers",)),
    Option(
        "verify_mode",
        VERIFY_MODE,
        None,
        "TLS",
        "client certificates: asked for, or required",
        ("--verify-mode",),
    ),
    Option("verify_flags", VERIFY_FLAGS, None, "TLS", "flags of ssl.SSLContext.verify_flags"),
    Option("alpn_protocols", TEXTS, ["h2", "http/1.1"], "TLS", "protocol to offer; may be repeated"),
    Option(
        "cert_reqs",
        number(0, 2),
        UNSET,
        "TLS",
        "deprecated: use --verify-mode",
        ("--cert-reqs",),
        alias_of="verify_mode",
    ),
    # --- answers
    Option("include_date_header", SWITCH, True, "Responses", "add a date header"),
    Option("include_server_header", SWITCH, True, "Responses", "add a server header"),
    Option("alt_svc_headers", TEXTS, [], "Responses", "value of an alt-svc header; may be repeated"),
    Option("h11_pass_raw_headers", SWITCH, False, "Responses", "keep the case of request header names (HTTP/1)"),
    # --- logs
    Option(
        "accesslog",
        TARGET,
        None,
        "Logging",
        'file of the access log; "-" is stdout',
        ("--access-logfile",),
        ("--access-log",),
    ),
    Option(
        "access_log_format",
        TEXT,
        _ACCESS_LOG_FORMAT,
        "Logging",
        "form of an access record",
        ("--access-logformat",),
    ),
    Option("access_log_client_port", SWITCH, True, "Logging", "the atom h is host:port, not the host alone"),
    Option(
        "errorlog",
        TARGET,
        "-",
        "Logging",
        'file of the error log; "-" is stderr',
        ("--error-logfile", "--log-file"),
        ("--error-log",),
    ),
    Option("loglevel", LEVEL, "INFO", "Logging", "level of the error log", ("--log-level",)),
    Option(
        "logconfig",
        PATH,
        None,
        "Logging",
        "logging configuration: PATH, json:PATH or toml:PATH",
        ("--log-config",),
    ),
    Option("logconfig_dict", MAPPING, None, "Logging", "the same as a mapping", flagless=True),
    Option("logger_class", CLASS, UNSET, "Logging", "the class of Config.log", flagless=True),
    Option("statsd_host", optional(TEXT), None, "Logging", "host:port of a StatsD server", ("--statsd-host",)),
    Option("statsd_prefix", TEXT, "", "Logging", "prefix of all StatsD names", ("--statsd-prefix",)),
    Option("dogstatsd_tags", TEXT, "", "Logging", "tags of all StatsD metrics (DogStatsD)"),
    # --- names of earlier releases
    Option(
        "h11_max_incomplete_size",
        size(),
        UNSET,
        "Limits",
        "the earlier name of max_header_size",
        flagless=True,
        alias_of="max_header_size",
    ),
)

BY_NAME: dict[str, Option] = {option.name: option for option in OPTIONS}
# Options that `Config` keeps behind a property.
STORED_AS: dict[str, str] = {
    "bind": "_bind",
    "insecure_bind": "_insecure_bind",
    "quic_bind": "_quic_bind",
    "root_path": "_root_path",
}


def nearest(name: str, known: Iterable[str] = BY_NAME, cutoff: float = 0.6) -> str | None:
    """The known name that looks most like `name`, or None."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return found[0] if found else None
