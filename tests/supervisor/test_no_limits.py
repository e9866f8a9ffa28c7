"""The options of workers, of their ends and of operations that are switched off by `none`, or are 0, in processes."""

from __future__ import annotations

import re
import signal
import time

from tests.supervisor.servers import WAIT, Server, is_alive
from tests.support.live import eventually
from tests.support.peer import request

from hypercorn.config.options import OPTIONS

OFF = [
    option
    for option in OPTIONS
    if option.group in ("Workers", "Operations")
    and option.kind.metavar in ("BYTES", "N", "SECONDS")
    and option.kind.expected.endswith("or none")
]
GRACE = 3.0  # seconds, graceful_timeout by default

INSIDE = re.compile("inside")


def flags(value: str, *names: str) -> list[str]:
    return [text for option in OPTIONS if option.name in names for text in (option.all_flags[0], value)]


def test_a_worker_without_any_limit_goes_on() -> None:
    """`none` for each: nothing replaces, kills or turns away, and an open request is waited for."""
    assert {option.name for option in OFF} == {
        "client_connection_burst",
        "client_connection_rate",
        "client_connections",
        "client_request_burst",
        "client_request_rate",
        "client_table_size",
        "graceful_timeout",
        "limit_concurrency",
        "limit_connections",
        "max_requests",
        "max_worker_age",
        "max_worker_memory",
        "shed_delay",
        "shutdown_notify_delay",
        "slow_callback",
        "slow_request",
        "worker_timeout",
    }
    none = flags("none", *(option.name for option in OFF), "startup_timeout", "shutdown_timeout")
    with Server("-w", "1", *none) as server:
        (worker,) = server.serving(1)
        peers = [server.connect() for _ in range(30)]
        for peer in peers:
            assert peer.get("/").body == str(worker).encode()
        assert peers[0].get("/block/1").status == 200  # the loop stands still
        peers[1].send(request(f"/slow/{GRACE + 1.5}"))
        server.await_line(INSIDE, server.output)
        server.notify(signal.SIGTERM)
        assert peers[1].response().status == 200
        assert server.code() == 0
        assert server.complaint == ""


def test_no_time_at_all() -> None:
    """0 for each time that may be 0: an open request is cut at once, and nothing is waited for."""
    zero = flags("0", "graceful_timeout", "shutdown_delay", "shutdown_notify_delay", "max_requests_jitter")
    with Server("-w", "1", *zero) as server:
        (worker,) = server.serving(1)
        peer = server.connect()
        peer.send(request("/slow/30"))
        server.await_line(INSIDE, server.output)
        began = time.monotonic()
        server.notify(signal.SIGTERM)
        assert server.code() == 0
        assert time.monotonic() - began < GRACE
        assert server.said(r"Cut 1 request: graceful_timeout \(0 s\)")
        eventually(lambda: not is_alive(worker), WAIT)


def test_a_lifespan_shutdown_without_a_limit() -> None:
    """The application hangs in it: the supervisor waits until it is told not to."""
    with Server("-w", "1", *flags("none", "shutdown_timeout"), how="shutdown hangs") as server:
        (worker,) = server.serving(1)
        server.notify(signal.SIGTERM)
        server.await_said("Waiting for the application's lifespan shutdown")
        time.sleep(GRACE)
        assert is_alive(worker)
        server.notify(signal.SIGINT)
        server.notify(signal.SIGINT)
        server.code()
        assert not server.said("Traceback")
