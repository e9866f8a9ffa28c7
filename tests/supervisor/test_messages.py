"""Messages between the supervisor and its workers: typed, checked, and each channel's faults its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from hypercorn.config import Config

if sys.platform == "win32":
    pytest.skip("signals and worker processes", allow_module_level=True)

from hypercorn.supervisor.arbiter import Arbiter
from hypercorn.supervisor.channel import Channel, channel_pair
from hypercorn.supervisor.messages import (
    FROM_SUPERVISOR,
    FROM_WORKER,
    Answer,
    Drained,
    Draining,
    EndTrace,
    Failed,
    FetchTrace,
    Heartbeat,
    ListConnections,
    ListRequests,
    ListSlowRequests,
    Malformed,
    Notice,
    Ready,
    Recycle,
    ReopenLogs,
    SetLogLevel,
    ShowStacks,
    ShutDown,
    StartTrace,
    Stop,
    StopNow,
    Unknown,
    decode,
)
from hypercorn.supervisor.process import WorkerProcess, WorkerState
from hypercorn.supervisor.worker import WorkerLink

OF_WORKERS = [
    Ready(["http://127.0.0.1:8000", "http://[::1]:8000"], ["http://127.0.0.1:8000"]),
    Notice("The application has no lifespan"),
    Heartbeat(),
    Recycle("max_requests"),
    Draining("SIGTERM"),
    Drained(),
    ShutDown(2.5),
    Failed(3, "hypercorn: error: ünlesbar\n"),
    Answer(7, [{"thread": "MainThread", "stack": "one\ntwo\n"}]),
]
OF_SUPERVISORS = [
    Stop(last_owner=True, delay=0.25),
    Stop(last_owner=True, delay=0.25, grace=1.5),
    Stop(last_owner=False, delay=float("inf")),
    StopNow(),
    ReopenLogs(),
    SetLogLevel("DEBUG"),
    ListConnections(1),
    ListRequests(4),
    ListSlowRequests(5),
    StartTrace(6, ["192.0.2.0/24"], 5.0),
    FetchTrace(7),
    EndTrace(8),
    ShowStacks(2),
]
MALFORMED = [
    b"",
    b"no JSON",
    b"\xff\xfe",
    b"[" * 100_000,
    b"null",
    b"7",
    b'"Heartbeat"',
    b"{}",
    b'["Heartbeat"]',
    b'["Heartbeat", []]',
    b'[["Heartbeat"], {}]',
    b'["Heartbeat", {"at": 1}]',
    b'["Ready", {}]',
    b'["Ready", {"addresses": "http://a"}]',
    b'["Ready", {"addresses": [1]}]',
    b'["Failed", {"exit_code": true, "text": ""}]',
    b'["Failed", {"exit_code": 1.0, "text": ""}]',
    b'["Answer", {"number": 1, "value": [1]}]',
    b'["ShutDown", {"thread_seconds": "1"}]',
]


class Log:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log_error(self, text: str, *arguments: Any) -> None:
        self.lines.append(text % arguments)

    log_warning = log_info = log_debug = log_error


@pytest.fixture(name="arbiter")
def _arbiter() -> Iterator[Arbiter]:
    config = Config.from_mapping(
        application_path="x:y", workers=2, error_log=logging.getLogger("arbiter.messages"), control="none"
    )
    arbiter = Arbiter(config, quiet=True)
    arbiter.log = Log()
    yield arbiter
    for worker in arbiter.workers.values():
        worker.channel.close()
    arbiter.workers.clear()
    arbiter.signals.close()
    arbiter.selector.close()
    arbiter.pool.close()


def add_worker(arbiter: Arbiter, pid: int) -> tuple[WorkerProcess, Channel[Any]]:
    """A worker that serves, without a process, and its end of the channel."""
    mine, theirs = channel_pair()
    worker = WorkerProcess(0, arbiter.generation, pid, mine, 0.0)
    worker.state = WorkerState.READY
    arbiter.workers[pid] = worker
    arbiter.selector.register(mine, 1, lambda: arbiter.read_messages(worker))
    return worker, theirs


@pytest.mark.parametrize("message", OF_WORKERS, ids=repr)
def test_what_a_worker_sends_arrives(message: Any) -> None:
    supervisors, workers = channel_pair()
    assert workers.send(message)
    assert supervisors.receive() == [message]
    supervisors.close()
    assert workers.receive() is None
    workers.close()


@pytest.mark.parametrize("message", OF_SUPERVISORS, ids=repr)
def test_what_a_supervisor_sends_arrives(message: Any) -> None:
    supervisors, workers = channel_pair()
    assert supervisors.send(message)
    supervisors.close()
    assert list(workers.messages()) == [message]
    workers.close()


def test_no_message_is_left_out() -> None:
    assert {type(one) for one in OF_WORKERS} == set(FROM_WORKER.values())
    assert {type(one) for one in OF_SUPERVISORS} == set(FROM_SUPERVISOR.values())
    assert not set(FROM_WORKER) & set(FROM_SUPERVISOR)


def test_messages_that_are_cut_and_joined() -> None:
    supervisors, workers = channel_pair()
    assert supervisors.receive() == []
    line = b'["Recycle", {"reason": "max_requests"}]\n["Heartbeat", {}]\n'
    for at in range(len(line)):
        workers.sock.sendall(line[:at])
        found = list(supervisors.receive() or [])
        workers.sock.sendall(line[at:])
        found += supervisors.receive() or []
        assert found == [Recycle("max_requests"), Heartbeat()]
    supervisors.close()
    workers.close()


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: repr(line[:40]))
def test_malformed(line: bytes) -> None:
    assert isinstance(decode(line, FROM_WORKER), Malformed)


@pytest.mark.parametrize("message", OF_WORKERS, ids=repr)
def test_the_supervisor_handles_every_message(arbiter: Arbiter, message: Any) -> None:
    worker, theirs = add_worker(arbiter, 999_999_999)
    theirs.send(message)
    arbiter.read_messages(worker)
    assert worker.channel_open
    assert [line for line in arbiter.log.lines if "message" in line] == []  # type: ignore[attr-defined]
    theirs.close()


def test_the_supervisor_logs_an_unknown_message_once(arbiter: Arbiter) -> None:
    """That name is not known in this direction either."""
    workers = [add_worker(arbiter, 999_999_998), add_worker(arbiter, 999_999_999)]
    for worker, theirs in workers:
        for _ in range(3):
            theirs.sock.sendall(b'["Redy", {"addresses": []}]\n["Stop", {}]\n["Heartbeat", {}]\n')
        arbiter.read_messages(worker)
        assert worker.channel_open
        assert worker.last_heartbeat != float("inf")  # what follows is read
        theirs.close()
    assert arbiter.log.lines == [  # type: ignore[attr-defined]
        "Worker 999999998 sent an unknown message: Redy",
        "Worker 999999998 sent an unknown message: Stop",
    ]


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: repr(line[:40]))
def test_a_malformed_message_ends_only_its_channel(arbiter: Arbiter, line: bytes) -> None:
    (bad, of_bad), (good, of_good) = add_worker(arbiter, 999_999_998), add_worker(arbiter, 999_999_999)
    of_bad.send(Recycle("max_requests"))
    of_bad.sock.setblocking(False)
    of_bad.sock.send(line + b'\n["Failed", {"exit_code": 1, "text": ""}]\n')
    of_good.send(Heartbeat())
    while bad.channel_open:
        arbiter.read_messages(bad)
    arbiter.read_messages(good)
    assert bad.retire_reason == "max_requests"  # what came before was read, what came after was not
    assert bad.failure is None
    assert not bad.channel.send(StopNow())
    assert of_bad.receive() in (None, [])  # the worker learns that it is alone
    assert len(arbiter.log.lines) == 1  # type: ignore[attr-defined]
    assert "Worker 999999998 sent a malformed message" in arbiter.log.lines[0]  # type: ignore[attr-defined]
    assert good.channel_open
    assert good.last_heartbeat != float("inf")
    assert not good.retire_reason
    assert good.channel.send(StopNow())
    assert of_good.receive() == [StopNow()]
    for end in (of_bad, of_good):
        end.close()


def test_a_worker_that_sends_nonsense_is_replaced(arbiter: Arbiter) -> None:
    worker, theirs = add_worker(arbiter, 999_999_999)
    theirs.sock.sendall(b"nonsense\n")
    arbiter.read_messages(worker)
    assert worker.active
    assert worker.retire_reason == "it sent a malformed message"
    theirs.close()


# -- the worker's side


class Ended(BaseException):
    """The process would have ended."""


@pytest.fixture(name="link")
def _link(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[WorkerLink, Channel[Any]]]:
    supervisors, workers = channel_pair()
    config = Config(application_path="x:y")
    config._log = Log()  # type: ignore[assignment]

    def end(_: int) -> None:
        raise Ended

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("time.sleep", lambda _: None)
    link = WorkerLink(workers, config, app=object())
    yield link, supervisors
    supervisors.close()
    workers.close()


def test_the_worker_logs_an_unknown_message_once(link: tuple[WorkerLink, Channel[Any]]) -> None:
    worker, supervisors = link
    for _ in range(3):
        supervisors.sock.sendall(b'["Stopp", {}]\n')
    supervisors.send(ShowStacks(5))
    supervisors.send(Stop(last_owner=False, delay=1.0))
    found = worker.channel.receive() or []
    for message in found:
        worker.handle_message(message)
    assert found[:3] == [Unknown("Stopp")] * 3
    assert worker.config.log.lines == ["The supervisor sent an unknown message: Stopp"]  # type: ignore[attr-defined]
    assert worker.order == Stop(last_owner=False, delay=1.0)
    answer = supervisors.receive()
    assert answer is not None
    assert asdict(answer[0])["number"] == 5


def test_a_malformed_message_ends_a_worker_as_the_supervisors_end_does(
    link: tuple[WorkerLink, Channel[Any]],
) -> None:
    worker, supervisors = link
    supervisors.sock.sendall(b'["StopNow", {"when": 1}]\n["SetLogLevel", {"level": "DEBUG"}]\n')
    with pytest.raises(Ended):
        worker.read_messages()
    assert worker.order == Stop(last_owner=True, delay=0.0)
    assert len(worker.config.log.lines) == 1  # type: ignore[attr-defined]
    assert "The supervisor sent a malformed message: StopNow" in worker.config.log.lines[0]  # type: ignore[attr-defined]


def test_a_message_that_fails_is_logged_and_the_next_is_read(link: tuple[WorkerLink, Channel[Any]]) -> None:
    worker, supervisors = link
    supervisors.send(SetLogLevel("DEBUG"))  # this log has no such logger
    supervisors.send(ShowStacks(1))
    supervisors.sock.shutdown(1)
    with pytest.raises(Ended):
        worker.read_messages()
    assert "A message of the supervisor failed (SetLogLevel(level='DEBUG'))" in worker.config.log.lines[0]  # type: ignore[attr-defined]
    answer = supervisors.receive()
    assert answer is not None
    assert isinstance(answer[0], Answer)
