"""The loggers of the server, for applications: a subclass of `Logger` may be the option `logger_class`."""

from __future__ import annotations

from hypercorn.logs.access import AccessLogAtoms
from hypercorn.logs.logger import Logger

__all__ = ("AccessLogAtoms", "Logger")
