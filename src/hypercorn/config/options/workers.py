"""Processes, loops, and their ends."""

from __future__ import annotations

from dataclasses import replace

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


def _count(value: object) -> object:
    """`auto` is as many as the machine, or the container's CPU quota, can run at once."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return usable_cpus()
    return number(0).read(value)


_WORKERS = replace(number(0), read=_count, metavar="N|auto")

OPTIONS: tuple[Option, ...] = (
    Option("workers", _WORKERS, 1, "Workers", "worker processes; auto; 0: serve in this process", "-w"),
    Option("worker_class", TEXT, "asyncio", "Workers", "asyncio, uvloop or trio", "-k"),
    Option(
        "runtime",
        choice("auto", "reactor", "loop"),
        "auto",
        "Workers",
        "what moves the bytes: the compiled reactor, or the event loop",
    ),
    Option(
        "max_requests",
        optional(number(1)),
        None,
        "Workers",
        "requests after which a worker is replaced",
    ),
    Option(
        "max_requests_jitter",
        number(0),
        0,
        "Workers",
        "largest random number added to max_requests",
    ),
    Option(
        "on_worker_exit",
        optional(FUNCTION),
        None,
        "Workers",
        "module:function to call with the process id and exit code of each ended worker",
    ),
    Option("max_worker_age", optional(seconds(True)), None, "Workers", "age at which a worker is replaced"),
    Option("max_worker_memory", optional(size()), None, "Workers", "resident memory at which a worker is replaced"),
    Option(
        "worker_timeout",
        optional(seconds(True)),
        None,
        "Workers",
        "kill and replace a worker whose event loop hangs for longer than this",
    ),
    Option("preload", SWITCH, False, "Workers", "load the application once, before the workers are forked"),
    Option(
        "start_method",
        choice("auto", "spawn", "fork"),
        "auto",
        "Workers",
        "start workers as fresh interpreters, or fork them (auto: fork if that is safe)",
    ),
    Option(
        "graceful_timeout",
        optional(seconds()),
        3.0,
        "Workers",
        "time for open requests at shutdown; none: no limit",
    ),
    Option("shutdown_delay", seconds(), 0.0, "Workers", "time to keep serving before shutdown, reported as not ready"),
    Option(
        "shutdown_notify_delay",
        optional(seconds()),
        None,
        "Workers",
        "time after which applications that stream a response are told of the shutdown",
    ),
    Option(
        "preemption_hook",
        optional(FUNCTION),
        None,
        "Workers",
        "module:function that returns once the machine is about to be taken away; the server then stops gracefully",
    ),
    Option("control", CONTROL, "auto", "Workers", "path of the control socket; none: no socket"),
    Option("daemon", SWITCH, True, "Workers", "workers are daemonic: they may have no child processes", "-D"),
    Option("reload", SWITCH, False, "Workers", "restart when the code changes", aliases=("use_reloader",)),
    Option(
        "reload_dirs",
        FOLDERS,
        [],
        "Workers",
        "folder to watch, instead of the working directory; may be repeated",
        aliases=("reload_dir",),
    ),
    Option("reload_include", TEXTS, ["*.py"], "Workers", "files to watch for changes; may be repeated"),
    Option("reload_exclude", TEXTS, [], "Workers", "files and folders to ignore; may be repeated"),
    Option("debug", SWITCH, False, "Workers", "debug mode of the event loop"),
    Option("pid_path", PATH, None, "Workers", "file for the process id", "-p", ("pid",)),
    Option(
        "process_name",
        optional(TEXT),
        None,
        "Workers",
        "name of the processes in ps and top, instead of module:app; needs the extra setproctitle",
        aliases=("proc_name",),
    ),
)
