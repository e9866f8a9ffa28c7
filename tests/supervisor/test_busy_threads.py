"""Threads of the application that go on when the server ends: they are named, and do not keep the process."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from tests.supervisor.servers import Server
from tests.support.peer import request

from hypercorn._cpython import PLAIN
from hypercorn.runtime.ending import busy_threads

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")

APP = "tests.supervisor.threaded:app"
INSIDE = re.compile("inside")
GRACE = 0.5
PROMISE = GRACE + 1  # seconds from the stop to the end
MARGIN = 3.0  # seconds in which processes end that a busy machine gives no turn; what they decide is held to `PROMISE`
LEAST = 0.25  # seconds that threads have in any case, where such a machine has used up the time before


def planned(lines: list[str]) -> list[float]:
    """The times after the stop, in seconds, at which the server has decided to wait no longer, by its own records: a
    busy machine makes these later, but not what they add up to."""
    records = [json.loads(line) for line in lines if line.startswith("{")]
    times = [datetime.fromisoformat(one["time"].replace("Z", "+00:00")).timestamp() for one in records]
    stop = min(time for time, one in zip(times, records, strict=True) if one["message"].startswith("Stopping"))
    waits = [re.match(r"Waiting up to (\d+\.\d) s for (?:a |\d+ )thread", one["message"]) for one in records]
    found = [(time - stop, float(wait[1])) for time, wait in zip(times, waits, strict=True) if wait]
    return [after + left for after, left in found if left > LEAST]


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("how", ["to_thread", "executor", "forgotten", "thread"])
def test_a_busy_thread_does_not_keep_the_process(worker_class: str, workers: str, how: str, tmp_path: Path) -> None:
    """`graceful_timeout` and a second later all is over: code 0, the thread and its place are in the log, the
    application's shutdown and functions of `atexit` have run."""
    mark = tmp_path / "mark"
    arguments = ("-k", worker_class, "-w", workers, "--graceful-timeout", str(GRACE), "--log-format", "json")
    with Server(*arguments, app=APP, how=how, file=mark) as server, server.connect() as peer:
        peer.send(request("/60"))
        server.await_line(INSIDE, server.output)
        began = time.monotonic()
        server.notify(signal.SIGTERM)
        assert server.code() == 0
        assert time.monotonic() - began < PROMISE + MARGIN
        assert all(seconds < PROMISE for seconds in planned(server.errors))
        assert server.said(r"WARNING.*threaded\.py:\d+ in busy_function")
        assert "shutdown complete\n" in server.output
        assert "out of memory" not in server.complaint
        assert "Traceback" not in server.complaint
        assert PLAIN or mark.read_text() == "done"


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_who_presses_ctrl_c_waits_less_for_a_busy_thread(worker_class: str, workers: str) -> None:
    """`graceful_timeout` and 0.4 seconds, by what the server says when the call has been cut; a busy machine leaves
    less of them."""
    arguments = ("-k", worker_class, "-w", workers, "--graceful-timeout", str(GRACE), "--log-format", "json")
    with Server(*arguments, app=APP, how="to_thread") as server, server.connect() as peer:
        peer.send(request("/60"))
        server.await_line(INSIDE, server.output)
        began = time.monotonic()
        server.notify(signal.SIGINT)
        assert server.code() == 0
        assert time.monotonic() - began < PROMISE + MARGIN
        waits = [
            float(left) for line in server.errors for left in re.findall(r"Waiting up to (\d\.\d) s for a t", line)
        ]
        assert all(left <= 0.4 for left in waits)
        assert server.said(r"WARNING.*threaded\.py:\d+ in busy_function")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_thread_of_the_shutdown_is_waited_for_a_few_seconds_only(workers: str) -> None:
    """However long `graceful_timeout` is; and the log says what is waited for."""
    with Server("-w", workers, "--graceful-timeout", "600", app=APP, how="after") as server, server.connect() as peer:
        assert peer.get("/0").status == 200
        peer.close()
        began = time.monotonic()
        assert server.end(signal.SIGINT) == 0
        assert 2 < time.monotonic() - began < 6
        assert server.said(r"INFO.*Waiting up to [23]\.\d s for a thread of the application: 'straggler'")
        assert server.said(r"WARNING.*Ended without waiting any longer for a thread of the application: 'straggler'")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_thread_that_ends_in_time_is_waited_for(workers: str) -> None:
    with Server("-w", workers, "--graceful-timeout", "20", app=APP, how="thread") as server, server.connect() as peer:
        peer.send(request("/1"))
        assert peer.response().status == 200
        peer.close()
        assert server.end(signal.SIGTERM) == 0
        assert server.said("INFO.*Waiting up to .*'straggler'")
        assert server.complaint == ""


def test_a_second_interrupt_ends_the_wait_for_threads() -> None:
    with Server("-w", "0", "--graceful-timeout", "600", app=APP, how="after") as server, server.connect() as peer:
        assert peer.get("/0").status == 200
        peer.close()
        server.notify(signal.SIGINT)
        server.await_said("Waiting up to .*'straggler'")
        server.notify(signal.SIGTERM)
        time.sleep(0.2)
        assert server.process.poll() is None
        began = time.monotonic()
        assert server.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 1.5


def test_idle_threads_are_not_named() -> None:
    """Those of pools that wait for work, and the server's own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        pool.submit(time.sleep, 0).result()
        threads = [one for one in busy_threads() if "ThreadPool" in one]
        assert all("(" not in one for one in threads)  # no place, as it does nothing
