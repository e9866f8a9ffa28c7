"""Metrics over UDP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.logs.logger import Logger, access_writer
from hypercorn.statsd import StatsdLogger

SCOPE = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": [], "client": None}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(name="server", params=["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"])
def _server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((request.param, 0))
        sock.settimeout(5)
        yield sock


def logger_for(server: socket.socket, **options: Any) -> StatsdLogger:
    host, port = server.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    log = Config.from_mapping(statsd_host=f"{host}:{port}", **options).log
    assert isinstance(log, StatsdLogger)
    return log


def received(server: socket.socket, count: int) -> list[str]:
    return [server.recv(1024).decode() for _ in range(count)]


def run(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


def never(coroutine: Any) -> None:
    raise AssertionError("spawned")


def test_requests_are_counted_even_without_an_access_log(server: socket.socket) -> None:
    logger = logger_for(server, statsd_prefix="mine", dogstatsd_tags="env:test,a")
    writer = access_writer(logger, never)
    assert writer is not None
    writer(SCOPE, 204, [], 0, 0.5)
    writer(SCOPE, None, [], 0, 0.25)
    assert received(server, 5) == [
        "mine.hypercorn.request.duration:500.0|ms|#env:test,a",
        "mine.hypercorn.requests:1|c|@1.0|#env:test,a",
        "mine.hypercorn.request.status.204:1|c|@1.0|#env:test,a",
        "mine.hypercorn.request.duration:250.0|ms|#env:test,a",
        "mine.hypercorn.requests:1|c|@1.0|#env:test,a",
    ]
    logger.close()


def test_logged_errors_are_counted(server: socket.socket) -> None:
    logger = logger_for(server, error_log=None)
    logger.log_error("a")
    logger.log_warning("b")
    logger.log_info("c")
    for name in ("critical", "error", "warning", "exception"):
        run(getattr(logger, name)("d"))
    names = [text.split(":")[0] for text in received(server, 6)]
    assert names == [
        f"hypercorn.log.{name}" for name in ("error", "warning", "critical", "error", "warning", "exception")
    ]
    logger.close()


def test_metrics_of_earlier_releases(server: socket.socket) -> None:
    logger = logger_for(server, error_log=None)
    run(logger.gauge("a", 1))
    run(logger.increment("b", 2, 0.5))
    run(logger.decrement("c", 3))
    run(logger.histogram("d", 4))
    run(logger.info("", extra={"metric": "e", "value": 5, "mtype": "gauge"}))
    run(logger.debug("said", extra={"metric": "f", "value": 6, "mtype": "counter"}))
    run(logger.log(20, "said", extra={"metric": "g", "value": 7, "mtype": "histogram"}))
    assert received(server, 7) == [
        "a:1|g",
        "b:2|c|@0.5",
        "c:-3|c|@1.0",
        "d:4|ms",
        "e:5|g",
        "f:6|c|@1.0",
        "g:7|ms",
    ]
    logger.close()


def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    logger = StatsdLogger(Config.from_mapping(statsd_host=f"127.0.0.1:{port}", error_log=None))
    for _ in range(3):
        logger.send_gauge("a", 1)
    logger.close()
    logger.send_gauge("a", 1)


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    logger = StatsdLogger(Config.from_mapping(statsd_host="nowhere.test:1"))
    assert "No metrics: the StatsD host nowhere.test:1 cannot be found" in caplog.text
    logger.send_gauge("a", 1)


@pytest.mark.parametrize("host", ["localhost", "localhost:", "localhost:x"])
def test_wrong_hosts(host: str) -> None:
    with pytest.raises(ConfigError, match="expected host:port"):
        StatsdLogger(Config.from_mapping(statsd_host=host))


def test_a_logger_class_of_ones_own_stays() -> None:
    class Mine(Logger):
        pass

    config = Config.from_mapping(statsd_host="localhost:1", logger_class=Mine)
    config.set_statsd_logger_class(StatsdLogger)
    assert type(config.log) is Mine
    config = Config()
    config.set_statsd_logger_class(StatsdLogger)
    assert type(config.log) is Logger
