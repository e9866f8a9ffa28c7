"""Options for the application to serve."""

from __future__ import annotations

from dataclasses import replace
from os import cpu_count

from hypercorn.config.options.option import UNSET, Option
from hypercorn.config.values import PATH, ROOT_PATH, SWITCH, TEXT, choice, number, optional, seconds, size


def _read_threads(value: object) -> object:
    """`auto` stays as it is: the number depends on the machine."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    return number(1).read(value)


def _threads() -> int:
    return min(32, (cpu_count() or 1) + 4)


_THREADS = replace(
    number(1),
    expected=f"{number(1).expected}, or auto",
    read=_read_threads,
    metavar="N|auto",
    type='int | Literal["auto"]',
)

OPTIONS: tuple[Option, ...] = (
    Option(
        "application_path",
        TEXT,
        UNSET,
        "Application",
        "module:app, as on the command line",
        flagless=True,
    ),
    Option("factory", SWITCH, False, "Application", "module:app is a factory: call it without arguments"),
    Option("app_dir", PATH, None, "Application", "folder to import from, instead of the working directory"),
    Option("env_file", PATH, None, "Application", "file of KEY=VALUE lines; variables that are already set win"),
    Option("strict", SWITCH, False, "Application", "an unknown option is an error, not a warning"),
    Option("root_path", ROOT_PATH, "", "Application", "path that the application is mounted under"),
    Option(
        "add_root_path",
        SWITCH,
        False,
        "Application",
        "put root_path in front of each request's path, for a proxy that strips it",
    ),
    Option("lifespan", choice("auto", "on", "off"), "auto", "Application", "ASGI lifespan: on makes it mandatory"),
    Option(
        "validate_app",
        SWITCH,
        False,
        "Application",
        "check each message of the application against the ASGI or WSGI specification",
        other_flags=("--validate",),
    ),
    Option("startup_timeout", optional(seconds()), 60.0, "Application", "time for lifespan startup"),
    Option("shutdown_timeout", optional(seconds()), 60.0, "Application", "time for lifespan shutdown"),
    Option(
        "wsgi_max_body_size",
        optional(size(0)),
        None,
        "Application",
        "request body of a WSGI application; none: up to wsgi_spool_size",
    ),
    Option(
        "wsgi_buffer_size", size(0), 65536, "Application", "part of a WSGI body kept in memory; the rest is on disk"
    ),
    Option("wsgi_spool_size", optional(size(0)), 1 << 30, "Application", "WSGI bodies on disk, in total; then 503"),
    Option(
        "wsgi_threads",
        _THREADS,
        "auto",
        "Application",
        "threads for a WSGI application; auto: the number of CPUs plus 4, at most 32",
        automatic=_threads,
    ),
    Option("wsgi_queue_size", number(0), 1000, "Application", "requests waiting for a thread; then 503"),
    Option("wsgi_queue_timeout", optional(seconds(True)), 30.0, "Application", "longest wait for a thread; then 503"),
)
