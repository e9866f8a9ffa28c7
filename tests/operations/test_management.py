"""`metrics_bind`, limits on connections, and the watchdog, over real sockets on every loop."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families
from tests.support.live import BACKENDS, Gate, Live, eventually, hello, lifespan, respond
from tests.support.peer import Peer

import hypercorn
from hypercorn.metrics import Board, use_board_slot
from hypercorn.metrics.counters import BOUNDS

pytestmark = pytest.mark.parametrize("backend", BACKENDS)
# As Prometheus 2 and 3 send it.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;"
    "version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class Managed(Live):
    """A live server with a management bind."""

    def __init__(self, app: Any, backend: str, **options: Any) -> None:
        super().__init__(app, backend, metrics_bind=["127.0.0.1:0"], **options)

    @property
    def management(self) -> Peer:
        """A connection to that bind."""
        return Peer(self.worker.operations.management.sockets[0].getsockname())

    @property
    def worker(self) -> Any:
        return self.running._worker


def samples(live: Managed) -> dict[Any, float]:
    """The metrics, by name and by name and label, read with Prometheus's own parser."""
    with live.management as peer:
        answer = peer.get("/metrics", f"Accept: {PROMETHEUS}")
    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith("application/openmetrics-text; version=1.0.0")
    found: dict[Any, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation
        for sample in family.samples:
            label = next(iter(sample.labels.values()), None)
            found[sample.name if label is None else (sample.name, label)] = sample.value
    return found


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says ok, or takes a while."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
    else:
        await respond(send, b"hello", 404 if scope["path"] == "/none" else 200)


UPGRADE = (
    "Upgrade: websocket",
    "Connection: upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "A" * 22 + "==",
)


def test_metrics(backend: str) -> None:
    with Managed(app, backend, linger_timeout=0.1) as live:
        with live.connect() as one, live.connect() as other, live.connect() as third:
            for path in ("/", "/", "/none"):
                one.get(path)
            other.send(b"nonsense\r\n\r\n")
            other.rest()
            assert third.get("/", *UPGRADE).status == 101
            eventually(lambda: samples(live)[("hypercorn_connections", "http1")] == 1)
            found = samples(live)
            assert found[("hypercorn_connections", "websocket")] == 1
            assert found[("hypercorn_connections_opened_total", "http1")] == 3
            assert found[("hypercorn_requests_total", "http1")] == 3
            assert found[("hypercorn_requests_total", "websocket")] == 1
            assert found["hypercorn_requests_in_flight"] == 1
            assert found[("hypercorn_responses_total", "2xx")] == 2
            assert found[("hypercorn_responses_total", "4xx")] == 1
            assert found["hypercorn_response_body_bytes_total"] == 15
            assert found[("hypercorn_refused_total", "malformed")] == 1
            assert found["hypercorn_request_duration_seconds_count"] == 3
            assert found[("hypercorn_request_duration_seconds_bucket", "+Inf")] == 3
            assert found[("hypercorn_request_duration_seconds_bucket", str(BOUNDS[-1]))] == 3
            assert found["hypercorn_workers"] == 1
            assert found["hypercorn_start_time_seconds"] <= time.time()
        eventually(lambda: samples(live)[("hypercorn_connections", "http1")] == 0)


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/plain,application/openmetrics-text;q=0.5"])
def test_the_older_format(backend: str, accept: str | None) -> None:
    with Managed(app, backend) as live:
        with live.connect() as peer:
            peer.get()
        eventually(lambda: samples(live)[("hypercorn_requests_total", "http1")] == 1)
        with live.management as peer:
            answer = peer.get("/metrics", *([f"Accept: {accept}"] if accept else []))
        found = samples(live)
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.header("vary") == "accept"
    text = answer.body.decode()
    families = list(plain_families(text))
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    assert all(family.documentation for family in families)
    plain = {sample.name for family in families for sample in family.samples}
    assert plain == {name if isinstance(name, str) else name[0] for name in found}
    assert "# TYPE hypercorn_requests_total counter\n# HELP hypercorn_requests_total Requests" in text
    assert "# EOF" not in text
    assert "# UNIT" not in text


def test_promtool_likes_both_formats(backend: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    with Managed(app, backend) as live, live.management as peer:
        text = peer.get("/metrics").body
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_build_and_its_workers(backend: str) -> None:
    with Managed(app, backend) as live, live.management as peer:
        families = {family.name: family for family in plain_families(peer.get("/metrics").body.decode())}
    (build,) = families["hypercorn_build_info"].samples
    assert build.value == 1
    assert build.labels["version"] == hypercorn.__version__
    assert build.labels["build"] == hypercorn.build()
    assert platform.python_version() in build.labels["python"]
    if sys.platform == "linux":
        (memory,) = families["hypercorn_worker_resident_memory_bytes"].samples
        assert memory.labels == {"worker": "0"}
        assert memory.value > 5_000_000
        (cpu,) = families["hypercorn_worker_cpu_seconds"].samples
        assert 0 < cpu.value <= time.process_time() + 1
        (files,) = families["hypercorn_worker_open_fds"].samples
        assert 3 < files.value <= len(os.listdir("/proc/self/fd")) + 64


def test_the_sum_of_all_workers(backend: str) -> None:
    """Each worker answers for all of them."""
    board = Board.create(2)
    try:
        use_board_slot(board.slot(0))
        with Managed(app, backend) as one:
            use_board_slot(board.slot(1))
            with Managed(app, backend) as other:
                use_board_slot(None)
                for live in (one, one, other):
                    with live.connect() as peer:
                        peer.get()
                eventually(lambda: samples(one)[("hypercorn_requests_total", "http1")] == 3)
                eventually(lambda: samples(other)["hypercorn_request_duration_seconds_count"] == 3)
                assert samples(one)["hypercorn_workers"] == 2
    finally:
        use_board_slot(None)
        board.close()


def test_health_and_readiness_on_a_bind_of_their_own(backend: str) -> None:
    gate = Gate()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await gate.wait()
        await hello(scope, receive, send)

    with (
        Managed(slow, backend, limit_connections=1, graceful_timeout=10.0) as live,
        live.connect() as busy,
        live.management as peer,
    ):
        busy.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert peer.get("/health").status == 200
        assert peer.get("/ready").status == 200
        assert peer.get("/ready", method="POST").status == 405
        assert peer.get("/elsewhere").status == 404
        live.wake()
        eventually(lambda: live.worker.draining)
        assert peer.get("/ready").status == 503, "it answers while requests end"
        assert peer.get("/health").status == 200
        gate.set()
        assert busy.response().body == b"hello"


def test_limit_connections(backend: str) -> None:
    with Managed(app, backend, limit_connections=2) as live:
        with live.connect() as one, live.connect() as other:
            assert one.get().status == other.get().status == 200
            with live.connect() as third:
                answer = third.response()
                assert (answer.status, answer.header("retry-after")) == (503, "1")
                assert third.ended()
            assert one.get().status == 200
        assert samples(live)[("hypercorn_refused_total", "connections")] == 1

        def another() -> bool:
            with live.connect() as peer:
                return peer.get().status == 200

        eventually(another)


def test_what_blocks_the_loop_is_shown(backend: str) -> None:
    async def blocks(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            hold_the_loop()
        await app(scope, receive, send)

    def hold_the_loop() -> None:
        end = time.monotonic() + 10.0
        while not live.log.texts() and time.monotonic() < end:
            time.sleep(0.01)

    with Managed(blocks, backend, slow_callback=0.05) as live, live.connect() as peer:
        live.log.records.clear()
        peer.get()
        (text,) = [text for text in live.log.texts() if "has been blocked" in text]
        assert "in hold_the_loop" in text
        eventually(lambda: samples(live)["hypercorn_loop_blocked_total"] == 1)
