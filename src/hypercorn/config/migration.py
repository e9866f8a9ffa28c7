"""Flags and settings of other servers, and those of this one that do the same.

This one table makes the tables of docs/migration (`python docs/make_reference.py`), the errors that a flag of another
server gets, and the warnings about settings of another server in a configuration.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hypercorn.config.options import ALIASES, BY_NAME


class Row(NamedTuple):
    """Flags of another server, those of this one for the same purpose (none: empty), and what a reader has to know.

    Names are separated by spaces; the note is Markdown. `settings` are names of the same thing in the other server's
    configuration or API, where they are not the flags with underscores.
    """

    theirs: str
    ours: str
    note: str = ""
    settings: str = ""


UVICORN = (
    Row("--host --port", "--host --port", "or `--bind HOST:PORT`, which may be repeated", "host port"),
    Row("--uds", "--uds", "or `--bind unix:PATH`"),
    Row("--fd", "--fd", "or `--bind fd://N`"),
    Row("--workers", "--workers", "`auto` for as many as there are CPUs"),
    Row("--reload", "--reload"),
    Row("--reload-include --reload-exclude", "--reload-include --reload-exclude"),
    Row("--reload-dir", "--reload-dirs"),
    Row("--reload-delay", "", "changes are seen at once"),
    Row("--loop", "--worker-class", "`asyncio`, `uvloop`, or `trio`"),
    Row("--http", "", "one parser, compiled or pure"),
    Row("--http2", "--alpn-protocols", "on; `--alpn-protocols http/1.1` switches it off"),
    Row("--ws", "--no-websockets", "one implementation, on or off"),
    Row("--ws-max-size", "--websocket-max-message-size"),
    Row("--ws-max-queue", "--websocket-max-queue"),
    Row("--ws-ping-interval", "--websocket-ping-interval", "off by default"),
    Row("--ws-ping-timeout", "--websocket-ping-timeout"),
    Row("--ws-per-message-deflate", "--websocket-compression"),
    Row("--lifespan", "--lifespan"),
    Row("--interface", "", "found out, or `asgi:` or `wsgi:` before the application says it; ASGI 2 is not served"),
    Row("--env-file", "--env-file"),
    Row("--log-config", "--log-config", "ini; `json:PATH`, `toml:PATH`"),
    Row("--log-level", "--log-level"),
    Row("--access-log --no-access-log", "--access-log --no-access-log", "`-` for stdout"),
    Row(
        "--use-colors --no-use-colors", "", "on where stderr is a terminal; the variable `NO_COLOR=1` switches them off"
    ),
    Row(
        "--proxy-headers --no-proxy-headers --forwarded-allow-ips",
        "--trusted-proxies",
        "nobody is trusted by default, where uvicorn trusts this machine; `X-Forwarded-For` and `-Proto` count,"
        " the others [where asked for](../guide/proxies.md)",
    ),
    Row("--no-server-header --server-header", "--no-include-server-header --include-server-header"),
    Row("--no-date-header --date-header", "--no-include-date-header --include-date-header"),
    Row(
        "--root-path",
        "--root-path --add-root-path",
        "uvicorn puts it in front of each path; without `--add-root-path` the path is kept"
        " [as the proxy asks for it](../guide/proxies.md#under-a-path)",
    ),
    Row("--limit-concurrency", "--limit-concurrency --limit-connections"),
    Row("--backlog", "--backlog", "100 by default"),
    Row("--limit-max-requests", "--max-requests"),
    Row("--limit-max-requests-jitter", "--max-requests-jitter"),
    Row("--timeout-keep-alive", "--keep-alive-timeout"),
    Row("--timeout-graceful-shutdown", "--graceful-timeout", "3 s, where uvicorn waits for ever"),
    Row("--timeout-worker-healthcheck", "--worker-timeout", "off by default"),
    Row("--ssl-keyfile", "--keyfile"),
    Row("--ssl-certfile", "--certfile"),
    Row("--ssl-keyfile-password", "--keyfile-password"),
    Row("--ssl-version", "--tls-min-version"),
    Row("--ssl-cert-reqs", "--verify-mode", "by name"),
    Row("--ssl-ca-certs", "--ca-certs"),
    Row("--ssl-ciphers", "--ciphers"),
    Row("--header", "--headers"),
    Row("--app-dir", "--app-dir"),
    Row("--version", "--version"),
    Row("--h11-max-incomplete-event-size", "--max-header-size"),
    Row("--reset-contextvars", "", "always so"),
    Row("--factory", "--factory", "or `module:create_app()`"),
    Row("UVICORN_...", "HYPERCORN_..."),
)
GUNICORN = (
    Row("-c --config", "-c --config", "TOML; `file:PATH` and `python:MODULE` for Python"),
    Row("-b --bind", "-b --bind", "the same forms", "address"),
    Row("--backlog", "--backlog", "100 by default"),
    Row("-w --workers", "-w --workers"),
    Row("-k --worker-class", "-k --worker-class", "`asyncio`, `uvloop`, `trio`: ASGI and WSGI alike"),
    Row("--threads", "--wsgi-threads", "for WSGI; on by default", "threads"),
    Row("--worker-connections", "--limit-connections"),
    Row("--max-requests", "--max-requests"),
    Row("--max-requests-jitter", "--max-requests-jitter"),
    Row("-t --timeout", "--worker-timeout", "off by default", "timeout"),
    Row("--graceful-timeout", "--graceful-timeout", "3 s by default"),
    Row("--keep-alive", "--keep-alive-timeout", "5 s by default", "keepalive"),
    Row("--limit-request-line", "--max-request-line-size", "8 KiB by default"),
    Row("--limit-request-fields", "--max-header-count"),
    Row("--limit-request-field_size", "--max-header-size", "of all fields together", "limit_request_field_size"),
    Row("--reload", "--reload"),
    Row("--reload-extra-file", "--reload-include", "", "reload_extra_files"),
    Row("-v --version", "--version"),
    Row("--reload-engine", "", "the system's notifications where the package `watchfiles` is installed, else polling"),
    Row("--spew", "", "`python -m trace` does that"),
    Row("--no-sendfile", "--no-pathsend", "off by default", "sendfile"),
    Row("--check-config --print-config", "--check-config --print-config"),
    Row("--preload", "--preload", "", "preload_app"),
    Row("--reuse-port", "--reuse-port"),
    Row("--chdir", "--app-dir", "for imports; the working directory stays", "chdir"),
    Row("-D --daemon", "", "leave that to systemd; `--daemon` here is about child processes of workers"),
    Row("-e --env", "--env-file", "or `env NAME=value hypercorn ...`", "raw_env"),
    Row("-p --pid", "-p --pid-path", "", "pidfile"),
    Row("--worker-tmp-dir", "", "workers send their heartbeats through a socket"),
    Row("-u --user -g --group", "-u --user -g --group", "of unix sockets only; the process keeps its own"),
    Row("-m --umask", "-m --umask", "of unix sockets"),
    Row("--initgroups", "", "the process keeps its own user: systemd's `User=` changes it"),
    Row(
        "--forwarded-allow-ips",
        "--trusted-proxies",
        "nobody is trusted by default; host, port and prefix count [where asked for](../guide/proxies.md)",
    ),
    Row("--access-logfile", "--access-log"),
    Row("--access-logformat", "--access-log-format", "the same atoms, but `r` has no query: `R` is gunicorn's `r`"),
    Row("--error-logfile", "--error-log"),
    Row("--log-level", "--log-level"),
    Row("--logger-class", "", "`logger_class` in a Python configuration"),
    Row("--log-config --log-config-json", "--log-config", "ini; `json:PATH`, `toml:PATH`"),
    Row(
        "--log-syslog --log-syslog-to --log-syslog-prefix --log-syslog-facility",
        "--log-config",
        "a handler of `logging`",
    ),
    Row(
        "--capture-output -R --enable-stdio-inheritance --disable-redirect-access-to-syslog",
        "",
        "stdout and stderr of the application stay what they are",
    ),
    Row("--statsd-host", "--statsd-host"),
    Row("--statsd-prefix", "--statsd-prefix"),
    Row("--dogstatsd-tags", "--dogstatsd-tags"),
    Row("--enable-backlog-metric", "", "[the metrics](../guide/metrics.md) have what the server counts"),
    Row("-n --name", "--process-name", "needs the extra `setproctitle`", "default_proc_name"),
    Row("--pythonpath", "--app-dir", "or the variable `PYTHONPATH`"),
    Row("--paste --paster --paste-global", "", "a module that calls `loadapp()`: `module:app`"),
    Row("--protocol --uwsgi-allow-from", "", "HTTP alone"),
    Row("--proxy-protocol", "--proxy-protocol", "needs `--trusted-proxies`"),
    Row("--proxy-allow-from", "--trusted-proxies", "", "proxy_allow_ips"),
    Row("secure_scheme_headers", "--proxy-headers", "`X-Forwarded-Proto`, or `proto` of `Forwarded`"),
    Row("wsgi_app", "", "the argument `module:app`, or the key `application_path`"),
    Row("--keyfile", "--keyfile"),
    Row("--certfile", "--certfile"),
    Row("--ca-certs", "--ca-certs"),
    Row("--cert-reqs", "--verify-mode", "by name"),
    Row("--ssl-version", "--tls-min-version"),
    Row("--ciphers", "--ciphers"),
    Row("--suppress-ragged-eofs --do-handshake-on-connect", "", "a handshake never holds up another connection"),
    Row("--http-protocols", "--alpn-protocols"),
    Row("--http2-max-concurrent-streams", "--h2-max-concurrent-streams"),
    Row("--http2-initial-window-size", "--h2-stream-window"),
    Row("--http2-max-frame-size", "--h2-max-inbound-frame-size"),
    Row("--http2-max-header-list-size", "--h2-max-header-list-size"),
    Row("--http2-cleartext", "", "on: HTTP/2 without TLS works by prior knowledge"),
    Row(
        "--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method"
        " --permit-unconventional-http-version --casefold-http-method",
        "",
        "never",
    ),
    Row("--forwarder-headers --header-map", "", "a field with an underscore is dropped for WSGI"),
    Row("--http-parser", "", "one parser, compiled or pure"),
    Row("--asgi-disconnect-grace-period", "", "an application goes on after its client has left"),
    Row(
        "child_exit",
        "--on-worker-exit",
        "`module:function`, called with process id and exit code in a process of its own",
    ),
    Row(
        "pre_fork post_fork post_worker_init worker_exit worker_int worker_abort nworkers_changed",
        "",
        "startup and shutdown of the application's lifespan",
    ),
    Row(
        "on_starting when_ready on_exit on_reload pre_exec",
        "",
        "whatever starts the server does that: `ExecStartPre=`, `Type=notify`, `ctl`",
    ),
    Row("pre_request post_request", "", "middleware of the application"),
    Row("--asgi-loop", "--worker-class"),
    Row("--asgi-lifespan", "--lifespan"),
    Row("--websocket-max-message-size", "--websocket-max-message-size"),
    Row("--root-path", "--root-path"),
    Row(
        "--dirty-app --dirty-workers --dirty-timeout --dirty-threads --dirty-graceful-timeout",
        "",
        "long work belongs to a task queue",
    ),
    Row(
        "--control-socket --control-socket-mode --no-control-socket",
        "--control",
        "`--control none` for none; `gunicornc` is `hypercorn ctl`",
    ),
)
GRANIAN = (
    Row("--host --port", "--host --port", "or `--bind HOST:PORT`, which may be repeated"),
    Row("--uds", "--uds", "or `--bind unix:PATH`"),
    Row("--uds-permissions", "--umask", "what is taken away, not what is left"),
    Row(
        "--interface", "", "found out; `asgi:` or `wsgi:` before the application says it; `asginl` is `--lifespan off`"
    ),
    Row("--http", "--alpn-protocols", "both by default"),
    Row("--no-ws --ws", "--no-websockets --websockets"),
    Row("--workers", "--workers"),
    Row("--blocking-threads", "--wsgi-threads"),
    Row("--blocking-threads-idle-timeout", "", "threads stay"),
    Row("--runtime-threads --runtime-blocking-threads --runtime-mode --task-impl", "", "the loop is Python's"),
    Row("--loop", "--worker-class", "`asyncio`, `uvloop`, `trio`"),
    Row("--backlog", "--backlog"),
    Row("--backpressure", "--limit-concurrency", "more are answered by 503, not kept waiting"),
    Row("--http1-buffer-size", "--max-header-size"),
    Row("--http1-header-read-timeout", "--header-timeout", "seconds, where Granian has milliseconds"),
    Row("--no-http1-keep-alive --http1-keep-alive", "--keep-alive-timeout", "`--keep-alive-timeout 0` for none"),
    Row("--http1-pipeline-flush", "", "always so"),
    Row("--http2-initial-connection-window-size", "--h2-connection-window"),
    Row("--http2-initial-stream-window-size", "--h2-stream-window"),
    Row("--http2-adaptive-window", "--h2-max-stream-window", "windows grow up to that"),
    Row("--http2-keep-alive-interval", "--h2-ping-interval", "seconds, where Granian has milliseconds"),
    Row("--http2-keep-alive-timeout", "--h2-ping-timeout"),
    Row("--http2-max-concurrent-streams", "--h2-max-concurrent-streams"),
    Row("--http2-max-frame-size", "--h2-max-inbound-frame-size"),
    Row("--http2-max-headers-size", "--h2-max-header-list-size"),
    Row("--http2-max-send-buffer-size", "--write-buffer-size"),
    Row("--no-log --log", "--log-level", "`--log-level CRITICAL` silences it"),
    Row("--log-level", "--log-level"),
    Row("--log-config", "--log-config", "`json:PATH`"),
    Row("--access-log --no-access-log", "--access-log --no-access-log", "`-` for stdout"),
    Row("--access-log-fmt", "--access-log-format", "other atoms: [the list](../guide/logging.md#the-access-log)"),
    Row("--ssl-certificate", "--certfile"),
    Row("--ssl-keyfile", "--keyfile", "any PEM, not only PKCS#8"),
    Row("--ssl-keyfile-password", "--keyfile-password"),
    Row("--ssl-protocol-min", "--tls-min-version"),
    Row("--ssl-ca", "--ca-certs"),
    Row("--ssl-crl", "--crl-file"),
    Row("--ssl-client-verify", "--verify-mode", "`CERT_REQUIRED`"),
    Row("--url-path-prefix", "--root-path"),
    Row("--respawn-failed-workers --respawn-interval", "", "always, at once and then more slowly"),
    Row("--workers-lifetime", "--max-worker-age"),
    Row("--workers-max-rss", "--max-worker-memory", "bytes, or with a unit; Granian has MiB"),
    Row("--rss-sample-interval --rss-samples", "", "looked at every two seconds"),
    Row("--workers-kill-timeout", "--graceful-timeout"),
    Row("--factory", "--factory", "or `module:create_app()`"),
    Row("--version", "--version"),
    Row("--working-dir", "--app-dir", "for imports; the working directory stays"),
    Row("--env-files", "--env-file"),
    Row(
        "--static-path-route --static-path-mount --static-path-dir-to-file --static-path-expires",
        "",
        "`StaticFiles`: [middleware](../guide/middleware.md)",
    ),
    Row("--metrics --metrics-address --metrics-port", "--metrics-bind", "`HOST:PORT`"),
    Row("--metrics-scrape-interval", "", "figures are those of the moment"),
    Row("--reload", "--reload"),
    Row("--reload-ignore-dirs --reload-ignore-patterns --reload-ignore-paths", "--reload-exclude"),
    Row("--reload-paths", "--reload-dirs"),
    Row(
        "--reload-tick --reload-ignore-worker-failure",
        "",
        "a server with `--reload` waits for a change after a failure",
    ),
    Row("--process-name", "--process-name", "needs the extra `setproctitle`"),
    Row("--pid-file", "--pid-path"),
    Row("GRANIAN_...", "HYPERCORN_..."),
)
DAPHNE = (
    Row("-b --bind -p --port", "--host --port", "or `-b HOST:PORT`; `-p` is the pid file here"),
    Row("-u --unix-socket", "--uds", "`-u` is a user here"),
    Row("--fd", "--fd"),
    Row("-e --endpoint", "--bind", "TLS: `--certfile`, `--keyfile`; `--bind` may be repeated"),
    Row("-v --verbosity", "--log-level", "`INFO`, `DEBUG`"),
    Row("-t --http-timeout", "", "a request may take as long as the application does"),
    Row("--access-log", "--access-log", "`-` for stdout, also on a terminal by default"),
    Row("--log-fmt", "--log-config", "a formatter of `logging`"),
    Row("--websocket_timeout", "--websocket-lifetime", "one day with Daphne, no limit here"),
    Row("--websocket_connect_timeout", "--websocket-handshake-timeout", "5 s with Daphne, 60 s here"),
    Row("--ping-interval", "--websocket-ping-interval", "20 s with Daphne, off here"),
    Row("--ping-timeout", "--websocket-ping-timeout", "30 s with Daphne, 20 s here"),
    Row("--websocket-max-message-size", "--websocket-max-message-size"),
    Row("--websocket-max-frame-size", "--websocket-max-frame-size"),
    Row("--application-close-timeout", "--graceful-timeout", "at shutdown; a call goes on after its client has left"),
    Row("--root-path", "--root-path"),
    Row("--proxy-headers", "--trusted-proxies", "the addresses of the proxies; nobody is trusted by default"),
    Row("--proxy-headers-host --proxy-headers-port", "--proxy-headers", "`x-forwarded` or `forwarded`"),
    Row(
        "-s --server-name",
        "",
        "the `server` field is `hypercorn-h11`, `-h2` or `-h3`; `--server-names` here is a host that is answered to",
    ),
    Row("--no-server-name", "--no-include-server-header"),
    Row("--version", "--version"),
)
RUNSERVER = (
    Row("ADDRESS:PORT", "--bind", "`hypercorn -b 0.0.0.0:8000 mysite.asgi`; a port alone works too"),
    Row("--noreload", "--reload", "off by default: `--reload` switches it on"),
    Row("--nothreading", "--wsgi-threads", "`--wsgi-threads 1`, for a WSGI application"),
    Row("-6 --ipv6", "--bind", "`-b '[::1]:8000'`"),
    Row("--nostatic --insecure", "", "static files are the application's: WhiteNoise, or `ASGIStaticFilesHandler`"),
    Row("--noasgi", "", "`mysite.wsgi` in place of `mysite.asgi`"),
    Row("--settings", "", "the variable `DJANGO_SETTINGS_MODULE`"),
    Row("--pythonpath", "--app-dir"),
    Row("-v --verbosity", "--log-level"),
    Row("--skip-checks", "", "`manage.py check` runs them"),
    Row(
        "--traceback --no-color --force-color",
        "",
        "colours are on where stderr is a terminal; the variable `NO_COLOR=1` switches them off",
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
    """Says which servers have that flag, and what stands for it here. None for a flag of nobody's."""
    found = [(server, row) for server, rows in TABLES.items() for row in rows if flag in row.theirs.split()]
    if not found:
        # Most switches of uvicorn and Granian have an opposite, which few of the rows name.
        return advice("--" + flag[5:]) if flag.startswith("--no-") else None
    meanings: dict[tuple[str, ...], list[tuple[str, Row]]] = {}
    for server, row in found:
        meanings.setdefault(tuple(ours_for(flag, row)), []).append((server, row))
    return "; ".join(_meaning(flag, ours, rows) for ours, rows in meanings.items())


def _meaning(flag: str, ours: tuple[str, ...], rows: list[tuple[str, Row]]) -> str:
    """What stands for a flag that these servers use alike."""
    servers = " and ".join(dict.fromkeys(server for server, _ in rows))
    note = _plain(rows[0][1].note)
    if ours:
        return f"{flag} of {servers} is {' or '.join(ours)} here" + (f": {note}" if note else "")
    return f"{flag} of {servers} does not exist here: {note}"


def _plain(note: str) -> str:
    """A note without its Markdown."""
    return _LINK.sub(r"\1", note).replace("`", "")


def ours_for(flag: str, row: Row) -> list[str]:
    """The flags that stand for one of a row: where there are as many as theirs, the one in its place."""
    theirs, ours = row.theirs.split(), row.ours.split()
    return [ours[theirs.index(flag)]] if len(theirs) == len(ours) else ours


def names_of(row: Row) -> set[str]:
    """The names of a row's flags in a configuration or an API.

    Of the flags only those that consist of several words count, as nobody gives these to variables of their own.
    """
    plain = (flag.lstrip("-").replace("-", "_") for flag in row.theirs.split())
    return {*row.settings.split(), *(name for name in plain if "_" in name)}


def setting_advice(name: str) -> str | None:
    """Says which option to set in place of another server's setting of that name, or why there is none.

    None for a name of nobody's.
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
