"""Running a server as a process: the worker, the pid file, and what goes wrong as an exit code."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypercorn.config import Config
from hypercorn.errors import (
    BindError,
    ConfigError,
    HypercornError,
    LifespanFailureError,
    LifespanTimeoutError,
    NoAppError,
    SocketTypeError,
)

EXIT_OK = 0
EXIT_CRASH = 1
EXIT_USAGE = 2
EXIT_STARTUP = 3
EXIT_INTERRUPTED = 130  # what a shell reports for SIGINT

# Module and function of each worker class, and the package that it needs.
_WORKERS = {
    "asyncio": ("hypercorn.asyncio.run", "asyncio_worker", ""),
    "uvloop": ("hypercorn.asyncio.run", "uvloop_worker", "uvloop"),
    "trio": ("hypercorn.trio.run", "trio_worker", "trio"),
}
_LOADING = "hypercorn.asgi.loading"
_STARTUP_ERRORS = (NoAppError, LifespanFailureError, LifespanTimeoutError, BindError, SocketTypeError)


class PidFileError(HypercornError):
    """The pid file belongs to a process that runs, or cannot be written."""


def run(config: Config) -> int:
    """Serves `config.application_path` until a signal, and returns the exit code of the process.

    0 after a clean end, 1 after a crash, 2 for an option that turns out to be wrong, 3 if the server could
    not start; all but the first with a message on stderr. Raises ConfigError (a ValueError) for options that
    are wrong at once.
    """
    worker = find_worker(config.worker_class)
    config.validate()
    if not hasattr(config, "application_path"):
        raise ConfigError("application_path is not set: there is nothing to serve")
    try:
        log = config.log
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        return complain(f"logging cannot be set up: {error}", EXIT_STARTUP)
    if config.workers > 1:
        log.log_warning("workers = %d, but this release runs one worker for now", config.workers)
    if config.use_reloader:
        log.log_warning("use_reloader is set, but this release does not reload for now")
    try:
        with pid_file(config.pid_path):
            return run_worker(worker, config)
    except PidFileError as error:
        return complain(str(error), EXIT_STARTUP)


def find_worker(worker_class: str) -> Callable[[Config], None]:
    """The function that serves with that worker class.

    Raises ConfigError if there is none or a package is missing.
    """
    if worker_class not in _WORKERS:
        raise ConfigError(f"No worker of class {worker_class} exists")
    module, function, package = _WORKERS[worker_class]
    if package and importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"worker_class {worker_class!r} needs the package {package}: pip install 'hypercorn[{package}]'"
        )
    worker: Callable[[Config], None] = getattr(importlib.import_module(module), function)
    return worker


def run_worker(worker: Callable[[Config], None], config: Config) -> int:
    """Runs one worker in this process; what it raises becomes a message and an exit code."""
    try:
        worker(config)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return report(error, config)
    return EXIT_OK


def report(error: BaseException, config: Config) -> int:
    """Says what went wrong on stderr, with a traceback where somebody has to look at code.

    Returns the exit code.
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, _STARTUP_ERRORS):
            return complain(str(leaf), EXIT_STARTUP)
        if isinstance(leaf, ConfigError):
            return complain(str(leaf), EXIT_USAGE)
    own = _after_loading(error)
    if own is not None:
        print("".join(own), end="", file=sys.stderr)
        return complain(f"the application {config.application_path!r} could not be loaded", EXIT_STARTUP)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return EXIT_INTERRUPTED
    print("".join(traceback.format_exception(error)), end="", file=sys.stderr)
    return complain("the server failed", EXIT_CRASH)


def complain(message: str, code: int) -> int:
    """One line on stderr."""
    print(f"hypercorn: error: {message}", file=sys.stderr)
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, or the exception itself (task groups wrap what they raise)."""
    inner = getattr(error, "exceptions", None)
    if isinstance(inner, tuple):
        for one in inner:
            yield from _leaves(one)
    else:
        yield error


def _after_loading(error: BaseException) -> list[str] | None:
    """The traceback below the loading of the application; None if that is not where the error comes from."""
    trace = error.__traceback__
    inside: Any = None
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module == _LOADING:
            inside = trace
        elif inside is not None and not module.startswith(("importlib", "_frozen_importlib")):
            return traceback.format_exception(type(error), error, trace)
        trace = trace.tb_next
    # Nothing below: the module has an error of syntax, which has no frame.
    return None if inside is None else traceback.format_exception_only(type(error), error)


# --- the pid file


@contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Keeps this process's id in the file at `path`, and removes it at the end.

    Raises PidFileError if the process that the file names is alive, or the file cannot be written.
    """
    if path is None:
        yield
        return
    file = Path(path).absolute()  # the application may change the working directory
    pid = str(os.getpid())
    try:
        other = _read_pid(file)
        if other is not None and _is_alive(other):
            raise PidFileError(f"the pid file {path} names process {other}, which is running")
        file.write_text(pid)
    except OSError as error:
        raise PidFileError(f"the pid file {path} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        try:
            if file.read_text() == pid:
                file.unlink()
        except (OSError, ValueError):
            pass


def _read_pid(file: Path) -> int | None:
    try:
        pid = int(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 0 and pid != os.getpid() else None


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return False  # os.kill(pid, 0) would be a Ctrl-C there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
