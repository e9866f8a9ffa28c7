"""The short help: the flags that people use, on two screens. `--help-all` has the rest."""

from __future__ import annotations

import textwrap

from hypercorn.config.options import BY_NAME, Option

WIDTH = 80
_COLUMN = 27  # where the descriptions begin
_HEAD = """\
usage: hypercorn [options] module:app

Serves an ASGI or WSGI application over HTTP/1.1, HTTP/2 and HTTP/3.

  hypercorn --reload main:app                  for development
  hypercorn --host 0.0.0.0 -w auto main:app    on all addresses and CPUs
  hypercorn ctl status, hypercorn top          show a running server
  hypercorn check https://example.com          show what a client sees

module:app names the application: app in module.py. "module" alone, a
path ("src/main.py:app") and a call ("main:create_app()") work too.
"""
_TAIL = """\
Times take a unit (500ms, 30s, 2m), and so do sizes (64KiB, 16MiB); "none" is no
limit. Each option is also a key of the configuration file (max_requests = 1000)
and a variable (HYPERCORN_MAX_REQUESTS). A switch has its opposite: --no-reload.
"""
# Flags that are no options, and options by their name; what is said of them here, and what stands for the default.
GROUPS: dict[str, tuple[tuple[str, str], ...]] = {
    "Application": (
        ("factory", "module:app is a function that returns the app"),
        ("app_dir", "folder to import from (default: the current one)"),
        ("env_file", "file of variables, NAME=value, for the application"),
        ("root_path", "path it is mounted under, such as /api (default: none)"),
        ("lifespan", "startup and shutdown (default: if supported)"),
    ),
    "Address": (
        ("--host HOST", "0.0.0.0: all (default: 127.0.0.1, this machine only)"),
        ("--port PORT", "0: any free one (default: 8000)"),
        ("--uds PATH", "a unix socket instead"),
        ("bind", "HOST:PORT, unix:PATH or fd://N; may be repeated"),
        ("certfile", "certificate for https (default: http)"),
        ("keyfile", "its key (default: in the same file)"),
        ("acme", "get and renew a certificate for this host name"),
        ("http3", "HTTP/3 too, over UDP on the same port"),
        ("trusted_proxies", "proxy whose forwarding fields count (default: none)"),
    ),
    "Development": (
        ("reload", "restart when the code changes"),
        ("reload_include", "files or folders; may be repeated (default: *.py)"),
        ("dev_tls", "https for this machine, by a certificate of its own"),
        ("debug", "debug mode of the event loop"),
    ),
    "Workers": (
        ("workers", "processes; auto: one per CPU (default: 1)"),
        ("worker_class", "event loop: asyncio (the default), uvloop or trio"),
        ("wsgi_threads", "threads for a WSGI application (default: CPUs + 4)"),
        ("max_requests", "requests before a worker is replaced (default: no limit)"),
        ("graceful_timeout", "for open requests at shutdown (default: 3 seconds)"),
        ("pid_path", "file for the process id"),
    ),
    "Limits": (
        ("keep_alive_timeout", "for an idle connection (default: 5 seconds)"),
        ("max_body_size", "longest request body (default: no limit)"),
        ("limit_concurrency", "concurrent requests; then 503 (default: no limit)"),
    ),
    "Logging": (
        ("access_log", 'access log; "-": stdout (default: on a terminal only)'),
        ("--no-access-log", "no access log"),
        ("access_log_format", "short, common, combined, json, or your own"),
        ("log_level", "DEBUG, INFO (the default), WARNING or ERROR"),
        ("log_config", "logging, as a .json, .yaml, .toml or .ini file"),
    ),
    "Command": (
        ("-c, --config FILE", "options from a file (default: ./hypercorn.toml)"),
        ("--check-config", "check options and application, and serve nothing"),
        ("--print-config", "show each option's value, and where it comes from"),
        ("--version", "show version, build, Python and event loop"),
        ("--help-all", "show all options; these are the most used"),
    ),
}


def text() -> str:
    """The whole help."""
    lines = [_HEAD.rstrip("\n")]
    for title, entries in GROUPS.items():
        lines += ["", f"{title}:"]
        for name, says in entries:
            lines += _entry(name, says)
    return "\n".join([*lines, "", _TAIL])


def _entry(name: str, says: str) -> list[str]:
    """The lines of one flag."""
    option = BY_NAME.get(name)
    left = f"  {name if option is None else flags(option)}"
    rest = textwrap.wrap(says, WIDTH - _COLUMN)
    first = left.ljust(_COLUMN)
    if len(left) > _COLUMN - 2:
        return [left, *(" " * _COLUMN + line for line in rest)]
    return [first + rest[0], *(" " * _COLUMN + line for line in rest[1:])]


def flags(option: Option) -> str:
    """An option's short flag, and the first of its long ones, with what they take."""
    short = [flag for flag in option.all_flags if not flag.startswith("--")][:1]
    names = ", ".join([*short, next(flag for flag in option.all_flags if flag.startswith("--"))])
    return names if option.kind.switch else f"{names} {_takes(option)}"


def _takes(option: Option) -> str:
    """What an option takes, in a short word."""
    word = option.kind.metavar
    return {"SECONDS": "TIME", "BYTES": "SIZE", "N|auto": "N"}.get(word, word)
