"""Running a server as a process, with or without worker processes.

The module can be called: `hypercorn.run("main:app", port=8000)` is `hypercorn.api.run`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType

from hypercorn import __version__, build
from hypercorn.config import Config
from hypercorn.errors import BindError, ConfigError
from hypercorn.supervisor.descriptors import fill_standard_descriptors
from hypercorn.supervisor.exit_codes import (
    EXIT_OK,
    EXIT_STARTUP,
    LOADING_MODULE,
    explain,
    logging_error,
    print_error,
    report,
)
from hypercorn.supervisor.pid_file import PidFileError, pid_file, remove_pid_file
from hypercorn.supervisor.worker_classes import find_worker, run_worker

__all__ = ("PidFileError", "run")


def run(
    config: Config,
    *,
    load: Callable[[], Config] | None = None,
    plain: bool = False,
    owns_process: bool = False,
) -> int:
    """Serves `config.application_path` until a signal, and returns the exit code of the process.

    0 after a clean end, 1 after a crash, 2 for an option that turns out to be wrong, 3 if the server could
    not start; all but the first with a message in the error log, or on stderr where there is none yet. `load` gives the
    configuration anew, for a reload; `plain` says that no code but this package's has run in this process,
    `owns_process` that nothing runs in it once the server has ended, so that threads of the application may not keep
    it. Raises ConfigError (a ValueError) for options that are wrong at once.
    """
    fill_standard_descriptors()
    serve_if_frozen_worker()
    if config.reload and getattr(sys, "frozen", False):
        raise ConfigError("reload: a frozen program has no source files that could change; leave --reload out")
    if config.on_worker_exit is not None and getattr(sys, "frozen", False):
        raise ConfigError("on_worker_exit: a frozen program has no interpreter that could call it")
    worker = find_worker(config.worker_class)
    config.validate()
    if not hasattr(config, "application_path"):
        raise ConfigError("application_path is not set: there is nothing to serve")
    try:
        log = config.log
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        return print_error(logging_error(error), EXIT_STARTUP)
    alone = config.workers == 0 and not config.reload
    if sys.platform == "win32":
        if config.workers > 1 or config.reload:
            log.log_warning("This platform has no worker processes: one worker serves, and nothing reloads")
        alone = True
    try:
        return run_here(worker, config, owns_process) if alone else run_supervised(config, load, plain, owns_process)
    except PidFileError as error:
        return report(error, config)


def introduction(config: Config) -> str:
    """What a server says of itself at the start: release, build, loop, workers, application."""
    count = max(config.workers, 1 if config.use_reloader else 0)
    workers = "in this process" if count == 0 else "1 worker" if count == 1 else f"{count} workers"
    python = sys.version.split()[0]
    return (
        f"hypercorn {__version__} ({build()} build, {config.worker_class}, {workers}, Python {python})"
        f" serves {config.application_path}"
    )


def serve_if_frozen_worker() -> None:
    """Serves as a worker, and does not return, where a frozen program was started as one. Its options come from the
    supervisor, so this is called before any are read."""
    if getattr(sys, "frozen", False) and sys.platform != "win32":
        from hypercorn.supervisor.launch import serve_if_worker

        serve_if_worker()


def check(config: Config) -> int:
    """Checks whether a server with this configuration could start: its certificates, its worker class, its logging
    and, where one is named, its application. Returns an exit code. Nothing is bound. Says what is wrong on stderr."""
    try:
        find_worker(config.worker_class)
        config.create_ssl_context()
        try:
            _ = config.log
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
            return print_error(logging_error(error), EXIT_STARTUP)
        if hasattr(config, "application_path"):
            loading = importlib.import_module(LOADING_MODULE)
            loading.load_configured(config)
    except Exception as error:
        text, code = explain(error, config)
        print(text, end="", file=sys.stderr)
        return code
    print("hypercorn: the configuration is in order")
    return EXIT_OK


def run_here(worker: Callable[..., None], config: Config, owns_process: bool) -> int:
    """Serves in this process. Raises PidFileError."""
    from hypercorn.runtime.ending import Ending
    from hypercorn.supervisor.inherit import from_systemd
    from hypercorn.supervisor.solo import SoloLink
    from hypercorn.supervisor.title import set_title

    # The application may change the working directory.
    path = None if config.pid_path is None else os.path.abspath(config.pid_path)
    ending = Ending(exits=owns_process, last=partial(remove_pid_file, path))
    if owns_process:
        set_title(config, "server")
    with pid_file(config.pid_path):
        config.log.log_info("%s", introduction(config))
        try:
            sockets = from_systemd(config)
        except BindError as error:
            return report(error, config)
        link = SoloLink(ending, lambda error: report(error, config))
        code = ending.settle(run_worker(worker, config, sockets=sockets, link=link))
    if not owns_process:
        ending.cancel()
    return code


def run_supervised(config: Config, load: Callable[[], Config] | None, plain: bool, owns_process: bool) -> int:
    """Serves with worker processes. Raises PidFileError."""
    from hypercorn.supervisor.arbiter import supervise
    from hypercorn.supervisor.inherit import Handover

    handover = Handover.take()
    with pid_file(config.pid_path, replaces=None if handover is None else handover.old_pid) as claim:
        config.log.log_info("%s", introduction(config))
        return supervise(config, load, plain, handover, claim, owns_process)


class _CallableModule(ModuleType):
    """This module, which earlier releases had under the name of the function that users look for."""

    def __call__(self, *args: object, **kwargs: object) -> None:
        importlib.import_module("hypercorn.api").run(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
