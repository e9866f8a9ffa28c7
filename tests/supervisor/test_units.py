"""The parts of the supervisor that need no processes."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import pytest

from hypercorn.config import Config
from hypercorn.config.cpus import cpu_quota, usable_cpus
from hypercorn.supervisor.arbiter import Arbiter
from hypercorn.supervisor.backoff import MAX_DELAY_SECONDS, BackOff
from hypercorn.supervisor.process import WorkerProcess, WorkerState, describe_exit


def test_back_off() -> None:
    """F-08: the first crash of each worker costs no time, then it doubles to 30 s; a calm hour starts anew."""
    backoff = BackOff()
    waits = []
    now = 0.0
    for _ in range(14):
        waits.append(backoff.crashed(now, 2))
        now += waits[-1] + 5
    assert waits[:6] == [0, 0, 0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == MAX_DELAY_SECONDS
    assert backoff.crashed(now + 3600, 2) == 0


def test_the_alarm_rings_once() -> None:
    backoff = BackOff()
    rings = []
    for now in range(20):
        backoff.crashed(float(now), 1)
        rings.append(backoff.alarming(1))
    assert rings.count(True) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exited with code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-60, "signal 60")],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert words in describe_exit(code)


@pytest.mark.parametrize(
    ("text", "quota", "workers"),
    [("50000 100000", 0.5, 1), ("150000 100000", 1.5, 2), ("max 100000", None, None), ("nonsense", None, None)],
)
def test_quota_of_a_container(tmp_path: Path, text: str, quota: float | None, workers: int | None) -> None:
    """F-45: `workers = auto` in a control group of version 2."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "cpu.max").write_text(text)
    assert cpu_quota(tmp_path, "0::/app\n") == quota
    found = usable_cpus(tmp_path, "0::/app\n")
    if workers == 1:
        assert found == 1
    else:
        assert 1 <= found <= (workers or 10_000)


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text("200000 100000")
    (tmp_path / "a" / "b" / "cpu.max").write_text("400000 100000")
    assert cpu_quota(tmp_path, "0::/a/b\n") == 2


def test_quota_of_an_older_container(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("25000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert cpu_quota(tmp_path, "4:cpu,cpuacct:/docker/x\n3:memory:/x\n") == 0.25
    assert cpu_quota(tmp_path, "3:memory:/x\n") is None


def test_workers_auto() -> None:
    config = Config.from_mapping(workers="auto")
    assert config.workers == usable_cpus() >= 1


@pytest.fixture(name="arbiter")
def _arbiter() -> Any:
    config = Config.from_mapping(
        application_path="x:y", workers=2, error_log=logging.getLogger("arbiter.test"), control="none"
    )
    arbiter = Arbiter(config, quiet=True)
    yield arbiter
    arbiter.signals.close()
    arbiter.selector.close()
    arbiter.pool.close()


def test_there_is_one_worker_at_least_and_256_at_most(arbiter: Any) -> None:
    """F-24: whatever is asked for, by signals or by `scale`."""
    for _ in range(300):
        arbiter.signal_actions["SIGTTIN"]()
    assert arbiter.target == 256
    for _ in range(300):
        arbiter.signal_actions["SIGTTOU"]()
    assert arbiter.target == 1
    assert (arbiter.scale(10_000, "a test"), arbiter.scale(-1, "a test")) == (256, 1)


def test_no_process_can_be_had(arbiter: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """F-33: the others are kept, and it is tried again later rather than at once."""

    def start(*_: Any) -> WorkerProcess:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(arbiter.pool, "start", start)
    arbiter.balance(100.0)
    assert arbiter.backoff.until >= 101.0
    assert len(caplog.records) == 1
    arbiter.balance(100.5)
    assert len(caplog.records) == 1


def test_a_long_pause_is_no_reason_to_kill(arbiter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-39: when this process itself was held up, silence proves nothing."""
    killed = []
    arbiter.config.worker_timeout = 1.0
    worker = WorkerProcess(0, 1, 999_999_999, None, 0.0)  # type: ignore[arg-type]
    worker.state, worker.last_heartbeat = WorkerState.READY, 10.0
    arbiter.workers[worker.pid] = worker
    monkeypatch.setattr(arbiter.pool, "kill", lambda *_: killed.append(1))
    arbiter.monitor.plan(10.0)
    arbiter.monitor.check(100.0, late=True)
    assert killed == []
    arbiter.monitor.check(102.0, late=False)
    assert killed == [1]
    arbiter.workers.clear()
