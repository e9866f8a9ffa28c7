"""The types of `Config`'s attributes and arguments.

Made from the option table by csrc/make_config.py: change src/hypercorn/config/options/ and run that.
"""

from collections.abc import Iterable, Mapping
from logging import Logger
from os import PathLike
from ssl import VerifyFlags, VerifyMode
from typing import Generic, Literal, TypeVar

from typing_extensions import TypedDict

from hypercorn.logs.logger import Logger as ServerLogger

_Type = TypeVar("_Type", covariant=True)
_Taken = TypeVar("_Taken", contravariant=True)

class Setting(Generic[_Type, _Taken]):
    """An attribute that is assigned a value of one type, and has it in another when it is read."""

    def __get__(self, instance: object, owner: object) -> _Type: ...
    def __set__(self, instance: object, value: _Taken) -> None: ...

class Attributes:
    """An attribute for each option of a server, and for each other name of one."""

    application_path: Setting[str, str]
    """module:app, as on the command line.

    A text; no default.
    """

    factory: Setting[bool, bool | str]
    """module:app is a factory: call it without arguments.

    True or false; False by default.
    """

    app_dir: Setting[str | None, str | PathLike[str] | None]
    """Folder to import from, instead of the working directory.

    A path, or none; None by default.
    """

    env_file: Setting[str | None, str | PathLike[str] | None]
    """File of KEY=VALUE lines; variables that are already set win.

    A path, or none; None by default.
    """

    strict: Setting[bool, bool | str]
    """An unknown option is an error, not a warning.

    True or false; False by default.
    """

    root_path: Setting[str, str]
    """Path that the application is mounted under.

    A text; '' by default.
    """

    add_root_path: Setting[bool, bool | str]
    """Put root_path in front of each request's path, for a proxy that strips it.

    True or false; False by default.
    """

    lifespan: Setting[Literal["auto", "on", "off"], Literal["auto", "on", "off"]]
    """ASGI lifespan: on makes it mandatory.

    One of auto, on, off; 'auto' by default.
    """

    validate_app: Setting[bool, bool | str]
    """Check each message of the application against the ASGI or WSGI specification.

    True or false; False by default.
    """

    startup_timeout: Setting[float | None, float | str | None]
    """Time for lifespan startup.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; 60.0 by default.
    """

    shutdown_timeout: Setting[float | None, float | str | None]
    """Time for lifespan shutdown.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; 60.0 by default.
    """

    wsgi_max_body_size: Setting[int | None, int | str | None]
    """Request body of a WSGI application; none: up to wsgi_spool_size.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB, or none; None by default.
    """

    wsgi_buffer_size: Setting[int, int | str]
    """Part of a WSGI body kept in memory; the rest is on disk.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB; 65536 by default.
    """

    wsgi_spool_size: Setting[int | None, int | str | None]
    """WSGI bodies on disk, in total; then 503.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB, or none; 1073741824 by default.
    """

    wsgi_threads: Setting[int | Literal["auto"], int | str]
    """Threads for a WSGI application; auto: the number of CPUs plus 4, at most 32.

    A whole number of 1 or more, or auto; 'auto' by default.
    """

    wsgi_queue_size: Setting[int, int | str]
    """Requests waiting for a thread; then 503.

    A whole number of 0 or more; 1000 by default.
    """

    wsgi_queue_timeout: Setting[float | None, float | str | None]
    """Longest wait for a thread; then 503.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 30.0 by default.
    """

    bind: Setting[list[str], str | Iterable[str]]
    """Address to serve on; may be repeated.

    Host:port, host, [ipv6]:port, unix:path, unix:@name (abstract, Linux) or fd://number (or a list of these);
    ['127.0.0.1:8000'] by default.
    """

    insecure_bind: Setting[list[str], str | Iterable[str]]
    """Address for plain HTTP beside TLS.

    Host:port, host, [ipv6]:port, unix:path, unix:@name (abstract, Linux) or fd://number (or a list of these);
    [] by default.
    """

    quic_bind: Setting[list[str], str | Iterable[str]]
    """Address for HTTP/3 (UDP); needs TLS.

    Host:port, host, [ipv6]:port, unix:path, unix:@name (abstract, Linux) or fd://number (or a list of these);
    [] by default.
    """

    http3: Setting[bool, bool | str]
    """HTTP/3 over UDP on the ports of bind; needs TLS.

    True or false; False by default.
    """

    h2c_upgrade: Setting[bool, bool | str]
    """Allow Upgrade: h2c (HTTP/2 without TLS), except from trusted proxies; withdrawn by RFC 9113.

    True or false; False by default.
    """

    backlog: Setting[int, int | str]
    """Connections that may wait to be accepted.

    A whole number of 0 or more; 100 by default.
    """

    reuse_port: Setting[bool, bool | str]
    """One socket for each worker (SO_REUSEPORT), not one for all.

    True or false; False by default.
    """

    user: Setting[int | None, int | str | None]
    """Owner of unix sockets, by name or number.

    The name or the number of a user, or none; None by default.
    """

    group: Setting[int | None, int | str | None]
    """Group of unix sockets, by name or number.

    The name or the number of a group, or none; None by default.
    """

    umask: Setting[int | None, int | str | None]
    """File mode mask of unix sockets; octal if it begins with 0.

    A mask such as 0o077 or 077 (octal), or a decimal number, or none; None by default.
    """

    server_names: Setting[list[str], str | Iterable[str]]
    """Host name to serve; may be repeated.

    A text or a list of texts; [] by default.
    """

    server_name: Setting[list[str], str | Iterable[str]]
    """Another name of `server_names`."""

    workers: Setting[int, int | str]
    """Worker processes; auto; 0: serve in this process.

    A whole number of 0 or more; 1 by default.
    """

    worker_class: Setting[str, str]
    """Asyncio, uvloop or trio.

    A text; 'asyncio' by default.
    """

    runtime: Setting[Literal["auto", "reactor", "loop"], Literal["auto", "reactor", "loop"]]
    """What moves the bytes: the compiled reactor, or the event loop.

    One of auto, reactor, loop; 'auto' by default.
    """

    max_requests: Setting[int | None, int | str | None]
    """Requests after which a worker is replaced.

    A whole number of 1 or more, or none; None by default.
    """

    max_requests_jitter: Setting[int, int | str]
    """Largest random number added to max_requests.

    A whole number of 0 or more; 0 by default.
    """

    on_worker_exit: Setting[str | None, str | None]
    """module:function to call with the process id and exit code of each ended worker.

    Module:function, or none; None by default.
    """

    max_worker_age: Setting[float | None, float | str | None]
    """Age at which a worker is replaced.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    max_worker_memory: Setting[int | None, int | str | None]
    """Resident memory at which a worker is replaced.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB, or none; None by default.
    """

    worker_timeout: Setting[float | None, float | str | None]
    """Kill and replace a worker whose event loop hangs for longer than this.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    preload: Setting[bool, bool | str]
    """Load the application once, before the workers are forked.

    True or false; False by default.
    """

    start_method: Setting[Literal["auto", "spawn", "fork"], Literal["auto", "spawn", "fork"]]
    """Start workers as fresh interpreters, or fork them (auto: fork if that is safe).

    One of auto, spawn, fork; 'auto' by default.
    """

    graceful_timeout: Setting[float | None, float | str | None]
    """Time for open requests at shutdown; none: no limit.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; 3.0 by default.
    """

    shutdown_delay: Setting[float, float | str]
    """Time to keep serving before shutdown, reported as not ready.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m; 0.0 by default.
    """

    shutdown_notify_delay: Setting[float | None, float | str | None]
    """Time after which applications that stream a response are told of the shutdown.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    preemption_hook: Setting[str | None, str | None]
    """module:function that returns once the machine is about to be taken away; the server then stops
    gracefully.

    Module:function, or none; None by default.
    """

    control: Setting[str, str]
    """Path of the control socket; none: no socket.

    Auto, none, a path, unix:path or unix:@name (abstract, Linux); 'auto' by default.
    """

    daemon: Setting[bool, bool | str]
    """Workers are daemonic: they may have no child processes.

    True or false; True by default.
    """

    reload: Setting[bool, bool | str]
    """Restart when the code changes.

    True or false; False by default.
    """

    use_reloader: Setting[bool, bool | str]
    """Another name of `reload`."""

    reload_dirs: Setting[list[str], str | PathLike[str] | Iterable[str | PathLike[str]]]
    """Folder to watch, instead of the working directory; may be repeated.

    A folder that exists, or a list of such; [] by default.
    """

    reload_dir: Setting[list[str], str | PathLike[str] | Iterable[str | PathLike[str]]]
    """Another name of `reload_dirs`."""

    reload_include: Setting[list[str], str | Iterable[str]]
    """Files to watch for changes; may be repeated.

    A text or a list of texts; ['*.py'] by default.
    """

    reload_exclude: Setting[list[str], str | Iterable[str]]
    """Files and folders to ignore; may be repeated.

    A text or a list of texts; [] by default.
    """

    debug: Setting[bool, bool | str]
    """Debug mode of the event loop.

    True or false; False by default.
    """

    pid_path: Setting[str | None, str | PathLike[str] | None]
    """File for the process id.

    A path, or none; None by default.
    """

    pid: Setting[str | None, str | PathLike[str] | None]
    """Another name of `pid_path`."""

    process_name: Setting[str | None, str | None]
    """Name of the processes in ps and top, instead of module:app; needs the extra setproctitle.

    A text, or none; None by default.
    """

    proc_name: Setting[str | None, str | None]
    """Another name of `process_name`."""

    max_request_line_size: Setting[int, int | str]
    """Request line; longer ones get 414.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB; 8192 by default.
    """

    max_header_size: Setting[int, int | str]
    """All header fields together; more gets 431.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB; 16384 by default.
    """

    h11_max_incomplete_size: Setting[int, int | str]
    """Another name of `max_header_size`."""

    max_header_count: Setting[int, int | str]
    """Number of header fields; more get 431.

    A whole number of 1 or more; 100 by default.
    """

    max_body_size: Setting[int | None, int | str | None]
    """Request body; more gets 413.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB, or none; None by default.
    """

    max_unread_body: Setting[int, int | str]
    """Unread request body that is read and dropped, so that the client sees the response.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB; 16777216 by default.
    """

    min_receive_rate: Setting[int | None, int | str | None]
    """Bytes per second of a request body; fewer get 408, except gRPC over HTTP/2 and HTTP/3.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB, or none; 240 by default.
    """

    min_send_rate: Setting[int | None, int | str | None]
    """Bytes per second of waiting output that a client must read.

    A size in bytes of 0 or more, such as 65536, 64KiB or 16MiB, or none; 240 by default.
    """

    write_buffer_size: Setting[int, int | str]
    """Waiting output at which send() waits.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB; 65536 by default.
    """

    max_app_queue_size: Setting[int, int | str]
    """Messages waiting for the application.

    A whole number of 1 or more; 10 by default.
    """

    keep_alive_max_requests: Setting[int | None, int | str | None]
    """Requests on one connection.

    A whole number of 1 or more, or none; 1000 by default.
    """

    h2_max_concurrent_streams: Setting[int, int | str]
    """HTTP/2 streams of one connection.

    A whole number of 1 or more; 100 by default.
    """

    h2_max_header_list_size: Setting[int, int | str]
    """HTTP/2 header fields of one request.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB; 65536 by default.
    """

    h2_max_inbound_frame_size: Setting[int, int | str]
    """HTTP/2 frame.

    A size in bytes of 16384 or more, such as 65536, 64KiB or 16MiB; 16384 by default.
    """

    h2_stream_window: Setting[int, int | str]
    """HTTP/2 request body that a client may send before it is read.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB; 65535 by default.
    """

    h2_max_stream_window: Setting[int, int | str]
    """Limit to which that grows while the application keeps up.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB; 1048576 by default.
    """

    h2_connection_window: Setting[int, int | str]
    """HTTP/2 request bodies in transit, in total.

    A size in bytes of 65535 or more, such as 65536, 64KiB or 16MiB; 4194304 by default.
    """

    h2_max_resets: Setting[int, int | str]
    """HTTP/2 streams that a client may reset before a response.

    A whole number of 1 or more; 1000 by default.
    """

    quic_max_connections: Setting[int, int | str]
    """HTTP/3 connections of one worker.

    A whole number of 1 or more; 10000 by default.
    """

    quic_max_datagram_size: Setting[int, int | str]
    """Largest UDP datagram sent, if the path carries it.

    A whole number from 1200 to 65507; 8952 by default.
    """

    quic_retry_threshold: Setting[int, int | str]
    """Open handshakes above which clients must prove their address.

    A whole number of 0 or more; 100 by default.
    """

    websocket_max_message_size: Setting[int | None, int | str | None]
    """WebSocket message; more closes with 1009.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB, or none; 16777216 by default.
    """

    websocket_max_frame_size: Setting[int | None, int | str | None]
    """WebSocket frame; more closes with 1009.

    A size in bytes of 1 or more, such as 65536, 64KiB or 16MiB, or none; None by default.
    """

    websocket_max_queue: Setting[int, int | str]
    """WebSocket messages waiting for the application.

    A whole number of 1 or more; 16 by default.
    """

    header_timeout: Setting[float | None, float | str | None]
    """Time for a request's head; then 408.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 10.0 by default.
    """

    body_timeout: Setting[float | None, float | str | None]
    """Time between pieces of a body; then 408.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 30.0 by default.
    """

    write_timeout: Setting[float | None, float | str | None]
    """Time without progress in sending a response.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 60.0 by default.
    """

    min_rate_grace: Setting[float, float | str]
    """Time before min_receive_rate and min_send_rate count.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m; 5.0 by default.
    """

    read_timeout: Setting[float | None, float | str | None]
    """Replaces body_timeout.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    keep_alive_header: Setting[bool, bool | str]
    """Announce keep_alive_timeout in a Keep-Alive field.

    True or false; False by default.
    """

    keep_alive_timeout: Setting[float | None, float | str | None]
    """Time that an idle connection stays open; 0: none does.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; 5.0 by default.
    """

    keep_alive: Setting[float | None, float | str | None]
    """Another name of `keep_alive_timeout`."""

    idle_grace: Setting[float, float | str]
    """At shutdown, time that an idle connection stays open after its last use.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m; 1.0 by default.
    """

    h2_ping_interval: Setting[float | None, float | str | None]
    """Silence of an HTTP/2 client before a ping.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 30.0 by default.
    """

    h2_ping_timeout: Setting[float | None, float | str | None]
    """Time for the answer to that ping.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 20.0 by default.
    """

    quic_idle_timeout: Setting[float, float | str]
    """Silence after which an HTTP/3 connection ends.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m; 60.0 by default.
    """

    linger_timeout: Setting[float | None, float | str | None]
    """Time that a closed connection is still read.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; 2.0 by default.
    """

    ssl_handshake_timeout: Setting[float, float | str]
    """Time for the TLS handshake.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m; 60.0 by default.
    """

    websocket_ping_interval: Setting[float | None, float | str | None]
    """Time between WebSocket pings.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    websocket_ping_timeout: Setting[float | None, float | str | None]
    """Time for the answer to a ping; then 1011.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 20.0 by default.
    """

    websocket_close_timeout: Setting[float | None, float | str | None]
    """Time for a WebSocket's closing handshake.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 10.0 by default.
    """

    websocket_handshake_timeout: Setting[float | None, float | str | None]
    """Time for the application to answer a WebSocket handshake.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; 60.0 by default.
    """

    websocket_idle_timeout: Setting[float | None, float | str | None]
    """Time without a WebSocket message.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    websocket_lifetime: Setting[float | None, float | str | None]
    """Time that a WebSocket may last.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    websockets: Setting[bool, bool | str]
    """off: a WebSocket upgrade is an ordinary request.

    True or false; True by default.
    """

    websocket_extended_connect: Setting[bool, bool | str]
    """off: no WebSockets over HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220); clients then use HTTP/1.1.

    True or false; True by default.
    """

    websocket_origins: Setting[list[str], str | Iterable[str]]
    """Allowed Origin, others get 403 (none: any); may be repeated.

    A text or a list of texts; [] by default.
    """

    websocket_compression: Setting[dict[str, int] | None, Mapping[str, object] | bool | str | None]
    """On, off, or settings such as level=6,window_bits=12,no_context_takeover=off,threshold=256.

    On, off, or a mapping of level, window_bits, no_context_takeover, threshold; {'level': 6, 'window_bits':
    12, 'no_context_takeover': False, 'threshold': 256} by default.
    """

    websocket_broadcast: Setting[bool, bool | str]
    """Offer applications the ASGI extension hypercorn.websocket.broadcast: one message for many WebSockets.

    True or false; False by default.
    """

    trusted_proxies: Setting[list[str], str | Iterable[str]]
    """Address or network of a trusted proxy, or "unix" for unix sockets; may be repeated.

    An address, a network, "unix" or "*" (or a list of these); [] by default.
    """

    proxy_headers: Setting[Literal["x-forwarded", "forwarded"], Literal["x-forwarded", "forwarded"]]
    """Fields to trust: X-Forwarded-For and -Proto, or for and proto of Forwarded (RFC 7239).

    One of x-forwarded, forwarded; 'x-forwarded' by default.
    """

    forwarded_host: Setting[bool, bool | str]
    """Take the host from X-Forwarded-Host (or host of Forwarded), which every trusted proxy must set.

    True or false; False by default.
    """

    forwarded_port: Setting[bool, bool | str]
    """Take the port from X-Forwarded-Port, which every trusted proxy must set.

    True or false; False by default.
    """

    forwarded_prefix: Setting[bool, bool | str]
    """Put X-Forwarded-Prefix in front of root_path; every trusted proxy must set it.

    True or false; False by default.
    """

    proxy_protocol: Setting[bool, bool | str]
    """Expect a PROXY header (version 1 or 2) on connections from trusted proxies.

    True or false; False by default.
    """

    health_path: Setting[str | None, str | None]
    """Path for liveness checks, answered by the server itself.

    A path that begins with /, or none; None by default.
    """

    ready_path: Setting[str | None, str | None]
    """Path for readiness checks: 200, or 503 while the server drains.

    A path that begins with /, or none; None by default.
    """

    metrics_bind: Setting[list[str], str | Iterable[str]]
    """Address of /metrics (OpenMetrics), /health and /ready, in plain HTTP; may be repeated.

    Host:port, host, [ipv6]:port, unix:path, unix:@name (abstract, Linux) or fd://number (or a list of these);
    [] by default.
    """

    limit_connections: Setting[int | None, int | str | None]
    """Connections per worker; more get 503.

    A whole number of 1 or more, or none; None by default.
    """

    limit_concurrency: Setting[int | None, int | str | None]
    """Concurrent requests and WebSockets per worker; more get 503.

    A whole number of 1 or more, or none; None by default.
    """

    shed_delay: Setting[float | None, float | str | None]
    """Wait for the event loop beyond which, if it lasts, new requests get 503.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    client_connections: Setting[int | None, int | str | None]
    """Connections of one client; more get 429.

    A whole number of 1 or more, or none; None by default.
    """

    client_connection_rate: Setting[int | None, int | str | None]
    """New connections of one client in a second, in the mean; more are refused by 429.

    A whole number of 1 or more, or none; None by default.
    """

    client_connection_burst: Setting[int | None, int | str | None]
    """New connections of one client at once; none: as many as client_connection_rate.

    A whole number of 1 or more, or none; None by default.
    """

    client_request_rate: Setting[int | None, int | str | None]
    """Requests of one client in a second, in the mean; more are answered by 429.

    A whole number of 1 or more, or none; None by default.
    """

    client_request_burst: Setting[int | None, int | str | None]
    """Requests of one client at once; none: as many as client_request_rate.

    A whole number of 1 or more, or none; None by default.
    """

    client_prefix_ipv4: Setting[int, int | str]
    """Bits of an IPv4 address that make a client.

    A whole number from 1 to 32; 32 by default.
    """

    client_prefix_ipv6: Setting[int, int | str]
    """Bits of an IPv6 address that make a client.

    A whole number from 1 to 128; 64 by default.
    """

    client_table_size: Setting[int | None, int | str | None]
    """Clients whose rates a worker remembers.

    A whole number of 1 or more, or none; 10000 by default.
    """

    client_exempt_paths: Setting[list[str], str | Iterable[str]]
    """Path whose requests, and those below it, no client_request_rate counts; may be repeated.

    A path that begins with /, or a list of such; [] by default.
    """

    slow_callback: Setting[float | None, float | str | None]
    """Log what blocks the event loop for longer than this.

    A time in seconds, more than 0, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    quic_qlog_dir: Setting[str | None, str | PathLike[str] | None]
    """Folder for a qlog file of each QUIC connection, to look into HTTP/3.

    A path, or none; None by default.
    """

    slow_request: Setting[float | None, float | str | None]
    """Remember requests that take this long or longer, for hypercorn ctl slow.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m, or none; None by default.
    """

    certfile: Setting[str | None, str | PathLike[str] | None]
    """Certificate chain (PEM).

    A path, or none; None by default.
    """

    keyfile: Setting[str | None, str | PathLike[str] | None]
    """Private key (PEM).

    A path, or none; None by default.
    """

    keyfile_password: Setting[str | None, str | None]
    """Password of the key.

    A text, or none; None by default.
    """

    dev_tls: Setting[bool, bool | str]
    """Certificate for localhost and this machine's name, by a CA of your own, for development.

    True or false; False by default.
    """

    acme: Setting[list[str], str | Iterable[str]]
    """Host name to get a certificate for, by ACME, agreeing to the authority's terms; may be repeated.

    A host name such as example.org, in ASCII, no address and no wildcard (or a list of these); [] by default.
    """

    acme_email: Setting[str | None, str | None]
    """Address that the authority may write to.

    A text, or none; None by default.
    """

    acme_directory: Setting[str, str]
    """ACME directory: a URL, or one of Let's Encrypt's.

    Production, staging (Let's Encrypt's), or a URL that begins with https://; 'production' by default.
    """

    acme_state: Setting[str | None, str | PathLike[str] | None]
    """Folder of accounts and certificates (default: in the user's data folder).

    A path, or none; None by default.
    """

    acme_eab_kid: Setting[str | None, str | None]
    """Key identifier of an external account.

    A text, or none; None by default.
    """

    acme_eab_hmac_key: Setting[str | None, str | None]
    """Key of an external account, in base64url.

    A key in base64url, as the authority gave it, or none; None by default.
    """

    ca_certs: Setting[str | None, str | PathLike[str] | None]
    """Authorities that sign client certificates (PEM).

    A path, or none; None by default.
    """

    ciphers: Setting[str, str]
    """Ciphers of TLS 1.2, as OpenSSL names them.

    A text; 'ECDHE+AESGCM' by default.
    """

    verify_mode: Setting[VerifyMode | None, VerifyMode | int | str | None]
    """Client certificates: CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED.

    One of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, or none; None by default.
    """

    verify_flags: Setting[VerifyFlags | None, VerifyFlags | int | str | None]
    """Flags of ssl.SSLContext.verify_flags.

    Names of ssl.VerifyFlags, or their number, or none; None by default.
    """

    alpn_protocols: Setting[list[str], str | Iterable[str]]
    """Protocol to offer; may be repeated.

    A text or a list of texts; ['h2', 'http/1.1'] by default.
    """

    certificates: Setting[list[str], str | Iterable[str]]
    """Certificate for clients that ask for this host (SNI): HOST CERTFILE KEYFILE; may be repeated.

    "HOST CERTFILE KEYFILE", or a list of these; [] by default.
    """

    certificate: Setting[list[str], str | Iterable[str]]
    """Another name of `certificates`."""

    certificate_reload: Setting[bool, bool | str]
    """Use a certificate that was replaced on disk.

    True or false; True by default.
    """

    tls_min_version: Setting[Literal["1.2", "1.3"], Literal["1.2", "1.3"]]
    """Oldest TLS version accepted.

    One of 1.2, 1.3; '1.2' by default.
    """

    tls13_ciphers: Setting[str | None, str | None]
    """Cipher suites of TLS 1.3, if Python can set them.

    A text, or none; None by default.
    """

    crl_file: Setting[str | None, str | PathLike[str] | None]
    """Revoked client certificates (PEM).

    A path, or none; None by default.
    """

    include_date_header: Setting[bool, bool | str]
    """Add a date header.

    True or false; True by default.
    """

    include_server_header: Setting[bool, bool | str]
    """Add a server header.

    True or false; True by default.
    """

    headers: Setting[list[str], str | Iterable[str]]
    """Header to add to every response, "Name: value"; may be repeated.

    "Name: value", or a list of these; [] by default.
    """

    header: Setting[list[str], str | Iterable[str]]
    """Another name of `headers`."""

    alt_svc_headers: Setting[list[str], str | Iterable[str]]
    """Value of an alt-svc header; may be repeated.

    A text or a list of texts; [] by default.
    """

    alt_svc_max_age: Setting[float, float | str]
    """Time that clients remember that HTTP/3 is available.

    A time in seconds, 0 or more, such as 5, 2.5, 500ms, 30s or 2m; 3600.0 by default.
    """

    pathsend: Setting[bool, bool | str]
    """Offer http.response.pathsend and zerocopysend; not for middleware that changes bodies.

    True or false; False by default.
    """

    server_timing: Setting[Literal["off", "trusted", "on"], Literal["off", "trusted", "on"]]
    """Add server-timing, with the times of queue and application: to every response, or to those of trusted
    proxies.

    One of off, trusted, on; 'off' by default.
    """

    h11_pass_raw_headers: Setting[bool, bool | str]
    """Keep the case of request header names (HTTP/1).

    True or false; False by default.
    """

    access_log: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """File of the access log; "-" is stdout.

    A path, "-", a logging.Logger, or none; None by default.
    """

    accesslog: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """Another name of `access_log`."""

    access_logfile: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """Another name of `access_log`."""

    access_log_format: Setting[str, str]
    """Format of an access record: atoms, or common, combined, json or short.

    A text; '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"' by default.
    """

    access_logformat: Setting[str, str]
    """Another name of `access_log_format`."""

    log_format: Setting[Literal["text", "json"], Literal["text", "json"]]
    """Format of both logs.

    One of text, json; 'text' by default.
    """

    access_log_client_port: Setting[bool, bool | str]
    """The atom h is host:port, not only the host.

    True or false; True by default.
    """

    error_log: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """File of the error log; "-" is stderr.

    A path, "-", a logging.Logger, or none; '-' by default.
    """

    errorlog: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """Another name of `error_log`."""

    error_logfile: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """Another name of `error_log`."""

    log_file: Setting[Logger | str | None, Logger | str | PathLike[str] | bool | None]
    """Another name of `error_log`."""

    log_level: Setting[str, str | int]
    """Level of the error log.

    The name of a logging level, such as DEBUG, INFO or ERROR; 'INFO' by default.
    """

    loglevel: Setting[str, str | int]
    """Another name of `log_level`."""

    log_config: Setting[str | None, str | PathLike[str] | None]
    """Logging configuration: a .json, .yaml, .toml or .ini file; none: leave the program's loggers as they
    are.

    A path (.json, .yaml, .toml, or else ini), json:PATH, toml:PATH, yaml:PATH, or "none"; None by default.
    """

    logconfig: Setting[str | None, str | PathLike[str] | None]
    """Another name of `log_config`."""

    log_config_dict: Setting[Mapping[str, object] | None, Mapping[str, object] | None]
    """Logging configuration, as a mapping.

    A mapping (logging.config.dictConfig), or none; None by default.
    """

    logconfig_dict: Setting[Mapping[str, object] | None, Mapping[str, object] | None]
    """Another name of `log_config_dict`."""

    logger_class: Setting[type[ServerLogger], type[ServerLogger]]
    """The class of Config.log.

    A class; no default.
    """

    otel: Setting[bool, bool | str]
    """Export spans and metrics by OpenTelemetry (OTLP); needs the extra otel.

    True or false; False by default.
    """

    statsd_host: Setting[str | None, str | None]
    """host:port of a StatsD server.

    A text, or none; None by default.
    """

    statsd_prefix: Setting[str, str]
    """Prefix of all StatsD names.

    A text; '' by default.
    """

    dogstatsd_tags: Setting[str, str]
    """Tags of all StatsD metrics (DogStatsD).

    A text; '' by default.
    """

class Options(TypedDict, total=False):
    """Options as keyword arguments."""

    application_path: str
    factory: bool | str
    app_dir: str | PathLike[str] | None
    env_file: str | PathLike[str] | None
    strict: bool | str
    root_path: str
    add_root_path: bool | str
    lifespan: Literal["auto", "on", "off"]
    validate_app: bool | str
    startup_timeout: float | str | None
    shutdown_timeout: float | str | None
    wsgi_max_body_size: int | str | None
    wsgi_buffer_size: int | str
    wsgi_spool_size: int | str | None
    wsgi_threads: int | str
    wsgi_queue_size: int | str
    wsgi_queue_timeout: float | str | None
    bind: str | Iterable[str]
    insecure_bind: str | Iterable[str]
    quic_bind: str | Iterable[str]
    http3: bool | str
    h2c_upgrade: bool | str
    backlog: int | str
    reuse_port: bool | str
    user: int | str | None
    group: int | str | None
    umask: int | str | None
    server_names: str | Iterable[str]
    server_name: str | Iterable[str]
    workers: int | str
    worker_class: str
    runtime: Literal["auto", "reactor", "loop"]
    max_requests: int | str | None
    max_requests_jitter: int | str
    on_worker_exit: str | None
    max_worker_age: float | str | None
    max_worker_memory: int | str | None
    worker_timeout: float | str | None
    preload: bool | str
    start_method: Literal["auto", "spawn", "fork"]
    graceful_timeout: float | str | None
    shutdown_delay: float | str
    shutdown_notify_delay: float | str | None
    preemption_hook: str | None
    control: str
    daemon: bool | str
    reload: bool | str
    use_reloader: bool | str
    reload_dirs: str | PathLike[str] | Iterable[str | PathLike[str]]
    reload_dir: str | PathLike[str] | Iterable[str | PathLike[str]]
    reload_include: str | Iterable[str]
    reload_exclude: str | Iterable[str]
    debug: bool | str
    pid_path: str | PathLike[str] | None
    pid: str | PathLike[str] | None
    process_name: str | None
    proc_name: str | None
    max_request_line_size: int | str
    max_header_size: int | str
    h11_max_incomplete_size: int | str
    max_header_count: int | str
    max_body_size: int | str | None
    max_unread_body: int | str
    min_receive_rate: int | str | None
    min_send_rate: int | str | None
    write_buffer_size: int | str
    max_app_queue_size: int | str
    keep_alive_max_requests: int | str | None
    h2_max_concurrent_streams: int | str
    h2_max_header_list_size: int | str
    h2_max_inbound_frame_size: int | str
    h2_stream_window: int | str
    h2_max_stream_window: int | str
    h2_connection_window: int | str
    h2_max_resets: int | str
    quic_max_connections: int | str
    quic_max_datagram_size: int | str
    quic_retry_threshold: int | str
    websocket_max_message_size: int | str | None
    websocket_max_frame_size: int | str | None
    websocket_max_queue: int | str
    header_timeout: float | str | None
    body_timeout: float | str | None
    write_timeout: float | str | None
    min_rate_grace: float | str
    read_timeout: float | str | None
    keep_alive_header: bool | str
    keep_alive_timeout: float | str | None
    keep_alive: float | str | None
    idle_grace: float | str
    h2_ping_interval: float | str | None
    h2_ping_timeout: float | str | None
    quic_idle_timeout: float | str
    linger_timeout: float | str | None
    ssl_handshake_timeout: float | str
    websocket_ping_interval: float | str | None
    websocket_ping_timeout: float | str | None
    websocket_close_timeout: float | str | None
    websocket_handshake_timeout: float | str | None
    websocket_idle_timeout: float | str | None
    websocket_lifetime: float | str | None
    websockets: bool | str
    websocket_extended_connect: bool | str
    websocket_origins: str | Iterable[str]
    websocket_compression: Mapping[str, object] | bool | str | None
    websocket_broadcast: bool | str
    trusted_proxies: str | Iterable[str]
    proxy_headers: Literal["x-forwarded", "forwarded"]
    forwarded_host: bool | str
    forwarded_port: bool | str
    forwarded_prefix: bool | str
    proxy_protocol: bool | str
    health_path: str | None
    ready_path: str | None
    metrics_bind: str | Iterable[str]
    limit_connections: int | str | None
    limit_concurrency: int | str | None
    shed_delay: float | str | None
    client_connections: int | str | None
    client_connection_rate: int | str | None
    client_connection_burst: int | str | None
    client_request_rate: int | str | None
    client_request_burst: int | str | None
    client_prefix_ipv4: int | str
    client_prefix_ipv6: int | str
    client_table_size: int | str | None
    client_exempt_paths: str | Iterable[str]
    slow_callback: float | str | None
    quic_qlog_dir: str | PathLike[str] | None
    slow_request: float | str | None
    certfile: str | PathLike[str] | None
    keyfile: str | PathLike[str] | None
    keyfile_password: str | None
    dev_tls: bool | str
    acme: str | Iterable[str]
    acme_email: str | None
    acme_directory: str
    acme_state: str | PathLike[str] | None
    acme_eab_kid: str | None
    acme_eab_hmac_key: str | None
    ca_certs: str | PathLike[str] | None
    ciphers: str
    verify_mode: VerifyMode | int | str | None
    verify_flags: VerifyFlags | int | str | None
    alpn_protocols: str | Iterable[str]
    certificates: str | Iterable[str]
    certificate: str | Iterable[str]
    certificate_reload: bool | str
    tls_min_version: Literal["1.2", "1.3"]
    tls13_ciphers: str | None
    crl_file: str | PathLike[str] | None
    cert_reqs: int | str
    include_date_header: bool | str
    include_server_header: bool | str
    headers: str | Iterable[str]
    header: str | Iterable[str]
    alt_svc_headers: str | Iterable[str]
    alt_svc_max_age: float | str
    pathsend: bool | str
    server_timing: Literal["off", "trusted", "on"]
    h11_pass_raw_headers: bool | str
    access_log: Logger | str | PathLike[str] | bool | None
    accesslog: Logger | str | PathLike[str] | bool | None
    access_logfile: Logger | str | PathLike[str] | bool | None
    access_log_format: str
    access_logformat: str
    log_format: Literal["text", "json"]
    access_log_client_port: bool | str
    error_log: Logger | str | PathLike[str] | bool | None
    errorlog: Logger | str | PathLike[str] | bool | None
    error_logfile: Logger | str | PathLike[str] | bool | None
    log_file: Logger | str | PathLike[str] | bool | None
    log_level: str | int
    loglevel: str | int
    log_config: str | PathLike[str] | None
    logconfig: str | PathLike[str] | None
    log_config_dict: Mapping[str, object] | None
    logconfig_dict: Mapping[str, object] | None
    logger_class: type[ServerLogger]
    otel: bool | str
    statsd_host: str | None
    statsd_prefix: str
    dogstatsd_tags: str
