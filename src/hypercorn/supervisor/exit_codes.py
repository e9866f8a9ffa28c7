"""Exit codes, and the messages that come with them."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator

from hypercorn.config import Config
from hypercorn.errors import (
    BindError,
    ConfigError,
    LifespanFailureError,
    LifespanTimeoutError,
    NoAppError,
    SocketTypeError,
)
from hypercorn.logs.logger import log_failure
from hypercorn.supervisor.pid_file import PidFileError

EXIT_OK = 0
EXIT_CRASH = 1
EXIT_USAGE = 2
EXIT_STARTUP = 3
EXIT_INTERRUPTED = 130  # what a shell reports for SIGINT

LOADING_MODULE = "hypercorn.asgi.loading"  # whose caller is the application's code
_STARTUP_ERRORS = (NoAppError, LifespanFailureError, LifespanTimeoutError, BindError, PidFileError, SocketTypeError)


def report(error: BaseException, config: Config) -> int:
    """Says what went wrong in the error log; on stderr where there is none yet. Returns the exit code."""
    text, code = explain(error, config)
    log_or_print(text, config)
    return code


def log_or_print(text: str, config: Config) -> None:
    """Writes an error message to the error log; to stderr where there is none yet."""
    if not log_failure(config._log, text):
        print(text, end="", file=sys.stderr)


def explain(error: BaseException, config: Config) -> tuple[str, int]:
    """The text of an error and its exit code. The text is one line, after a traceback where somebody has to look
    at code."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, _STARTUP_ERRORS):
            return error_line(f"{leaf}{bind_advice(leaf)}"), EXIT_STARTUP
        if isinstance(leaf, ConfigError):
            return error_line(str(leaf)), EXIT_USAGE
    own = _after_loading(error)
    if own is not None:
        summary = traceback.format_exception_only(leaves[0])[-1].strip()
        last = error_line(f"the application {config.application_path!r} could not be loaded: {summary}")
        return "".join(own) + last, EXIT_STARTUP
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return "", EXIT_INTERRUPTED
    return "".join(traceback.format_exception(error)) + error_line("the server failed"), EXIT_CRASH


def bind_advice(error: BaseException) -> str:
    """What to do about an address that cannot be bound, to be added to the error."""
    if not isinstance(error, BindError) or error.address.startswith("unix:"):
        return ""
    text = error.address.rpartition(":")[2]
    if error.errno == errno.EADDRINUSE:
        other = f": --port {int(text) + 1}" if text.isdigit() and int(text) < 65535 else ""
        return f"; end that one, or choose another port{other}"
    return "; ports below 1024 are the system's: --port 8000" if error.errno == errno.EACCES else ""


def logging_error(error: BaseException) -> str:
    """Returns a message that says why logging cannot be set up.

    The error of dictConfig names the handler, and its cause explains what is wrong with that.
    """
    reasons: list[str] = []
    one: BaseException | None = error
    while one is not None:
        reason = repr(one) if isinstance(one, KeyError) else str(one)
        if reason and reason not in reasons:
            reasons.append(reason)
        one = one.__cause__
    return "logging cannot be set up: " + ": ".join(reasons)


def error_line(message: str) -> str:
    """An error message as a line for stderr."""
    return f"hypercorn: error: {message}\n"


def print_error(message: str, code: int) -> int:
    """Prints one line on stderr, and returns the exit code."""
    print(error_line(message), end="", file=sys.stderr)
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
    inside = None
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module == LOADING_MODULE:
            inside = trace
        elif inside is not None and not module.startswith(("importlib", "_frozen_importlib")):
            return traceback.format_exception(type(error), error, trace)
        trace = trace.tb_next
    # Nothing below: the module has an error of syntax, which has no frame.
    return None if inside is None else traceback.format_exception_only(type(error), error)
