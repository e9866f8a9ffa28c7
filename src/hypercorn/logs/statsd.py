"""Metrics to a StatsD server over UDP, for `statsd_host`.

Sending never blocks and never raises: a metric that the system does not take is lost, as UDP allows. The
methods are the same on every event loop.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Protocol

from hypercorn.errors import ConfigError
from hypercorn.logs.logger import Logger, LogSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hypercorn.logs.access import Headers, Scope
    from hypercorn.logs.logger import ExcInfo, LogOptions

METRIC_VAR = "metric"
VALUE_VAR = "value"
MTYPE_VAR = "mtype"
GAUGE_TYPE = "gauge"
COUNTER_TYPE = "counter"
HISTOGRAM_TYPE = "histogram"

_COUNTED = {
    logging.CRITICAL: "hypercorn.log.critical",
    logging.ERROR: "hypercorn.log.error",
    logging.WARNING: "hypercorn.log.warning",
}


class StatsdSettings(LogSettings, Protocol):
    """The options that the StatsD logger reads, as `Config` has them."""

    statsd_host: str | None
    statsd_prefix: str
    dogstatsd_tags: str


class StatsdLogger(Logger):
    """A logger that also counts requests, their durations (milliseconds) and statuses, and logged errors.

    A log call with `extra={"metric": name, "value": number, "mtype": "gauge" | "counter" | "histogram"}`
    sends that metric. Raises ConfigError if `statsd_host` is no `host:port`.
    """

    _socket: socket.socket | None = None

    def __init__(self, config: StatsdSettings) -> None:
        super().__init__(config)
        self.dogstatsd_tags = config.dogstatsd_tags
        self.prefix = config.statsd_prefix
        if self.prefix and not self.prefix.endswith("."):
            self.prefix += "."
        self._socket, self._address = self._open(config.statsd_host or "")

    def _open(self, text: str) -> tuple[socket.socket | None, tuple[object, ...]]:
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit():
            raise ConfigError(f"statsd_host = {text!r}: expected host:port")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        except OSError as error:
            self.log_warning("No metrics: the StatsD host %s cannot be found (%s)", text, error)
            return None, ()
        family, _, _, _, address = found[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        return sock, address

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    __del__ = close

    # --- the server's path

    def wants_access(self) -> bool:
        return True

    def log_access(
        self,
        scope: Scope,
        status: int | None,
        response_headers: Headers,
        body_bytes: int,
        duration: float,
    ) -> None:
        super().log_access(scope, status, response_headers, body_bytes, duration)
        self.send_histogram("hypercorn.request.duration", duration * 1000)
        self.send_increment("hypercorn.requests", 1)
        if status is not None:
            self.send_increment(f"hypercorn.request.status.{status}", 1)

    def _write(self, level: int, message: str, args: tuple[object, ...], exc_info: ExcInfo) -> None:
        super()._write(level, message, args, exc_info)
        if level in _COUNTED:
            self.send_increment(_COUNTED[level], 1)

    # --- metrics

    def send_gauge(self, name: str, value: float) -> None:
        """A value that stands until the next."""
        self._send(f"{self.prefix}{name}:{value}|g")

    def send_increment(self, name: str, value: int, sampling_rate: float = 1.0) -> None:
        """Adds to a counter."""
        self._send(f"{self.prefix}{name}:{value}|c|@{sampling_rate}")

    def send_histogram(self, name: str, value: float) -> None:
        """A duration, in milliseconds."""
        self._send(f"{self.prefix}{name}:{value}|ms")

    def _send(self, text: str) -> None:
        if self.dogstatsd_tags:
            text = f"{text}|#{self.dogstatsd_tags}"
        if self._socket is not None:
            try:
                self._socket.sendto(text.encode("utf-8", "replace"), self._address)
            except OSError:
                pass

    # --- the methods of earlier releases

    async def gauge(self, name: str, value: int) -> None:
        self.send_gauge(name, value)

    async def increment(self, name: str, value: int, sampling_rate: float = 1.0) -> None:
        self.send_increment(name, value, sampling_rate)

    async def decrement(self, name: str, value: int, sampling_rate: float = 1.0) -> None:
        self.send_increment(name, -value, sampling_rate)

    async def histogram(self, name: str, value: float) -> None:
        self.send_histogram(name, value)

    async def critical(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        await super().critical(message, *args, **kwargs)
        self.send_increment("hypercorn.log.critical", 1)

    async def error(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        await super().error(message, *args, **kwargs)
        self.send_increment("hypercorn.log.error", 1)

    async def warning(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        await super().warning(message, *args, **kwargs)
        self.send_increment("hypercorn.log.warning", 1)

    async def exception(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        await super().exception(message, *args, **kwargs)
        self.send_increment("hypercorn.log.exception", 1)

    async def info(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        await self.log(logging.INFO, message, *args, **kwargs)

    async def debug(self, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        await self.log(logging.DEBUG, message, *args, **kwargs)

    async def log(self, level: int, message: str, *args: object, **kwargs: Unpack[LogOptions]) -> None:
        extra = kwargs.get("extra") or {}
        if METRIC_VAR in extra and VALUE_VAR in extra and MTYPE_VAR in extra:
            self._metric(extra[METRIC_VAR], extra[VALUE_VAR], extra[MTYPE_VAR])
        if message:
            await super().log(level, message, *args, **kwargs)

    def _metric(self, name: str, value: int, kind: str) -> None:
        if kind == GAUGE_TYPE:
            self.send_gauge(name, value)
        elif kind == COUNTER_TYPE:
            self.send_increment(name, value)
        elif kind == HISTOGRAM_TYPE:
            self.send_histogram(name, value)
