"""OpenTelemetry's own instrumentation of ASGI under this server: spans of every worker, whole and in their traces."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from tests.process.command import Command
from tests.support.peer import PATIENCE, Peer

pytest.importorskip("opentelemetry.instrumentation.asgi")

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("worker_class", ["asyncio", "trio"])
def test_spans_arrive_from_every_worker(worker_class: str, tmp_path: Path) -> None:
    file = tmp_path / "spans"
    arguments = ("-b", "127.0.0.1:0", "-w", "2", "-k", worker_class, "examples.telemetry:app")
    answered: dict[str, int] = {}
    with Command(*arguments, SPANS=str(file)) as command:
        address = command.address()
        end = time.monotonic() + PATIENCE
        while len(answered) < 2 and time.monotonic() < end:
            peers = [Peer(address, timeout=PATIENCE) for _ in range(4)]  # both accept
            for peer in peers:
                peer.send(f"GET /x HTTP/1.1\r\nhost: a\r\ntraceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\n".encode())
            for peer in peers:
                match = re.fullmatch(rb"hello from (\d+), trace (\w+)\n", peer.response().body)
                assert match is not None
                assert match[2].decode() == TRACE
                answered[match[1].decode()] = answered.get(match[1].decode(), 0) + 1
                peer.close()
        assert len(answered) == 2, answered
        assert command.end(signal.SIGTERM) == 0
    spans = [json.loads(line) for line in file.read_text().splitlines()]
    assert {span["context"]["trace_id"] for span in spans} == {f"0x{TRACE}"}
    for pid, count in answered.items():
        own = [span for span in spans if str(span["resource"]["attributes"]["process.pid"]) == pid]
        servers = [span for span in own if span["kind"] == "SpanKind.SERVER"]
        assert len(servers) == count, "one for each request, each exported before its worker ended"
        assert all(span["parent_id"] == "0xb7ad6b7169203331" for span in servers)
        assert all(200 in span["attributes"].values() for span in servers)
        inner = [span for span in own if span["name"] == "greeting"]
        assert {span["parent_id"] for span in inner} == {span["context"]["span_id"] for span in servers}
