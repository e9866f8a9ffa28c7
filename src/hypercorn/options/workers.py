"""Processes, loops, and their ends."""

from __future__ import annotations

from typing import Any

from hypercorn.options.option import Option
from hypercorn.values import PATH, SWITCH, TEXT, Kind, choice, number, optional, seconds


def _maximum(value: Any) -> Any:
    """0 is no limit, as in other servers: a worker that ends before its first request helps nobody."""
    return number(0).read(value) or None


_COUNT_OR_NONE = optional(Kind("a whole number (0: no limit)", _maximum, "N"))

OPTIONS: tuple[Option, ...] = (
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
)
