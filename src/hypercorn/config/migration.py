"""Options of other servers and their equivalents here.

The tables of docs/migration (`python docs/make_reference.py`), the error for a flag of another server, and the warning
about a setting of another server in a configuration are all made from these rows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hypercorn.config.options import ALIASES, BY_NAME


class Row(NamedTuple):
    """Flags of another server, the equivalent flags here (empty where there are none), and a note for the reader.

    Names are separated by spaces; the note is Markdown. `settings` are the names of the same settings in the other
    server's configuration or API, where they differ from the flags with underscores.
    """

    theirs: str
    ours: str
    note: str = ""
    settings: str = ""


UVICORN = (
    Row("--host --port", "--host --port", "or `--bind HOST:PORT`, which may be repeated", "host port"),
    Row("--uds", "--uds", "or `--bind unix:PATH`"),
    Row("--fd", "--fd", "or `--bind fd://N`"),
    Row("--workers", "--workers", "`auto` starts one for each CPU"),
    Row("--reload", "--reload"),
    Row("--reload-include --reload-exclude", "--reload-include --reload-exclude"),
    Row("--reload-dir", "--reload-dirs"),
    Row("--reload-delay", "", "changes are noticed at once"),
    Row("--loop", "--worker-class", "`asyncio`, `uvloop`, or `trio`"),
    Row("--http", "", "there is one parser, compiled or in pure Python"),
    Row("--http2", "--alpn-protocols", "on by default; `--alpn-protocols http/1.1` turns it off"),
    Row("--ws", "--no-websockets", "there is one implementation; this flag turns it off"),
    Row("--ws-max-size", "--websocket-max-message-size"),
    Row("--ws-max-queue", "--websocket-max-queue"),
    Row("--ws-ping-interval", "--websocket-ping-interval", "off by default"),
    Row("--ws-ping-timeout", "--websocket-ping-timeout"),
    Row("--ws-per-message-deflate", "--websocket-compression"),
    Row("--lifespan", "--lifespan"),
    Row(
        "--interface",
        "",
        "detected; the prefix `asgi:` or `wsgi:` before the application sets it; ASGI 2 is not supported",
    ),
    Row("--env-file", "--env-file"),
    Row("--log-config", "--log-config", "an INI file; `json:PATH` and `toml:PATH` for the other formats"),
    Row("--log-level", "--log-level"),
    Row("--access-log --no-access-log", "--access-log --no-access-log", "`-` for stdout"),
    Row(
        "--use-colors --no-use-colors",
        "",
        "on when stderr is a terminal; the environment variable `NO_COLOR=1` turns them off",
    ),
    Row(
        "--proxy-headers --no-proxy-headers --forwarded-allow-ips",
        "--trusted-proxies",
        "no proxy is trusted by default, while uvicorn trusts 127.0.0.1; `X-Forwarded-For` and `X-Forwarded-Proto`"
        " are read, [the others on request](../guide/proxies.md)",
    ),
    Row("--no-server-header --server-header", "--no-include-server-header --include-server-header"),
    Row("--no-date-header --date-header", "--no-include-date-header --include-date-header"),
    Row(
        "--root-path",
        "--root-path --add-root-path",
        "uvicorn prepends it to each path; without `--add-root-path` the path stays"
        " [as the proxy sent it](../guide/proxies.md#under-a-path)",
    ),
    Row("--limit-concurrency", "--limit-concurrency --limit-connections"),
    Row("--backlog", "--backlog", "100 by default"),
    Row("--limit-max-requests", "--max-requests"),
    Row("--limit-max-requests-jitter", "--max-requests-jitter"),
    Row("--timeout-keep-alive", "--keep-alive-timeout"),
    Row("--timeout-graceful-shutdown", "--graceful-timeout", "3 s by default; uvicorn waits forever"),
    Row("--timeout-worker-healthcheck", "--worker-timeout", "off by default"),
    Row("--ssl-keyfile", "--keyfile"),
    Row("--ssl-certfile", "--certfile"),
    Row("--ssl-keyfile-password", "--keyfile-password"),
    Row("--ssl-version", "--tls-min-version"),
    Row("--ssl-cert-reqs", "--verify-mode", "takes a name, such as `CERT_REQUIRED`"),
    Row("--ssl-ca-certs", "--ca-certs"),
    Row("--ssl-ciphers", "--ciphers"),
    Row("--header", "--headers"),
    Row("--app-dir", "--app-dir"),
    Row("--version", "--version"),
    Row("--h11-max-incomplete-event-size", "--max-header-size"),
    Row("--reset-contextvars", "", "each request always has its own context"),
    Row("--factory", "--factory", "or `module:create_app()`"),
    Row("UVICORN_...", "HYPERCORN_..."),
)
GUNICORN = (
    Row("-c --config", "-c --config", "a TOML file; `file:PATH` and `python:MODULE` for Python"),
    Row("-b --bind", "-b --bind", "takes the same forms", "address"),
    Row("--backlog", "--backlog", "100 by default"),
    Row("-w --workers", "-w --workers"),
    Row("-k --worker-class", "-k --worker-class", "`asyncio`, `uvloop` or `trio`, each for ASGI and WSGI"),
    Row("--threads", "--wsgi-threads", "for WSGI applications; there are threads by default", "threads"),
    Row("--worker-connections", "--limit-connections"),
    Row("--max-requests", "--max-requests"),
    Row("--max-requests-jitter", "--max-requests-jitter"),
    Row("-t --timeout", "--worker-timeout", "off by default", "timeout"),
    Row("--graceful-timeout", "--graceful-timeout", "3 s by default"),
    Row("--keep-alive", "--keep-alive-timeout", "5 s by default", "keepalive"),
    Row("--limit-request-line", "--max-request-line-size", "8 KiB by default"),
    Row("--limit-request-fields", "--max-header-count"),
    Row(
        "--limit-request-field_size",
        "--max-header-size",
        "the limit is for all fields together",
        "limit_request_field_size",
    ),
    Row("--reload", "--reload"),
    Row("--reload-extra-file", "--reload-include", "", "reload_extra_files"),
    Row("-v --version", "--version"),
    Row(
        "--reload-engine", "", "file system notifications when the package `watchfiles` is installed, otherwise polling"
    ),
    Row("--spew", "", "use `python -m trace`"),
    Row("--no-sendfile", "--no-pathsend", "off by default", "sendfile"),
    Row("--check-config --print-config", "--check-config --print-config"),
    Row("--preload", "--preload", "", "preload_app"),
    Row("--reuse-port", "--reuse-port"),
    Row("--chdir", "--app-dir", "for imports only; the working directory does not change", "chdir"),
    Row(
        "-D --daemon", "", "use systemd or another process manager; `--daemon` here concerns child processes of workers"
    ),
    Row("-e --env", "--env-file", "or `env NAME=value hypercorn ...`", "raw_env"),
    Row("-p --pid", "-p --pid-path", "", "pidfile"),
    Row("--worker-tmp-dir", "", "workers send their heartbeats over a socket"),
    Row(
        "-u --user -g --group",
        "-u --user -g --group",
        "set the owner of unix sockets only; the process keeps its user and group",
    ),
    Row("-m --umask", "-m --umask", "for unix sockets"),
    Row("--initgroups", "", "the process keeps its user; set systemd's `User=`"),
    Row(
        "--forwarded-allow-ips",
        "--trusted-proxies",
        "no proxy is trusted by default; host, port and prefix are read [on request](../guide/proxies.md)",
    ),
    Row("--access-logfile", "--access-log"),
    Row(
        "--access-logformat",
        "--access-log-format",
        "the same atoms, but `r` leaves out the query: use `R` for gunicorn's `r`",
    ),
    Row("--error-logfile", "--error-log"),
    Row("--log-level", "--log-level"),
    Row("--logger-class", "", "set `logger_class` in a Python configuration"),
    Row(
        "--log-config --log-config-json",
        "--log-config",
        "an INI file; `json:PATH` and `toml:PATH` for the other formats",
    ),
    Row(
        "--log-syslog --log-syslog-to --log-syslog-prefix --log-syslog-facility",
        "--log-config",
        "configure a handler of `logging`",
    ),
    Row(
        "--capture-output -R --enable-stdio-inheritance --disable-redirect-access-to-syslog",
        "",
        "the application's stdout and stderr are not redirected",
    ),
    Row("--statsd-host", "--statsd-host"),
    Row("--statsd-prefix", "--statsd-prefix"),
    Row("--dogstatsd-tags", "--dogstatsd-tags"),
    Row("--enable-backlog-metric", "", "see [the metrics](../guide/metrics.md)"),
    Row("-n --name", "--process-name", "needs the extra `setproctitle`", "default_proc_name"),
    Row("--pythonpath", "--app-dir", "or the variable `PYTHONPATH`"),
    Row("--paste --paster --paste-global", "", "write a module that calls `loadapp()`, and serve `module:app`"),
    Row("--protocol --uwsgi-allow-from", "", "only HTTP is supported"),
    Row("--proxy-protocol", "--proxy-protocol", "needs `--trusted-proxies`"),
    Row("--proxy-allow-from", "--trusted-proxies", "", "proxy_allow_ips"),
    Row("secure_scheme_headers", "--proxy-headers", "`X-Forwarded-Proto`, or `proto` of `Forwarded`"),
    Row("wsgi_app", "", "use the argument `module:app`, or the key `application_path`"),
    Row("--keyfile", "--keyfile"),
    Row("--certfile", "--certfile"),
    Row("--ca-certs", "--ca-certs"),
    Row("--cert-reqs", "--verify-mode", "takes a name, such as `CERT_REQUIRED`"),
    Row("--ssl-version", "--tls-min-version"),
    Row("--ciphers", "--ciphers"),
    Row("--suppress-ragged-eofs --do-handshake-on-connect", "", "a handshake never blocks another connection"),
    Row("--http-protocols", "--alpn-protocols"),
    Row("--http2-max-concurrent-streams", "--h2-max-concurrent-streams"),
    Row("--http2-initial-window-size", "--h2-stream-window"),
    Row("--http2-max-frame-size", "--h2-max-inbound-frame-size"),
    Row("--http2-max-header-list-size", "--h2-max-header-list-size"),
    Row("--http2-cleartext", "", "always on: clients may start HTTP/2 without TLS by prior knowledge"),
    Row(
        "--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method"
        " --permit-unconventional-http-version --casefold-http-method",
        "",
        "such requests are always refused",
    ),
    Row("--forwarder-headers --header-map", "", "fields with an underscore in their name are dropped for WSGI"),
    Row("--http-parser", "", "there is one parser, compiled or in pure Python"),
    Row("--asgi-disconnect-grace-period", "", "the application keeps running after its client has disconnected"),
    Row(
        "child_exit",
        "--on-worker-exit",
        "`module:function`, called with the process id and the exit code, in a separate process",
    ),
    Row(
        "pre_fork post_fork post_worker_init worker_exit worker_int worker_abort nworkers_changed",
        "",
        "use the startup and shutdown of the application's lifespan",
    ),
    Row(
        "on_starting when_ready on_exit on_reload pre_exec",
        "",
        "use the process manager (`ExecStartPre=`, `Type=notify`) and `hypercorn ctl`",
    ),
    Row("pre_request post_request", "", "use a middleware of the application"),
    Row("--asgi-loop", "--worker-class"),
    Row("--asgi-lifespan", "--lifespan"),
    Row("--websocket-max-message-size", "--websocket-max-message-size"),
    Row("--root-path", "--root-path"),
    Row(
        "--dirty-app --dirty-workers --dirty-timeout --dirty-threads --dirty-graceful-timeout",
        "",
        "use a task queue for long work",
    ),
    Row(
        "--control-socket --control-socket-mode --no-control-socket",
        "--control",
        "`--control none` turns it off; `hypercorn ctl` takes the place of `gunicornc`",
    ),
)
GRANIAN = (
    Row("--host --port", "--host --port", "or `--bind HOST:PORT`, which may be repeated"),
    Row("--uds", "--uds", "or `--bind unix:PATH`"),
    Row("--uds-permissions", "--umask", "a mask: the permissions to remove, not those to set"),
    Row(
        "--interface",
        "",
        "detected; the prefix `asgi:` or `wsgi:` before the application sets it; for `asginl`, use `--lifespan off`",
    ),
    Row("--http", "--alpn-protocols", "HTTP/1.1 and HTTP/2 by default"),
    Row("--no-ws --ws", "--no-websockets --websockets"),
    Row("--workers", "--workers"),
    Row("--blocking-threads", "--wsgi-threads"),
    Row("--blocking-threads-idle-timeout", "", "idle threads are kept"),
    Row(
        "--runtime-threads --runtime-blocking-threads --runtime-mode --task-impl",
        "",
        "there is no Rust runtime: the event loop is Python's",
    ),
    Row("--loop", "--worker-class", "`asyncio`, `uvloop`, `trio`"),
    Row("--backlog", "--backlog"),
    Row("--backpressure", "--limit-concurrency", "requests above the limit get 503 and do not wait"),
    Row("--http1-buffer-size", "--max-header-size"),
    Row("--http1-header-read-timeout", "--header-timeout", "in seconds; Granian takes milliseconds"),
    Row("--no-http1-keep-alive --http1-keep-alive", "--keep-alive-timeout", "`--keep-alive-timeout 0` turns it off"),
    Row("--http1-pipeline-flush", "", "responses to pipelined requests are always sent together"),
    Row("--http2-initial-connection-window-size", "--h2-connection-window"),
    Row("--http2-initial-stream-window-size", "--h2-stream-window"),
    Row("--http2-adaptive-window", "--h2-max-stream-window", "windows grow up to this size"),
    Row("--http2-keep-alive-interval", "--h2-ping-interval", "in seconds; Granian takes milliseconds"),
    Row("--http2-keep-alive-timeout", "--h2-ping-timeout"),
    Row("--http2-max-concurrent-streams", "--h2-max-concurrent-streams"),
    Row("--http2-max-frame-size", "--h2-max-inbound-frame-size"),
    Row("--http2-max-headers-size", "--h2-max-header-list-size"),
    Row("--http2-max-send-buffer-size", "--write-buffer-size"),
    Row("--no-log --log", "--log-level", "`--log-level CRITICAL` turns nearly all of it off"),
    Row("--log-level", "--log-level"),
    Row("--log-config", "--log-config", "`json:PATH` for a JSON file"),
    Row("--access-log --no-access-log", "--access-log --no-access-log", "`-` for stdout"),
    Row(
        "--access-log-fmt",
        "--access-log-format",
        "the atoms differ: see [the list](../guide/logging.md#the-access-log)",
    ),
    Row("--ssl-certificate", "--certfile"),
    Row("--ssl-keyfile", "--keyfile", "any PEM key, not only PKCS#8"),
    Row("--ssl-keyfile-password", "--keyfile-password"),
    Row("--ssl-protocol-min", "--tls-min-version"),
    Row("--ssl-ca", "--ca-certs"),
    Row("--ssl-crl", "--crl-file"),
    Row("--ssl-client-verify", "--verify-mode", "takes a name, such as `CERT_REQUIRED`"),
    Row("--url-path-prefix", "--root-path"),
    Row(
        "--respawn-failed-workers --respawn-interval",
        "",
        "workers are always restarted: at once, and after repeated failures with growing delays",
    ),
    Row("--workers-lifetime", "--max-worker-age"),
    Row("--workers-max-rss", "--max-worker-memory", "in bytes, or with a unit; Granian takes MiB"),
    Row("--rss-sample-interval --rss-samples", "", "the memory is checked every two seconds"),
    Row("--workers-kill-timeout", "--graceful-timeout"),
    Row("--factory", "--factory", "or `module:create_app()`"),
    Row("--version", "--version"),
    Row("--working-dir", "--app-dir", "for imports only; the working directory does not change"),
    Row("--env-files", "--env-file"),
    Row(
        "--static-path-route --static-path-mount --static-path-dir-to-file --static-path-expires",
        "",
        "use `StaticFiles`, a [middleware](../guide/middleware.md)",
    ),
    Row("--metrics --metrics-address --metrics-port", "--metrics-bind", "`HOST:PORT`"),
    Row("--metrics-scrape-interval", "", "values are read when they are scraped"),
    Row("--reload", "--reload"),
    Row("--reload-ignore-dirs --reload-ignore-patterns --reload-ignore-paths", "--reload-exclude"),
    Row("--reload-paths", "--reload-dirs"),
    Row(
        "--reload-tick --reload-ignore-worker-failure",
        "",
        "after a failure, a server with `--reload` waits for the next change",
    ),
    Row("--process-name", "--process-name", "needs the extra `setproctitle`"),
    Row("--pid-file", "--pid-path"),
    Row("GRANIAN_...", "HYPERCORN_..."),
)
DAPHNE = (
    Row("-b --bind -p --port", "--host --port", "or `-b HOST:PORT`; here `-p` sets the pid file"),
    Row("-u --unix-socket", "--uds", "here `-u` sets a user"),
    Row("--fd", "--fd"),
    Row("-e --endpoint", "--bind", "for TLS: `--certfile` and `--keyfile`; `--bind` may be repeated"),
    Row("-v --verbosity", "--log-level", "`INFO`, `DEBUG`"),
    Row("-t --http-timeout", "", "there is no time limit for a whole request"),
    Row("--access-log", "--access-log", "`-` for stdout, which is the default on a terminal"),
    Row("--log-fmt", "--log-config", "configure a formatter of `logging`"),
    Row("--websocket_timeout", "--websocket-lifetime", "Daphne's default is one day; there is no limit here"),
    Row("--websocket_connect_timeout", "--websocket-handshake-timeout", "5 s in Daphne, 60 s here"),
    Row("--ping-interval", "--websocket-ping-interval", "20 s in Daphne, off here"),
    Row("--ping-timeout", "--websocket-ping-timeout", "30 s in Daphne, 20 s here"),
    Row("--websocket-max-message-size", "--websocket-max-message-size"),
    Row("--websocket-max-frame-size", "--websocket-max-frame-size"),
    Row(
        "--application-close-timeout",
        "--graceful-timeout",
        "at shutdown only; a call keeps running after its client has disconnected",
    ),
    Row("--root-path", "--root-path"),
    Row("--proxy-headers", "--trusted-proxies", "takes the addresses of the proxies; no proxy is trusted by default"),
    Row("--proxy-headers-host --proxy-headers-port", "--proxy-headers", "`x-forwarded` or `forwarded`"),
    Row(
        "-s --server-name",
        "",
        "the `Server` header is `hypercorn-h11`, `hypercorn-h2` or `hypercorn-h3`; here `--server-names` lists the"
        " hosts that the server answers for",
    ),
    Row("--no-server-name", "--no-include-server-header"),
    Row("--version", "--version"),
)
RUNSERVER = (
    Row("ADDRESS:PORT", "--bind", "such as `hypercorn -b 0.0.0.0:8000 mysite.asgi`; a port alone works too"),
    Row("--noreload", "--reload", "off by default; `--reload` turns it on"),
    Row("--nothreading", "--wsgi-threads", "`--wsgi-threads 1` for a WSGI application"),
    Row("-6 --ipv6", "--bind", "such as `-b '[::1]:8000'`"),
    Row("--nostatic --insecure", "", "the application serves static files: use WhiteNoise or `ASGIStaticFilesHandler`"),
    Row("--noasgi", "", "serve `mysite.wsgi` instead of `mysite.asgi`"),
    Row("--settings", "", "set the environment variable `DJANGO_SETTINGS_MODULE`"),
    Row("--pythonpath", "--app-dir"),
    Row("-v --verbosity", "--log-level"),
    Row("--skip-checks", "", "use `manage.py check` to run them"),
    Row(
        "--traceback --no-color --force-color",
        "",
        "colours are on when stderr is a terminal; the environment variable `NO_COLOR=1` turns them off",
    ),
)

TABLES: dict[str, tuple[Row, ...]] = {
    "uvicorn": UVICORN,
    "gunicorn": GUNICORN,
    "Granian": GRANIAN,
    "Daphne": DAPHNE,
    "runserver": RUNSERVER,
}
IN_PYTHON = ("uvicorn", "gunicorn")  # servers that are configured in Python by these names
_ADDRESS = ("--host", "--port", "--uds", "--fd")  # flags that are parts of `bind`
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def advice(flag: str) -> str | None:
    """Says which servers have that flag and what to use here. Returns None for an unknown flag."""
    found = [(server, row) for server, rows in TABLES.items() for row in rows if flag in row.theirs.split()]
    if not found:
        # Most switches of uvicorn and Granian have an opposite, which few of the rows name.
        return advice("--" + flag[5:]) if flag.startswith("--no-") else None
    meanings: dict[tuple[str, ...], list[tuple[str, Row]]] = {}
    for server, row in found:
        meanings.setdefault(tuple(ours_for(flag, row)), []).append((server, row))
    return "; ".join(_meaning(flag, ours, rows) for ours, rows in meanings.items())


def _meaning(flag: str, ours: tuple[str, ...], rows: list[tuple[str, Row]]) -> str:
    """The advice about a flag that means the same for these servers."""
    servers = " and ".join(dict.fromkeys(server for server, _ in rows))
    note = _plain(rows[0][1].note)
    if ours:
        return f"{flag} of {servers} is {' or '.join(ours)} here" + (f": {note}" if note else "")
    return f"{flag} of {servers} does not exist here: {note}"


def _plain(note: str) -> str:
    """The note without its Markdown."""
    return _LINK.sub(r"\1", note).replace("`", "")


def ours_for(flag: str, row: Row) -> list[str]:
    """The flags equivalent to one flag of a row: the one in the same position, where both lists are equally long."""
    theirs, ours = row.theirs.split(), row.ours.split()
    return [ours[theirs.index(flag)]] if len(theirs) == len(ours) else ours


def names_of(row: Row) -> set[str]:
    """The names of a row's flags in a configuration or an API.

    Flags of a single word are left out: a Python configuration may use such names for variables of its own.
    """
    plain = (flag.lstrip("-").replace("-", "_") for flag in row.theirs.split())
    return {*row.settings.split(), *(name for name in plain if "_" in name)}


def setting_advice(name: str) -> str | None:
    """Says which option to set instead of another server's setting, or why there is none.

    Returns None for an unknown name.
    """
    found = [(server, row) for server in IN_PYTHON for row in TABLES[server] if name in names_of(row)]
    if not found:
        return None
    server, row = found[0]
    flag = "--" + name.replace("_", "-")
    flags = ours_for(flag, row) if flag in row.theirs.split() else row.ours.split()
    ours = list(dict.fromkeys(_option_of(one) for one in flags if one.startswith("--")))
    if ours:
        return f"did you mean {' or '.join(ours)}?"
    return f"{name} of {server} does not exist here: {_plain(row.note)}"


def _option_of(flag: str) -> str:
    """The option that a flag sets, or the flag where it sets none."""
    if flag in _ADDRESS:
        return "bind"
    name = flag.removeprefix("--").replace("-", "_")
    for one in (name, name.removeprefix("no_")):
        if one in BY_NAME or one in ALIASES:
            return ALIASES.get(one, one)
    return flag


def markdown(server: str) -> str:
    """The table of one server as Markdown."""
    name = "Django" if server == "runserver" else server
    lines = [f"| {name} | Here | |", "|---|---|---|"]
    for row in TABLES[server]:
        lines.append(f"| {_code(row.theirs)} | {_code(row.ours) or '-'} | {row.note} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split())
