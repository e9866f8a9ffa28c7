"""What operations cost a request: counting it, writing its access record.

    python -m bench.operations [--pure]              in instructions; needs valgrind
    python -m bench.operations --time [--rounds 5]   in CPU time and in throughput; needs wrk

The writing thread's work is counted with the rest. In time, the servers run side by side and take the load in turn, so
that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from typing import Any

from bench import wrk
from bench.callgrind import count
from bench.cases import CASES
from bench.processes import ServerProcess, free_port
from hypercorn.asgi.clients import ClientLimits, limits_clients
from hypercorn.asgi.gate import Health, open_gate
from hypercorn.asgi.slow import SlowRequests
from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.logs.logger import access_writer
from hypercorn.metrics import Counters
from hypercorn.protocol.limits import Limits

EXTRAS: dict[str, dict[str, Any]] = {
    "metrics": {},
    "proxies": {"trusted_proxies": ["127.0.0.1"]},
    "health": {"health_path": "/health"},
    "concurrency": {"limit_concurrency": 1000},
    "shedding": {"shed_delay": 1000.0},
    "otel": {"otel": True},
    "timing": {"server_timing": "on"},
    "text": {"access_log": "/dev/null"},
    "combined": {"access_log": "/dev/null", "access_log_format": "combined"},
    "json": {"access_log": "/dev/null", "access_log_format": "json"},
    "slow": {"slow_request": 1000.0},
    "clients": {"client_request_rate": 1_000_000_000},
    "broadcast": {"websocket_broadcast": True},
}


def set_up(harness: Any, extra: str) -> None:
    """Switches something on for the requests of a harness."""
    config = Config.from_mapping(EXTRAS[extra])
    if config.server_timing != "off" or config.otel:
        harness.serve_with(config)
    context = harness.context
    if config.access_log is not None:
        context.records.keep(access_writer(config.log, lambda coroutine: None), None)
    if config.slow_request is not None:
        context.app = SlowRequests(context.runtime, config.slow_request).around(context.app)
    counters = Counters() if extra == "metrics" else None
    if counters is not None:
        counters.published = False
    limits = Limits(limits_of(config))
    clients = ClientLimits(context.runtime, limits, []) if limits_clients(limits) else None
    open_gate(context, config, Health(), counters, clients)
    harness.transport.trusted = bool(config.trusted_proxies)


def servers(folder: str) -> dict[str, list[str]]:
    """The flags of each server whose time is taken."""
    form = ["--access-log-format", "json"]
    return {
        "plain": [],
        "metrics": ["--metrics-bind", f"unix:{folder}/metrics"],
        "json to /dev/null": ["--access-log", "/dev/null", *form],
        "json to a file": ["--access-log", f"{folder}/access", *form],
        "timing": ["--server-timing", "on"],
        "otel": ["--otel"],
        "combined to a file": ["--access-log", f"{folder}/combined", "--access-log-format", "combined"],
    }


def measure(rounds: int, seconds: int) -> None:
    """Takes the times, and writes a table."""
    case = CASES["hello"]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        running = {}
        for name, flags in servers(folder).items():
            port = free_port()
            command = [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "-w", "0", "-k", "uvloop"]
            command += ["--control", "none", *flags, "bench.apps:app"]
            running[name] = stack.enter_context(ServerProcess(command, port, os.environ))
            wrk.run(case, port, 1)
        cpu: dict[str, list[float]] = {name: [] for name in running}
        rate: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(rounds):
            for name, server in running.items():
                before = server.cpu_seconds()
                load = wrk.run(case, server.port, seconds)
                cpu[name].append((server.cpu_seconds() - before) / load.requests * 1e6)
                rate[name].append(load.per_second)
                with open(f"{folder}/{'combined' if 'combined' in name else 'access'}", "wb"):
                    pass  # a file that grows without end would be another measurement
        print(f"{'':20}{'CPU us':>8}{'':9}{'req/s':>9}")
        for name in running:
            one, all_of = statistics.median(cpu[name]), statistics.median(rate[name])
            more = statistics.median(mine / plain for mine, plain in zip(cpu[name], cpu["plain"], strict=True)) - 1
            less = statistics.median(mine / plain for mine, plain in zip(rate[name], rate["plain"], strict=True)) - 1
            print(f"{name:20}{one:8.2f}{more * 100:+7.1f} %{all_of:9,.0f}{less * 100:+7.1f} %")


def main() -> None:
    """Counts or measures, and writes a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.operations")
    parser.add_argument("--pure", action="store_true")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if options.time:
        measure(options.rounds, options.seconds)
        return
    cases = ["hello", *(f"hello+{extra}" for extra in EXTRAS)]
    counted = count(cases, pure=options.pure)
    plain = counted["hello"]
    for case, instructions in counted.items():
        print(f"{case:20}{instructions:10,.0f}{(instructions / plain - 1) * 100:+8.1f} %")


if __name__ == "__main__":
    main()
