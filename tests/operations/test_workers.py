"""Metrics, health and certificates of a server with several processes."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.live import eventually
from tests.peer import Peer
from tests.process.command import Command


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

        def restarted() -> bool:
            with suppress(ConnectionError):  # of a worker that ends
                return metrics(path)["hypercorn_worker_restarts_total"] == 2
            return False

        eventually(restarted)
        with Peer(address) as peer:
            assert peer.get().status == 200
        eventually(lambda: metrics(path)["hypercorn_requests_total"] == 21)
        # One worker less is no restart.
        command.notify(signal.SIGTTOU)

        def one_less() -> bool:
            with suppress(ConnectionError):
                return metrics(path)["hypercorn_workers"] == 1
            return False

        eventually(one_less)
        assert metrics(path)["hypercorn_worker_restarts_total"] == 2
        assert command.end(signal.SIGTERM) == 0


def test_one_process_says_where_its_metrics_are(tmp_path: Path, authority: Any) -> None:
    arguments = ("-b", "127.0.0.1:0", "-w", "0", "--metrics-bind", "127.0.0.1:0", "tests.process.apps:app")
    with Command(*arguments) as command:
        port = int(command.await_line(re.compile(r"Metrics, health and readiness on http://127\.0\.0\.1:(\d+)"))[1])
        with Peer(("127.0.0.1", port)) as peer:
            assert b"hypercorn_workers 1" in peer.get("/metrics").body
        assert command.end(signal.SIGTERM) == 0
