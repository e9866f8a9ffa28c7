"""What is kept of requests and connections: access records, counters, and lines of the error log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypercorn.metrics.counters import Counters

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog


class Records:
    """Where one worker writes and counts. `logger` is that of the configuration."""

    __slots__ = ("access", "counters", "kept", "logger", "missing_trailers")

    def __init__(self, logger: ErrorLog) -> None:
        self.logger = logger
        self.access: Callable[..., None] | None = None
        self.counters: Counters | None = None  # where this worker counts
        self.kept = False  # each request leaves an access record, or is counted
        self.missing_trailers = False  # an application has left some out, and the log has said so

    def keep(self, access: Callable[..., None] | None, counters: Counters | None) -> None:
        """Sets what writes access records, and what counts."""
        self.access = access
        self.counters = counters
        self.kept = access is not None or counters is not None

    def uncounted(self) -> Records:
        """The same for requests that are written, and not counted."""
        other = Records(self.logger)
        other.keep(self.access, None)
        return other

    def write(self, exchange: Any, duration: float) -> None:
        """One access record, of a request that an application saw. A status of 0 is one that was never sent."""
        if self.access is not None:
            self.access(exchange.scope, exchange.status or None, exchange.headers, exchange.sent, duration)

    def log_refusal(self, client: tuple[object, ...] | None, status: int, reason: str) -> None:
        """One line of what was wrong, at a level that a hostile peer cannot fill a disk with."""
        self.logger.log_debug("Refused a request of %s: %d %s", client[0] if client else "-", status, reason)

    def log_fault(self, error: Exception) -> None:
        """One record of a fault of the server that ended a connection."""
        self.logger.log_error("A connection ended in an internal error", exc_info=error)

    def log_error(self, message: str, *args: object) -> None:
        """One record of what an application did wrong."""
        self.logger.log_error(message, *args)

    def log_warning(self, message: str, *args: object) -> None:
        """One record of what an application did, and the server put right."""
        self.logger.log_warning(message, *args)

    def log_exception(self, message: str, what: str, error: BaseException) -> None:
        """One record of what an application raised."""
        self.logger.log_error(message, what, exc_info=error)
