"""Processes, loops, and their ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypercorn.config.cpus import usable_cpus
from hypercorn.config.options.option import Option
from hypercorn.config.values import (
    CONTROL,
    FOLDERS,
    FUNCTION,
    PATH,
    SWITCH,
    TEXT,
    TEXTS,
    choice,
    number,
    optional,
    seconds,
    size,
)


def _count(value: Any) -> Any:
    """`auto` is as many as the machine, or the container's CPU quota, can run at once."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return usable_cpus()
    return number(0).read(value)


_WORKERS = replace(number(0), read=_count, metavar="N|auto")

OPTIONS: tuple[Option, ...] = (
    Option("workers", _WORKERS, 1, "Workers", "worker processes; auto; 0: serve in this one", "-w"),
    Option("worker_class", TEXT, "asyncio", "Workers", "asyncio, uvloop or trio", "-k"),
    Option("runtime", choice("auto", "reactor", "loop"), "auto", "Workers", "who moves the bytes"),
    Option(
        "max_requests",
        optional(number(1)),
        None,
        "Workers",
        "requests until a worker is replaced",
    ),
    Option(
        "max_requests_jitter",
        number(0),
        0,
        "Workers",
        "random part added to max_requests",
    ),
    Option(
        "on_worker_exit",
        optional(FUNCTION),
        None,
        "Workers",
        "module:function to call with the process id and the exit code of each worker that has ended",
    ),
    Option("max_worker_age", optional(seconds(True)), None, "Workers", "time until a worker is replaced"),
    Option("max_worker_memory", optional(size()), None, "Workers", "resident memory at which a worker is replaced"),
    Option(
        "worker_timeout",
        optional(seconds(True)),
        None,
        "Workers",
        "time that a worker's event loop may stand still before the worker is killed and replaced",
    ),
    Option("preload", SWITCH, False, "Workers", "load the application once, before the workers are forked"),
    Option(
        "start_method",
        choice("auto", "spawn", "fork"),
        "auto",
        "Workers",
        "how workers start: as fresh interpreters, or forked (auto: forked where that is safe)",
    ),
    Option(
        "graceful_timeout",
        optional(seconds()),
        3.0,
        "Workers",
        "time for open requests at shutdown; none: no limit",
    ),
    Option("shutdown_delay", seconds(), 0.0, "Workers", "time to go on serving, no longer ready, before shutdown"),
    Option(
        "shutdown_notify_delay",
        optional(seconds()),
        None,
        "Workers",
        "time until applications that stream a response are told of the shutdown",
    ),
    Option("control", CONTROL, "auto", "Workers", "path of the control socket; none: no such socket"),
    Option("daemon", SWITCH, True, "Workers", "workers may not have child processes", "-D"),
    Option("reload", SWITCH, False, "Workers", "restart when the code changes", aliases=("use_reloader",)),
    Option(
        "reload_dirs",
        FOLDERS,
        [],
        "Workers",
        "folder to watch for changes, in place of the working directory; may be repeated",
        aliases=("reload_dir",),
    ),
    Option("reload_include", TEXTS, ["*.py"], "Workers", "files whose changes matter to the reloader; may be repeated"),
    Option("reload_exclude", TEXTS, [], "Workers", "files and folders whose changes do not; may be repeated"),
    Option("debug", SWITCH, False, "Workers", "the event loop's debug mode"),
    Option("pid_path", PATH, None, "Workers", "file for the process id", "-p", ("pid",)),
    Option(
        "process_name",
        optional(TEXT),
        None,
        "Workers",
        "name of the processes in ps and top, in place of module:app; needs the extra setproctitle",
        aliases=("proc_name",),
    ),
)
