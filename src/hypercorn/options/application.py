"""What to serve."""

from __future__ import annotations

from hypercorn.options.option import UNSET, Option
from hypercorn.values import PATH, SWITCH, TEXT, choice, number, optional, seconds, size

OPTIONS: tuple[Option, ...] = (
    Option(
        "application_path",
        TEXT,
        UNSET,
        "Application",
        "module:app, as the command line has it",
        flagless=True,
    ),
    Option("factory", SWITCH, False, "Application", "what module:app names is called, without arguments, for the app"),
    Option("app_dir", PATH, None, "Application", "folder to import from, in place of the working directory"),
    Option("env_file", PATH, None, "Application", "file of KEY=VALUE lines, for variables that are not set"),
    Option("strict", SWITCH, False, "Application", "an unknown option is an error, not a warning"),
    Option("root_path", TEXT, "", "Application", "path under which the application is mounted", ("--root-path",)),
    Option("lifespan", choice("auto", "on", "off"), "auto", "Application", "ASGI lifespan: on makes it mandatory"),
    Option("startup_timeout", seconds(), 60.0, "Application", "time for lifespan startup"),
    Option("shutdown_timeout", seconds(), 60.0, "Application", "time for lifespan shutdown"),
    Option("wsgi_max_body_size", size(0), 16 * 1024 * 1024, "Application", "request body of a WSGI application"),
    Option("wsgi_buffer_size", size(0), 65536, "Application", "part of that body awaited before a thread is taken"),
    Option("wsgi_threads", optional(number(1)), None, "Application", "threads; none: one for each CPU and 4, up to 32"),
    Option("wsgi_queue_size", number(0), 1000, "Application", "requests that wait for a thread, then 503"),
    Option("wsgi_queue_timeout", optional(seconds(True)), 30.0, "Application", "time they wait at most, then 503"),
)
