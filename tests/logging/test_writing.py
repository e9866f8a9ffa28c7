"""How lines get to a disk, a pipe or a terminal: no caller waits, what is lost is counted, JSON and named formats."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.process.command import environment
from tests.support.harness import Answers, config, request
from tests.support.live import eventually

from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.logs.writer import LineWriter, end_threads
from hypercorn.testing import MemoryServer

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "scheme": "https",
    "http_version": "1.1",
    "raw_path": b'/a%20b"\\',
    "path": '/a b"\\',
    "query_string": b"x=1",
    "headers": [
        (b"host", b"example.org"),
        (b"user-agent", b'curl "8"\xff\x1b[31m'),
        (b"referer", b"https://else.where/"),
        (b"x-request-id", b"abc-1"),
    ],
    "client": ("203.0.113.9", 4711),
}


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


# -- queue and thread


def test_a_pipe_that_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.logs.writer.QUEUE_CHARACTERS", 100_000)
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    line = "x" * 999 + "\n"
    before = time.monotonic()
    for _ in range(1000):
        writer.put(line)
    writer.put_now("urgent\n")
    assert time.monotonic() - before < 5.0
    assert writer.dropped > 500
    received = b""
    kept = 1001 - writer.dropped
    while f"{writer.told} lines were dropped here\n" not in received.decode() or not writer.told:
        received += os.read(reading, 65536)
        writer.put("")  # makes it tell
    eventually(lambda: not writer.awake)
    assert received.count(b"x\n") in (kept, kept - 1)
    os.close(reading)
    writer.put("nobody is there any more\n")
    writer.flush()
    os.close(writing)


def test_lines_arrive_whole_and_in_order(tmp_path: Path) -> None:
    with open(tmp_path / "log", "ab") as file:
        writer = LineWriter(file.fileno())
        for number in range(5000):
            writer.put(f"{number}\n")
        writer.flush()
        assert lines_of(tmp_path / "log") == [str(number) for number in range(5000)]
        assert writer.dropped == 0


def test_a_full_disk_fails_nobody() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "ab", buffering=0) as file:
        writer = LineWriter(file.fileno())
        writer.put("lost\n")
        writer.put_now("lost\n")
        writer.flush()


def test_what_is_urgent_is_there_at_once() -> None:
    reading, writing = os.pipe()
    LineWriter(writing).put_now("now\n")
    os.set_blocking(reading, False)
    assert os.read(reading, 100) == b"now\n"
    os.close(reading)
    os.close(writing)


def test_the_end_of_the_process_waits_for_the_log(tmp_path: Path) -> None:
    program = """
import sys
from hypercorn.config import Config
from hypercorn.logging import Logger
logger = Logger(Config.from_mapping(access_log=sys.argv[1], error_log=sys.argv[1] + ".errors"))
for number in range(1000):
    logger.access_logger.info("%d", number)
logger.log_error("last words")
"""
    path = tmp_path / "log"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, env=environment())
    assert len(lines_of(path)) == 1000
    assert lines_of(path)[-1].endswith("999")
    assert "last words" in (tmp_path / "log.errors").read_text()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_a_thread_of_its_own(tmp_path: Path) -> None:
    program = """
import os, sys
from hypercorn.config import Config
from hypercorn.logging import Logger
logger = Logger(Config.from_mapping(access_log=sys.argv[1]))
logger.access_logger.info("parent")
pid = os.fork()
logger.access_logger.info("child" if pid == 0 else "parent again")
logger.flush()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
    path = tmp_path / "log"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(path)], check=True, env=environment())
    assert sorted(line.split("] ")[-1] for line in lines_of(path)) == ["child", "parent", "parent again"]


def test_files_are_opened_again(tmp_path: Path) -> None:
    logger = Logger(Config.from_mapping(access_log=str(tmp_path / "access"), error_log=str(tmp_path / "errors")))
    for name in ("access", "errors"):
        (logger.access_logger if name == "access" else logger.error_logger).info("one")  # type: ignore[union-attr]
    logger.flush()
    for name in ("access", "errors"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
    logger.reopen()
    for name in ("access", "errors"):
        (logger.access_logger if name == "access" else logger.error_logger).info("two")  # type: ignore[union-attr]
    logger.flush()
    for name in ("access", "errors"):
        assert [line[-3:] for line in lines_of(tmp_path / f"{name}.1")] == ["one"]
        assert [line[-3:] for line in lines_of(tmp_path / name)] == ["two"]


# -- formats


def record(tmp_path: Path, **options: Any) -> str:
    """The one line of an access log."""
    path = tmp_path / "access"
    logger = Logger(Config.from_mapping(access_log=str(path), **options))
    logger.log_access(SCOPE, 200, [(b"content-type", b"text/plain")], 42, 0.25)
    logger.flush()
    (line,) = lines_of(path)
    return line


@pytest.mark.parametrize("options", [{"access_log_format": "json"}, {"log_format": "json"}])
def test_json(options: Any, tmp_path: Path) -> None:
    found = json.loads(record(tmp_path, **options))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert found == {
        "client": "203.0.113.9",
        "method": "GET",
        "scheme": "https",
        "host": "example.org",
        "path": '/a%20b"\\',
        "query": "x=1",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 42,
        "duration": 0.25,
        "referer": "https://else.where/",
        "user_agent": 'curl "8"\xff\x1b[31m',
        "request_id": "abc-1",
    }


def test_json_of_a_request_without_anything(tmp_path: Path) -> None:
    path = tmp_path / "access"
    logger = Logger(Config.from_mapping(access_log=str(path), access_log_format="json"))
    bare = {**SCOPE, "headers": [], "client": None, "query_string": b"", "raw_path": b""}
    logger.log_access(bare, None, (), 0, 0.0)
    logger.log_access(bare, 200, ((b"x-request-id", b"mine"),), 0, 0.0)
    logger.flush()
    first, second = map(json.loads, lines_of(path))
    assert first["client"] is first["status"] is first["host"] is first["request_id"] is None
    assert (first["path"], first["query"]) == ("", "")
    assert second["request_id"] == "mine"


def test_json_through_a_logger_of_the_program() -> None:
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    own = logging.Logger("own")
    own.addHandler(handler)
    Logger(Config.from_mapping(access_log=own, access_log_format="json")).log_access(SCOPE, 200, (), 1, 0.1)
    assert json.loads(records[0])["status"] == 200


def test_json_errors(tmp_path: Path) -> None:
    logger = Logger(Config.from_mapping(error_log=str(tmp_path / "errors"), log_format="json"))
    try:
        raise ValueError("inside")
    except ValueError as error:
        logger.log_error("went %s", "wrong", exc_info=error)
    logger.flush()
    found = json.loads((tmp_path / "errors").read_text())
    assert (found["level"], found["message"], found["process"]) == ("ERROR", "went wrong", os.getpid())
    assert "ValueError: inside" in found["exception"]


@pytest.mark.parametrize(
    ("name", "end"),
    [("common", ""), ("combined", ' "https://else.where/" "curl \\"8\\"\\xff\\x1b[31m"')],
)
def test_formats_with_names(name: str, end: str, tmp_path: Path) -> None:
    line = record(tmp_path, access_log_format=name)
    start = r"203\.0\.113\.9 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    match = re.match(start, line)
    assert match is not None, line
    assert line[match.end() :] == '"GET /a%20b\\"\\\\?x=1 HTTP/1.1" 200 42' + end


@pytest.mark.parametrize("headers", [[], [(b"x-request-id", b"a\nb")]])
def test_a_request_forges_no_line(headers: Any, tmp_path: Path) -> None:
    path = tmp_path / "access"
    logger = Logger(Config.from_mapping(access_log=str(path), access_log_format="json"))
    evil = {**SCOPE, "raw_path": b'/","status":1}\n{"', "method": 'G"\n', "headers": headers}
    logger.log_access(evil, 200, (), 1, 0.1)
    logger.flush()
    assert json.loads((path).read_text())["status"] == 200
    assert len(lines_of(path)) == 1


def test_every_kind_of_request_can_be_written_as_json(tmp_path: Path) -> None:
    """Refused, aborted, upgraded: whatever scope the server gives."""
    path = tmp_path / "access"
    logger = Logger(Config.from_mapping(access_log=str(path), access_log_format="json"))
    server = MemoryServer(Answers(), config())
    upgrade = ("Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13")
    for data in (
        request(),
        b"nonsense\r\n\r\n",
        request("/", *upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        server.connect().send(data)
    for entry in server.log.access:
        logger.log_access(entry.scope, entry.status, entry.headers, entry.body_bytes, entry.duration)
    logger.flush()
    assert [json.loads(line)["status"] for line in lines_of(path)] == [entry.status for entry in server.log.access]
    assert len(server.log.access) == 4


# -- terminals, and what is left alone


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal_only(variables: dict[str, str], coloured: bool) -> None:
    program = "from hypercorn.config import Config\nConfig().log.log_error('seen')"
    terminal, slave = pty.openpty()
    variables = {"TERM": "xterm", **variables}
    subprocess.run([sys.executable, "-c", program], check=True, stderr=slave, env=environment(**variables))
    text = os.read(terminal, 1000)
    os.close(slave)
    os.close(terminal)
    assert b"seen" in text
    assert (b"\x1b[31mERROR\x1b[0m" in text) is coloured


def test_no_colour_in_a_pipe() -> None:
    program = "from hypercorn.config import Config\nConfig().log.log_error('seen')"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=environment())
    assert b"[ERROR] seen" in done.stderr
    assert b"\x1b" not in done.stderr


def test_logging_that_is_the_programs_own_is_left_alone() -> None:
    loggers = [logging.getLogger(f"hypercorn.{kind}") for kind in ("access", "error")]
    before = [(one.level, one.propagate, list(one.handlers), one.filters) for one in loggers]
    settings = Config.from_mapping(log_config="none", access_log="-", error_log="-", log_level="DEBUG")
    settings.validate()
    logger = Logger(settings)
    logger.log_error("into the program's handlers")
    logger.log_access(SCOPE, 200, (), 1, 0.1)
    assert [(one.level, one.propagate, list(one.handlers), one.filters) for one in loggers] == before
    assert [logger.access_logger, logger.error_logger] == loggers


def test_its_thread_ends_for_a_fork_and_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        writer = LineWriter(file.fileno())
        for number in range(3):
            writer.put(f"{number}\n")
            thread = writer.thread
            assert thread is not None
            end_threads()
            assert not thread.is_alive()
            assert path.read_text() == "".join(f"{one}\n" for one in range(number + 1))
        writer.end_thread()  # there is none
