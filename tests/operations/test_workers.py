"""Metrics, health and certificates of a server with several processes."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.process.command import Command
from tests.support.live import BACKENDS, eventually
from tests.support.peer import PATIENCE, Peer


def metrics(path: Path) -> dict[str, float]:
    """The samples without labels, and `requests` over HTTP/1."""
    with Peer(str(path)) as peer:
        text = peer.get("/metrics").body.decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.labels or sample.labels == {"protocol": "http1"}:
                found[sample.name] = sample.value
    return found


def test_one_endpoint_sums_all_workers(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    arguments = ("-b", "127.0.0.1:0", "-w", "2", "--metrics-bind", f"unix:{path}", "tests.process.apps:app")
    with Command(*arguments) as command:
        address = command.address()
        eventually(lambda: metrics(path)["hypercorn_workers"] == 2)
        for _ in range(20):
            with Peer(address) as peer:
                assert peer.get().status == 200
        eventually(lambda: metrics(path)["hypercorn_requests_total"] == 20)
        with Peer(str(path)) as peer:
            assert peer.get("/ready").status == peer.get("/health").status == 200
        # The counts of workers that are no more stay.
        command.notify(signal.SIGHUP)

        eventually(lambda: metrics(path)["hypercorn_worker_restarts_total"] == 2)
        with Peer(address) as peer:
            assert peer.get().status == 200
        eventually(lambda: metrics(path)["hypercorn_requests_total"] == 21)
        # One worker less is no restart.
        command.notify(signal.SIGTTOU)

        eventually(lambda: metrics(path)["hypercorn_workers"] == 1)
        assert metrics(path)["hypercorn_worker_restarts_total"] == 2
        assert command.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("worker_class", BACKENDS)
@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_no_scrape_fails_while_workers_are_replaced(tmp_path: Path, worker_class: str, over: str) -> None:
    """Scrapes without a pause, each over a connection of its own or over one that is kept, through five reloads."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where: Any = probe.getsockname()
    if over == "unix":
        where = str(tmp_path / "metrics")
    bind = f"unix:{where}" if over == "unix" else f"{where[0]}:{where[1]}"
    arguments = ("-w", "2", "-k", worker_class, "--metrics-bind", bind, "tests.process.apps:app")
    with Command("-b", "127.0.0.1:0", *arguments, HYPERCORN_IDLE_GRACE="1", HYPERCORN_CONTROL="none") as command:
        command.address()
        scraped: list[int] = []
        failures: list[str] = []
        ending = threading.Event()

        def scrape(kept: bool) -> None:
            while not ending.is_set():
                try:
                    with Peer(where) as peer:
                        closed = False
                        while not closed and not ending.is_set():
                            answer = peer.get("/metrics")
                            assert b"hypercorn_loop_lag_seconds " in answer.body
                            scraped.append(answer.status)
                            closed = not kept or answer.header("connection") == "close"
                            time.sleep(0.002)
                except (OSError, AssertionError, EOFError) as error:
                    failures.append(repr(error))

        threads = [threading.Thread(target=scrape, args=(number == 0,), daemon=True) for number in range(4)]
        for thread in threads:
            thread.start()
        for roll in range(5):
            command.notify(signal.SIGHUP)
            eventually(lambda roll=roll: sum("All workers are new" in line for line in command.errors) > roll)  # type: ignore[misc]
        ending.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert failures == []
        assert set(scraped) == {200}
        assert command.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_log_says_where_the_metrics_are(workers: str) -> None:
    arguments = ("-b", "127.0.0.1:0", "-w", workers, "--metrics-bind", "127.0.0.1:0", "tests.process.apps:app")
    with Command(*arguments) as command:
        port = int(command.await_line(re.compile(r"Metrics, health and readiness on http://127\.0\.0\.1:(\d+)"))[1])
        with Peer(("127.0.0.1", port)) as peer:
            assert b"hypercorn_workers " + max(workers.encode(), b"1") in peer.get("/metrics").body
        assert command.end(signal.SIGTERM) == 0
        assert sum("Metrics, health and readiness" in line for line in command.errors) == 1
