"""Running a server as a process: the worker, the pid file, and what goes wrong as an exit code."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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


def run(config: Config, *, load: Callable[[], Config] | None = None, plain: bool = False) -> int:
    """Serves `config.application_path` until a signal, and returns the exit code of the process.

    0 after a clean end, 1 after a crash, 2 for an option that turns out to be wrong, 3 if the server could
    not start; all but the first with a message on stderr. `load` gives the configuration anew, for a reload; `plain`
    says that no code but this package's has run in this process. Raises ConfigError (a ValueError) for options that
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
    alone = config.workers == 0 and not config.use_reloader
    if sys.platform == "win32":
        if config.workers > 1 or config.use_reloader:
            log.log_warning("This platform has no worker processes: one worker serves, and nothing reloads")
        alone = True
    try:
        return run_here(worker, config) if alone else run_supervised(config, load, plain)
    except PidFileError as error:
        return complain(str(error), EXIT_STARTUP)


def check(config: Config) -> int:
    """Whether a server with this configuration could start, as an exit code: its certificates, its worker class and,
    where one is named, its application. Nothing is bound. Says what is wrong on stderr."""
    try:
        find_worker(config.worker_class)
        config.create_ssl_context()
        if hasattr(config, "application_path"):
            loading = importlib.import_module(_LOADING)
            loading.load_configured(config)
    except Exception as error:
        return report(error, config)
    print("hypercorn: the configuration is in order")
    return EXIT_OK


def run_here(worker: Callable[..., None], config: Config) -> int:
    """Serves in this process. Raises PidFileError."""
    from hypercorn.supervisor.inherit import from_systemd
    from hypercorn.supervisor.solo import SoloLink

    with pid_file(config.pid_path):
        try:
            sockets = from_systemd(config)
        except BindError as error:
            return complain(str(error), EXIT_STARTUP)
        return run_worker(worker, config, sockets=sockets, link=SoloLink())


def run_supervised(config: Config, load: Callable[[], Config] | None, plain: bool) -> int:
    """Serves with worker processes. Raises PidFileError."""
    from hypercorn.supervisor.arbiter import supervise
    from hypercorn.supervisor.inherit import Handover

    handover = Handover.take()
    with pid_file(config.pid_path, replaces=None if handover is None else handover.old_pid) as claim:
        return supervise(config, load, plain, handover, claim)


def find_worker(worker_class: str) -> Callable[..., None]:
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
    worker: Callable[..., None] = getattr(importlib.import_module(module), function)
    return worker


def run_worker(worker: Callable[..., None], config: Config, **options: Any) -> int:
    """Runs one worker in this process; what it raises becomes a message and an exit code."""
    try:
        worker(config, **options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return report(error, config)
    return EXIT_OK


def report(error: BaseException, config: Config) -> int:
    """Says what went wrong on stderr. Returns the exit code."""
    text, code = explain(error, config)
    print(text, end="", file=sys.stderr)
    return code


def explain(error: BaseException, config: Config) -> tuple[str, int]:
    """What went wrong, in one line, with a traceback ahead of it where somebody has to look at code; and the exit
    code."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, _STARTUP_ERRORS):
            return complaint(str(leaf)), EXIT_STARTUP
        if isinstance(leaf, ConfigError):
            return complaint(str(leaf)), EXIT_USAGE
    own = _after_loading(error)
    if own is not None:
        last = complaint(f"the application {config.application_path!r} could not be loaded")
        return "".join(own) + last, EXIT_STARTUP
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return "", EXIT_INTERRUPTED
    return "".join(traceback.format_exception(error)) + complaint("the server failed"), EXIT_CRASH


def complaint(message: str) -> str:
    """A line for stderr."""
    return f"hypercorn: error: {message}\n"


def complain(message: str, code: int) -> int:
    """One line on stderr."""
    print(complaint(message), end="", file=sys.stderr)
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
def pid_file(path: str | None, replaces: int | None = None) -> Iterator[Callable[[], None]]:
    """Keeps this process's id in the file at `path`, and removes it at the end.

    Where it `replaces` the process that the file names, that is done when what this gives is called. Raises
    PidFileError if the process that the file names is alive, or the file cannot be written.
    """
    if path is None:
        yield lambda: None
        return
    file = Path(path).absolute()  # the application may change the working directory
    pid = str(os.getpid())
    try:
        other = _read_pid(file)
        if other is not None and other != replaces and _is_alive(other):
            raise PidFileError(f"the pid file {path} names process {other}, which is running")
        if replaces is None:
            file.write_text(pid)
    except OSError as error:
        raise PidFileError(f"the pid file {path} cannot be written: {error.strerror or error}") from error

    def claim() -> None:
        with suppress(OSError):
            file.write_text(pid)

    try:
        yield (lambda: None) if replaces is None else claim
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
