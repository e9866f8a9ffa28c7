"""The access log and the error log.

`Logger` has a synchronous path, which the server uses, and the asynchronous methods that subclasses of
earlier releases override; `access_writer` finds out which of the two a logger wants. What a request contains
is escaped, so that no request can forge a line.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timezone
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypedDict

from hypercorn.logs import short
from hypercorn.logs.access import JSON, NAMED, AccessLogAtoms, Headers, ResponseSummary, Scope
from hypercorn.logs.access_json import JSONLines, JSONRecords
from hypercorn.logs.tracebacks import application_frames
from hypercorn.logs.writer import LineWriter, descriptor_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

    AccessWriter = Callable[[Scope, int | None, Headers, int, float], None]
    ExcInfo = BaseException | tuple[type[BaseException], BaseException, TracebackType | None] | bool | None

__all__ = ("AccessLogAtoms", "Logger", "access_writer")

_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
UNTOUCHED = "none"  # the value of log_config that leaves all logging to the program
_DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"
_TERMINAL_FORMAT = "%(asctime)s %(levelname)s %(message)s"  # where a person reads it as it comes
_TERMINAL_DATE_FORMAT = "%H:%M:%S"


class LogSettings(Protocol):
    """The options that a logger reads, as `Config` has them."""

    access_log: logging.Logger | str | None
    access_log_format: str
    error_log: logging.Logger | str | None
    log_level: str
    log_config: str | None
    log_config_dict: Mapping[str, object] | None


class ErrorLog(Protocol):
    """The error log, as the parts of a server write to it: with a traceback if `exc_info` is an exception or True."""

    def log_debug(self, message: str, *args: object, exc_info: ExcInfo = None) -> None: ...

    def log_info(self, message: str, *args: object, exc_info: ExcInfo = None) -> None: ...

    def log_warning(self, message: str, *args: object, exc_info: ExcInfo = None) -> None: ...

    def log_error(self, message: str, *args: object, exc_info: ExcInfo = None) -> None: ...


class LogOptions(TypedDict, total=False):
    """The keyword arguments of `logging.Logger.log`."""

    exc_info: ExcInfo
    stack_info: bool
    stacklevel: int
    extra: Mapping[str, Any] | None


class Logger:
    """The two logs of one server: `access_logger` (None when off) and `error_logger`.

    Never raises into the server.
    """

    access_logger: logging.Logger | None
    error_logger: logging.Logger

    def __init__(self, config: LogSettings) -> None:
        # Python 3.15 imports a part of `traceback` with the first exception that it formats. That import fails in a
        # process without a free descriptor, which then could not say so.
        format_exception(OSError())
        self.json = getattr(config, "log_format", "text") == "json"
        self.access_log_format = NAMED.get(config.access_log_format, config.access_log_format)
        named = self.access_log_format != config.access_log_format
        self.lines = JSONLines()
        self.handler: logging.Handler | None = None  # that `direct` has looked at
        self.writer: LineWriter | None = None
        self.line_prefix: _Prefix | None = None
        self.access_json = config.access_log_format == JSON or self.json
        self.short = config.access_log_format == short.NAME and not self.access_json
        self.coloured = False  # access lines
        self.client_port = getattr(config, "access_log_client_port", True) and not named
        if config.log_config == UNTOUCHED:
            # The loggers are as the program has set them up.
            self.access_logger = logging.getLogger("hypercorn.access")
            self.error_logger = logging.getLogger("hypercorn.error")
            return
        # The level is that of the error log: it must not silence access records, which are INFO.
        self.access_logger = create_logger("hypercorn.access", config.access_log, "INFO", sys.stdout, propagate=False)
        error_logger = create_logger("hypercorn.error", config.error_log, config.log_level, sys.stderr)
        self.error_logger = error_logger if error_logger is not None else _silent_logger()
        self.set_forms(named or self.access_json)
        if config.log_config is not None:
            configure_from_file(config.log_config)
        elif config.log_config_dict is not None:
            configure_from_mapping(config.log_config_dict)

    # --- the server's path

    def wants_access(self) -> bool:
        """Whether `log_access` has anything to do. A subclass that counts requests returns True."""
        return self.access_logger is not None

    def set_forms(self, bare: bool) -> None:
        """How the handlers of this module write: an access record of a named format is a line without anything else."""
        for logger, formatter in ((self.access_logger, _Bare() if bare else None), (self.error_logger, None)):
            for handler in logger.handlers if logger is not None else ():
                if isinstance(handler, _Quiet):
                    if logger is self.access_logger:
                        self.coloured = _wants_colour(handler.stream)
                    handler.setFormatter(formatter or (_JSONFormatter() if self.json else _formatter_for(handler)))

    @property
    def dropped(self) -> int:
        """Lines that were lost because a disk or a pipe did not take them in time."""
        return sum(writer.dropped for writer in self._writers())

    def flush(self) -> None:
        """Waits, though not for long, until everything is written."""
        for writer in self._writers():
            writer.flush()

    def reopen(self) -> None:
        """Opens the log files again by their names, for those who rotate them."""
        for logger in (self.access_logger, self.error_logger):
            for handler in logger.handlers if logger is not None else ():
                if isinstance(handler, _FileHandler):
                    handler.reopen()

    def _writers(self) -> set[LineWriter]:
        handlers = [*self.error_logger.handlers, *(self.access_logger.handlers if self.access_logger else ())]
        return {handler.writer for handler in handlers if isinstance(handler, _Quiet) and handler.writer is not None}

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
            handlers = logger.handlers
            if len(handlers) == 1 and handlers[0] is self.handler and not logger.filters and not logger.propagate:
                writer = self.writer
            else:
                writer = self.direct(logger)
            message: str = self.access_log_format
            arguments: tuple[object, ...] = ()
            if self.access_json:
                message = self.lines.line(scope, status, response_headers, body_bytes, duration)
            elif self.short:
                message = short.line(scope, status, duration, self.coloured)
            else:
                response: ResponseSummary | None = None
                if status is not None:
                    response = {"status": status, "headers": response_headers, "body_bytes": body_bytes}
                atoms = self.atoms(scope, response, duration)
                if writer is None:
                    arguments = (atoms,)
                else:
                    message = message % atoms
            if writer is not None:
                # What `logging` would do with the record takes longer than all the rest.
                writer.put(message + "\n" if self.line_prefix is None else f"{self.line_prefix.text()}{message}\n")
                return
            # Not logger.info(): it would walk the stack for a place in the code that no access record shows.
            record = logger.makeRecord(logger.name, logging.INFO, __file__, 0, message, arguments, None, "log_access")
            logger.handle(record)
        except OSError:
            pass  # a full disk or a closed pipe is no reason to fail a request
        except Exception:
            self.log_error("The access record cannot be written", exc_info=True)

    def access_function(self) -> AccessWriter:
        """The function that takes access records: `log_access`, or one that does the same at less cost."""
        if not self.access_json or type(self).log_access is not Logger.log_access:
            return self.log_access
        write: AccessWriter = JSONRecords(self.gather, self.hurry, self.log_access).write
        return write

    def gather(self) -> Callable[[JSONRecords], None] | None:
        """At the first record of a batch: who takes it, where records can go to a descriptor without a detour."""
        logger = self.access_logger
        if logger is None or not logger.isEnabledFor(logging.INFO):
            return None
        writer = self.direct(logger)
        return None if writer is None or self.line_prefix is not None else writer.gather

    def hurry(self) -> None:
        """A batch of records should be written."""
        if self.writer is not None:
            self.writer.hurry.set()

    def direct(self, logger: logging.Logger) -> LineWriter | None:
        """The handler that lines can go to directly: the only one of a logger, and one of ours, without filters."""
        if len(logger.handlers) != 1 or logger.filters or logger.propagate:
            return None
        handler = logger.handlers[0]
        if handler is not self.handler:
            self.handler = handler
            self.writer = None
            if isinstance(handler, (_StreamHandler, _FileHandler)) and not handler.filters:
                self.writer = handler.writer if type(handler.formatter) in (_Bare, _Formatter) else None
            self.line_prefix = _Prefix(handler.formatter) if type(handler.formatter) is _Formatter else None
        return self.writer

    def atoms(self, request: Any, response: Any, request_time: float) -> AccessLogAtoms:
        """The values for `access_log_format`, computed when asked for. Subclasses may add to them."""
        return AccessLogAtoms(request, response, request_time, client_port=self.client_port)

    def log_error(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        """Logs at ERROR, with a traceback if `exc_info` is an exception or True."""
        self._write(logging.ERROR, message, args, exc_info)

    def log_warning(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        """Logs at WARNING."""
        self._write(logging.WARNING, message, args, exc_info)

    def log_info(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        """Logs at INFO."""
        self._write(logging.INFO, message, args, exc_info)

    def log_debug(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        """Logs at DEBUG."""
        self._write(logging.DEBUG, message, args, exc_info)

    def _write(self, level: int, message: str, args: tuple[object, ...], exc_info: ExcInfo) -> None:
        logger = self.error_logger
        try:
            if level < logging.WARNING and isinstance(exc_info, BaseException):
                if logger.isEnabledFor(level):
                    logger.handle(self._text_record(level, message, args, exc_info))
            else:
                if isinstance(exc_info, BaseException):
                    exc_info = (type(exc_info), exc_info, application_frames(exc_info.__traceback__))
                logger.log(level, message, *args, exc_info=exc_info, stacklevel=3)
        except OSError:
            pass

    def _text_record(
        self, level: int, message: str, args: tuple[object, ...], error: BaseException
    ) -> logging.LogRecord:
        """A record of what is no fault, such as a client that leaves: with the traceback as text, so that a handler
        which keeps records keeps no frames, and with them all that a request has in memory."""
        logger = self.error_logger
        place = sys._getframe(3)  # past this, `_write` and `log_debug`, as `stacklevel` has it elsewhere
        code = place.f_code
        record = logger.makeRecord(
            logger.name, level, code.co_filename, place.f_lineno, message, args, None, code.co_name
        )
        record.exc_text = "".join(format_exception(type(error), error, application_frames(error.__traceback__))).rstrip(
            "\n"
        )
        return record

    # --- the methods of earlier releases, for subclasses and their callers

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        """One access record: `response` has `status` and `headers`, or is None; `request_time` is seconds."""
        if response is None:
            self.log_access(request, None, (), 0, request_time)
            return
        headers = response["headers"]
        self.log_access(request, response["status"], headers, response.get("body_bytes", -1), request_time)

    async def critical(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.critical(message, *args, **kwargs)

    async def error(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.error(message, *args, **kwargs)

    async def warning(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.warning(message, *args, **kwargs)

    async def info(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.info(message, *args, **kwargs)

    async def debug(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.debug(message, *args, **kwargs)

    async def exception(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.exception(message, *args, **kwargs)

    async def log(self, level: int, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        self.error_logger.log(level, message, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("error_logger", "access_logger"):  # not set yet: asking error_logger would never end
            raise AttributeError(name)
        return getattr(self.error_logger, name)


def access_writer(logger: Any, spawn: Callable[[Coroutine[object, None, None]], object]) -> AccessWriter | None:
    """The function that the server calls once per request, or None if nobody wants access records.

    For a subclass that overrides the asynchronous `access` it is one that hands that coroutine to `spawn`.
    """
    for cls in type(logger).__mro__:
        if "log_access" in vars(cls):
            if not logger.wants_access():
                return None
            function: AccessWriter = getattr(logger, "access_function", lambda: logger.log_access)()
            return function
        if "access" in vars(cls):
            break

    def write(scope: Scope, status: int | None, headers: Headers, body_bytes: int, duration: float) -> None:
        response: ResponseSummary | None = None
        if status is not None:
            response = {"status": status, "headers": headers, "body_bytes": body_bytes}
        spawn(logger.access(scope, response, duration))

    return write


# --- loggers and handlers


class _Quiet(logging.Handler):
    """Drops a record that the disk or the pipe does not take, instead of a traceback for each. Where there is a
    descriptor, lines go through a queue to it, so that nobody waits for it."""

    stream: Any
    writer: LineWriter | None = None

    def use_writer(self) -> None:
        """Begins to write to the stream's descriptor."""
        descriptor = descriptor_of(self.stream)
        self.writer = None if descriptor is None else LineWriter(descriptor)

    def emit_line(self, record: logging.LogRecord) -> bool:
        """Queues a record. False where there is no descriptor."""
        if self.writer is None or descriptor_of(self.stream) is None:
            return False
        try:
            line = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return True
        if record.name == "hypercorn.access":
            self.writer.put(line)
        else:
            self.writer.put_now(line)
        return True

    def flush(self) -> None:
        if self.writer is not None:
            self.writer.flush()
        elif self.stream is not None:
            try:
                self.stream.flush()
            except (OSError, ValueError):
                pass

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Formatter(logging.Formatter):
    """The time to the second, formatted once in each; on a terminal, the level in colour."""

    second = -1
    text = ""
    coloured = False

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self.second:
            self.second, self.text = second, super().formatTime(record, datefmt)
        return self.text

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = _COLOURS.get(record.levelname) if self.coloured else None
        if colour is not None:
            text = text.replace(record.levelname, f"\x1b[{colour}m{record.levelname}\x1b[0m", 1)
        return text


_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class _Prefix:
    """The text before an access record, which is the same for all records of a second."""

    def __init__(self, formatter: _Formatter) -> None:
        self.formatter = formatter
        self.second = -1
        self.shown = ""

    def text(self) -> str:
        """The prefix of now."""
        second = int(time.time())
        if second != self.second:
            self.second = second
            record = logging.LogRecord("hypercorn.access", logging.INFO, __file__, 0, "", (), None)
            self.shown = self.formatter.format(record)
        return self.shown


class _Bare(logging.Formatter):
    """The message alone."""


class _JSONFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        values: dict[str, object] = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            values["exception"] = record.exc_text
        return json.dumps(values)


def _formatter_for(handler: _Quiet) -> logging.Formatter:
    """The ordinary form; on a terminal a short one."""
    if not is_terminal(handler.stream):
        return _Formatter(_FORMAT, _DATE_FORMAT)
    formatter = _Formatter(_TERMINAL_FORMAT, _TERMINAL_DATE_FORMAT)
    formatter.coloured = _wants_colour(handler.stream)
    return formatter


def is_terminal(stream: TextIO) -> bool:
    """True for the stream of a terminal."""
    return descriptor_of(stream) is not None and bool(stream.isatty())


def _wants_colour(stream: TextIO) -> bool:
    """True for a terminal that shows colours, and whose user wants them (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _StreamHandler(_Quiet, logging.StreamHandler):  # type: ignore[type-arg]  # generic only for checkers
    """stdout or stderr.

    Silent where a handler of a logger above, such as that of `logging.basicConfig`, writes the record to one of the
    two, as the line would appear twice.
    """

    def __init__(self, stream: TextIO, logger: logging.Logger) -> None:
        super().__init__(stream)
        self.logger = logger
        self.use_writer()

    def emit(self, record: logging.LogRecord) -> None:
        above = self.logger.parent if self.logger.propagate else None
        while above is not None:
            if any(record.levelno >= handler.level and self.writes_there(handler) for handler in above.handlers):
                return
            above = above.parent if above.propagate else None
        if not self.emit_line(record):
            super().emit(record)

    def writes_there(self, handler: logging.Handler) -> bool:
        """True for a handler whose lines are seen where this one's are."""
        stream = getattr(handler, "stream", None)
        if stream is None:
            stream = getattr(getattr(handler, "console", None), "file", None)  # a RichHandler
        return stream is not None and (stream is self.stream or stream in (sys.stdout, sys.stderr))


class _FileHandler(_Quiet, logging.FileHandler):
    """A log file, appended to."""

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8")
        self.use_writer()

    def emit(self, record: logging.LogRecord) -> None:
        if not self.emit_line(record):
            super().emit(record)

    def close(self) -> None:
        self.flush()
        self.writer = None
        super().close()

    def reopen(self) -> None:
        """Goes on in a new file of the same name."""
        try:
            fresh = open(self.baseFilename, "ab")  # noqa: SIM115
        except OSError:
            return  # the old one is better than none
        with fresh:
            descriptor = descriptor_of(self.stream)
            if descriptor is not None:
                os.dup2(fresh.fileno(), descriptor, inheritable=False)


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
        wanted = _StreamHandler(stream, logger) if target == "-" else _FileHandler(target)
        wanted.setFormatter(_formatter_for(wanted))
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
    """A stand-in for the error log when that is off, so that callers need not ask."""
    logger = logging.Logger("hypercorn.error", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    return logger


def log_failure(log: Logger | None, text: str) -> bool:
    """Writes what ended the server, or kept it from starting, to the error log in its format.

    `text` is what stderr would show: a traceback or nothing, and a last line for people. Returns False where there is
    no error log, or it takes no errors.
    """
    logger = getattr(log, "error_logger", None)
    if log is None or logger is None or not text:
        return False
    if not logger.isEnabledFor(logging.ERROR) or not logger.hasHandlers():
        return False
    above, _, last = text.rstrip("\n").rpartition("\n")
    message = last.removeprefix("hypercorn: error: ")
    log.error_logger.error("%s", f"{message}\n{above}" if above else message)
    log.flush()
    return True


def configure_from_file(text: str) -> None:
    """Applies `log_config`: the PATH of a file that its extension says how to read (.json, .toml, .yaml, .yml; any
    other is an ini file, for `fileConfig`), or `json:PATH`, `toml:PATH`, `yaml:PATH`.

    Raises OSError, ValueError, and what `logging.config` raises.
    """
    kind, colon, path = text.partition(":")
    if not colon or kind not in _MAPPINGS:
        kind, path = os.path.splitext(text)[1][1:].lower(), text
    reader = _MAPPINGS.get(kind)
    if reader is not None:
        mapping = reader(path)
        if not isinstance(mapping, dict):
            raise ValueError(f"{path} is no mapping")
        configure_from_mapping(mapping)
    else:
        import logging.config

        places = {"__file__": text, "here": os.path.dirname(text)}
        logging.config.fileConfig(text, defaults=places, disable_existing_loggers=False)


def _read_json(path: str) -> object:
    with open(path, "rb") as file:
        return json.load(file)


def _read_toml(path: str) -> object:
    from hypercorn._toml import read_toml

    return read_toml(path)


def _read_yaml(path: str) -> object:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise ValueError(f"{path} needs the package PyYAML: pip install pyyaml") from None
    with open(path, "rb") as file:
        try:
            return yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no YAML: {error}") from None


_MAPPINGS: dict[str, Callable[[str], object]] = {
    "json": _read_json,
    "toml": _read_toml,
    "yaml": _read_yaml,
    "yml": _read_yaml,
}


def configure_from_mapping(mapping: Mapping[str, object]) -> None:
    """Applies a `dictConfig` mapping; loggers that exist stay enabled unless it says otherwise."""
    import logging.config  # asyncio's size, and needed by few

    logging.config.dictConfig({"disable_existing_loggers": False, **mapping})
