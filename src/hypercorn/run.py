"""Running a server as a process: the worker, the pid file, and what goes wrong as an exit code."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
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
from hypercorn.logs.logger import log_failure

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


class PidFileError(HypercornError):
    """The pid file belongs to a process that runs, or cannot be written."""


_STARTUP_ERRORS = (NoAppError, LifespanFailureError, LifespanTimeoutError, BindError, PidFileError, SocketTypeError)


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
    enlist_frozen()
    if config.use_reloader and getattr(sys, "frozen", False):
        raise ConfigError("use_reloader: a frozen program has no source files that could change; leave --reload out")
    worker = find_worker(config.worker_class)
    config.validate()
    if not hasattr(config, "application_path"):
        raise ConfigError("application_path is not set: there is nothing to serve")
    try:
        log = config.log
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        return complain(no_logging(error), EXIT_STARTUP)
    alone = config.workers == 0 and not config.use_reloader
    if sys.platform == "win32":
        if config.workers > 1 or config.use_reloader:
            log.log_warning("This platform has no worker processes: one worker serves, and nothing reloads")
        alone = True
    try:
        return run_here(worker, config, owns_process) if alone else run_supervised(config, load, plain, owns_process)
    except PidFileError as error:
        return report(error, config)


def fill_standard_descriptors() -> None:
    """Opens /dev/null where a standard stream is closed, so that no socket or log file gets its descriptor, and with it
    what libraries write to stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                os.set_inheritable(number, True)
            if getattr(sys, name) is None:
                stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115  it stays open
                setattr(sys, name, stream)


def enlist_frozen() -> None:
    """Serves as a worker, and does not return, where a frozen program was started as one. Its options come from the
    supervisor, so this is called before any are read."""
    if getattr(sys, "frozen", False) and sys.platform != "win32":
        from hypercorn.supervisor.launch import enlist

        enlist()


def check(config: Config) -> int:
    """Whether a server with this configuration could start, as an exit code: its certificates, its worker class, its
    logging and, where one is named, its application. Nothing is bound. Says what is wrong on stderr."""
    try:
        find_worker(config.worker_class)
        config.create_ssl_context()
        try:
            _ = config.log
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
            return complain(no_logging(error), EXIT_STARTUP)
        if hasattr(config, "application_path"):
            loading = importlib.import_module(_LOADING)
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

    # The application may change the working directory.
    path = None if config.pid_path is None else os.path.abspath(config.pid_path)
    ending = Ending(exits=owns_process, last=partial(remove_pid_file, path))
    with pid_file(config.pid_path):
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
        return supervise(config, load, plain, handover, claim, owns_process)


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
    """Says what went wrong in the error log; on stderr where there is none yet. Returns the exit code."""
    text, code = explain(error, config)
    say(text, config)
    return code


def say(text: str, config: Config) -> None:
    """Writes a complaint to the error log; to stderr where there is none yet."""
    if not log_failure(config._log, text):
        print(text, end="", file=sys.stderr)


def explain(error: BaseException, config: Config) -> tuple[str, int]:
    """The text of an error and its exit code. The text is one line, after a traceback where somebody has to look
    at code."""
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


def no_logging(error: BaseException) -> str:
    """Says why logging cannot be set up: dictConfig names the handler, and its cause what is wrong with that."""
    reasons: list[str] = []
    one: BaseException | None = error
    while one is not None:
        reason = repr(one) if isinstance(one, KeyError) else str(one)
        if reason and reason not in reasons:
            reasons.append(reason)
        one = one.__cause__
    return "logging cannot be set up: " + ": ".join(reasons)


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
            write_pid(file, pid)
    except OSError as error:
        raise PidFileError(f"the pid file {path} cannot be written: {error.strerror or error}") from error

    def claim() -> None:
        with suppress(OSError):
            write_pid(file, pid)

    try:
        yield (lambda: None) if replaces is None else claim
    finally:
        remove_pid_file(str(file))


def write_pid(file: Path, pid: str) -> None:
    """Writes a process id. Raises OSError, also for a symbolic link: whoever may make one in the file's folder would
    have this process, perhaps root's, overwrite any file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(file, flags, 0o644), "w") as stream:
        stream.write(pid)


def remove_pid_file(path: str | None) -> None:
    """Removes the pid file, where it names this process."""
    with suppress(OSError, ValueError):
        if path is not None and Path(path).read_text() == str(os.getpid()):
            os.unlink(path)


def _read_pid(file: Path) -> int | None:
    try:
        if file.is_symlink():
            raise OSError(errno.ELOOP, "it is a symbolic link")
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
