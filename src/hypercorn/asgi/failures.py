"""Errors that an application raised: which of them are logged, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypercorn.errors import ClientDisconnected

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

# What an application may raise that is an error of its own.
APP_ERRORS = (Exception, SystemExit)


def log_failure(context: ASGIContext, name: str, error: BaseException, departed: bool) -> None:
    """Writes the record of a call that raised. `departed`: the client is gone, or has closed its side."""
    if departed and is_disconnect(error):
        context.records.logger.log_debug("The client left before the application was done (%s)", name, exc_info=error)
    else:
        context.records.log_exception("Error in the application (%s)", name, error)


def is_disconnect(error: BaseException) -> bool:
    """True where a `ClientDisconnected` is the error, one of its causes or contexts, or in a group among these:
    frameworks raise errors of their own in its place, and task groups wrap it."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, ClientDisconnected):
            return True
        if id(one) in seen:  # chains of exceptions may go round in a circle
            continue
        seen.add(id(one))
        members = getattr(one, "exceptions", None)  # those of a group, also of a backport's
        inner = (one.__cause__, one.__context__, *(members if isinstance(members, (list, tuple)) else ()))
        waiting.extend(item for item in inner if isinstance(item, BaseException))
    return False


def is_cancellation(error: BaseException) -> bool:
    """True for a loop's exception that cancels a task, and for a group of nothing else."""
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple) and members:
        return all(map(is_cancellation, members))
    return type(error).__name__ in ("CancelledError", "Cancelled")
