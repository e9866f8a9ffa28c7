"""The access log and the error log.

`Logger` has a synchronous path, which the server uses, and the asynchronous methods that subclasses of
earlier releases override; `access_writer` finds out which of the two a logger wants. What a request contains
is escaped, so that no request can forge a line.
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from hypercorn.accesslog import AccessLogAtoms

if TYPE_CHECKING:
    from hypercorn.config import Config

    Headers = Sequence[tuple[bytes, bytes]]
    AccessWriter = Callable[[Any, int | None, Headers, int, float], None]

__all__ = ("AccessLogAtoms", "Logger", "access_writer")

_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
_DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"


class Logger:
    """The two logs of one server: `access_logger` (None when off) and `error_logger`.

    Never raises into the server.
    """

    access_logger: logging.Logger | None
    error_logger: logging.Logger

    def __init__(self, config: Config) -> None:
        self.access_log_format = config.access_log_format
        self.client_port = getattr(config, "access_log_client_port", True)
        # The level is that of the error log: it must not silence access records, which are INFO.
        self.access_logger = create_logger("hypercorn.access", config.accesslog, "INFO", sys.stdout, propagate=False)
        error_logger = create_logger("hypercorn.error", config.errorlog, config.loglevel, sys.stderr)
        self.error_logger = error_logger if error_logger is not None else _silent_logger()
        if config.logconfig is not None:
            configure_from_file(config.logconfig)
        elif config.logconfig_dict is not None:
            configure_from_mapping(config.logconfig_dict)

    # --- the server's path

    def wants_access(self) -> bool:
        """Whether `log_access` has anything to do. A subclass that counts requests returns True."""
        return self.access_logger is not None

    def log_access(
        self, scope: Any, status: int | None, response_headers: Headers, body_bytes: int, duration: float
    ) -> None:
        """One access record.

        `status` is None for a request that ended without a response, `duration` is seconds.
        """
        logger = self.access_logger
        if logger is None or not logger.isEnabledFor(logging.INFO):
            return
        try:
            response: Any = None
            if status is not None:
                response = {"status": status, "headers": response_headers, "body_bytes": body_bytes}
            atoms = self.atoms(scope, response, duration)
            # Not logger.info(): it would walk the stack for a place in the code that no access record shows.
            record = logger.makeRecord(
                logger.name, logging.INFO, __file__, 0, self.access_log_format, (atoms,), None, "log_access"
            )
            logger.handle(record)
        except OSError:
            pass  # a full disk or a closed pipe is no reason to fail a request
        except Exception:
            self.log_error("The access record cannot be written", exc_info=True)

    def atoms(self, request: Any, response: Any, request_time: float) -> AccessLogAtoms:
        """The values for `access_log_format`, computed when asked for. Subclasses may add to them."""
        return AccessLogAtoms(request, response, request_time, client_port=self.client_port)

    def log_error(self, message: str, *args: Any, exc_info: Any = None) -> None:
        """Logs at ERROR, with a traceback if `exc_info` is an exception or True."""
        self._write(logging.ERROR, message, args, exc_info)

    def log_warning(self, message: str, *args: Any, exc_info: Any = None) -> None:
        """Logs at WARNING."""
        self._write(logging.WARNING, message, args, exc_info)

    def log_info(self, message: str, *args: Any, exc_info: Any = None) -> None:
        """Logs at INFO."""
        self._write(logging.INFO, message, args, exc_info)

    def log_debug(self, message: str, *args: Any, exc_info: Any = None) -> None:
        """Logs at DEBUG."""
        self._write(logging.DEBUG, message, args, exc_info)

    def _write(self, level: int, message: str, args: tuple[Any, ...], exc_info: Any) -> None:
        try:
            self.error_logger.log(level, message, *args, exc_info=exc_info, stacklevel=3)
        except OSError:
            pass

    # --- the methods of earlier releases, for subclasses and their callers

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        """One access record: `response` has `status` and `headers`, or is None; `request_time` is seconds."""
        if response is None:
            self.log_access(request, None, (), 0, request_time)
            return
        headers = response["headers"]
        self.log_access(request, response["status"], headers, response.get("body_bytes", -1), request_time)

    async def critical(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.critical(message, *args, **kwargs)

    async def error(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.error(message, *args, **kwargs)

    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.warning(message, *args, **kwargs)

    async def info(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.info(message, *args, **kwargs)

    async def debug(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.debug(message, *args, **kwargs)

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.exception(message, *args, **kwargs)

    async def log(self, level: int, message: str, *args: Any, **kwargs: Any) -> None:
        self.error_logger.log(level, message, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("error_logger", "access_logger"):  # not set yet: asking error_logger would never end
            raise AttributeError(name)
        return getattr(self.error_logger, name)


def access_writer(logger: Any, spawn: Callable[[Coroutine[Any, Any, None]], Any]) -> AccessWriter | None:
    """The function that the server calls once per request, or None if nobody wants access records.

    For a subclass that overrides the asynchronous `access` it is one that hands that coroutine to `spawn`.
    """
    for cls in type(logger).__mro__:
        if "log_access" in vars(cls):
            return logger.log_access if logger.wants_access() else None
        if "access" in vars(cls):
            break

    def write(scope: Any, status: int | None, headers: Headers, body_bytes: int, duration: float) -> None:
        response = None
        if status is not None:
            response = {"status": status, "headers": headers, "body_bytes": body_bytes}
        spawn(logger.access(scope, response, duration))

    return write


# --- loggers and handlers


class _Quiet(logging.Handler):
    """Drops a record that the disk or the pipe does not take, instead of a traceback for each."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Formatter(logging.Formatter):
    """The time to the second, formatted once in each."""

    second = -1
    text = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self.second:
            self.second, self.text = second, super().formatTime(record, datefmt)
        return self.text


class _StreamHandler(_Quiet, logging.StreamHandler):  # type: ignore[type-arg]  # generic only for checkers
    """stdout or stderr.

    Silent where a logger above writes to the same stream, as the line would appear twice.
    """

    def __init__(self, stream: TextIO, logger: logging.Logger) -> None:
        super().__init__(stream)
        self.logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        above = self.logger.parent if self.logger.propagate else None
        while above is not None:
            if any(getattr(handler, "stream", None) is self.stream for handler in above.handlers):
                return
            above = above.parent if above.propagate else None
        super().emit(record)


class _FileHandler(_Quiet, logging.FileHandler):
    """A log file, appended to."""


def create_logger(
    name: str,
    target: logging.Logger | str | None,
    level: str | None,
    stream: TextIO,
    *,
    propagate: bool = True,
) -> logging.Logger | None:
    """The logger `name` writing to `target`: "-" is `stream`, other text a path, None or "" no logger at all.

    A logger given as `target` is used as it is, and handlers that the user gave the logger stay: "-" then
    adds none.
    """
    if isinstance(target, logging.Logger):
        return target
    if not target:
        return None
    logger = logging.getLogger(name)
    logger.propagate = propagate
    if level is not None:
        logger.setLevel(level.upper() if isinstance(level, str) else level)
    ours = [handler for handler in logger.handlers if isinstance(handler, _Quiet)]
    wanted = _find(ours, target, stream)
    for handler in ours:
        if handler is not wanted:
            logger.removeHandler(handler)
            handler.close()
    if wanted is None and not (target == "-" and logger.handlers):
        wanted = _StreamHandler(stream, logger) if target == "-" else _FileHandler(target, encoding="utf-8")
        wanted.setFormatter(_Formatter(_FORMAT, _DATE_FORMAT))
        logger.addHandler(wanted)
    return logger


def _find(handlers: list[_Quiet], target: str, stream: TextIO) -> _Quiet | None:
    """The handler that already writes where the next one would."""
    for handler in handlers:
        if target == "-":
            if isinstance(handler, _StreamHandler) and handler.stream is stream:
                return handler
        elif isinstance(handler, _FileHandler) and handler.baseFilename == os.path.abspath(target):
            return handler
    return None


def _silent_logger() -> logging.Logger:
    """What stands in for the error log when it is off, so that callers need not ask."""
    logger = logging.Logger("hypercorn.error", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    return logger


def configure_from_file(text: str) -> None:
    """Applies `logconfig`: `json:PATH`, `toml:PATH`, or the PATH of an ini file (`fileConfig`)."""
    if text.startswith("json:"):
        with open(text[5:], "rb") as file:
            configure_from_mapping(json.load(file))
    elif text.startswith("toml:"):
        from hypercorn.sources import read_toml

        configure_from_mapping(read_toml(text[5:]))
    else:
        places = {"__file__": text, "here": os.path.dirname(text)}
        logging.config.fileConfig(text, defaults=places, disable_existing_loggers=False)


def configure_from_mapping(mapping: dict[str, Any]) -> None:
    """Applies a `dictConfig` mapping; loggers that exist stay enabled unless it says otherwise."""
    logging.config.dictConfig({"disable_existing_loggers": False, **mapping})
