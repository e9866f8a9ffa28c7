"""How throughput grows with workers, and how connections are shared out among them.

    python -m bench.workers [--workers 1 2 4] [--loop uvloop] [--rounds 3] [--seconds 2]

For each number of workers, with one shared socket and with `reuse_port`: requests a second, CPU time of a request, and
the largest and the smallest share of the CPU time that a worker had, in per cent. Two loads: 64 connections that stay
open, and a connection for each request. The load generator needs a core of its own: with more workers than cores that
are left, throughput shows where it stops rather than how it grows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from typing import NamedTuple

from bench import wrk
from bench.cases import CASES
from bench.processes import ServerProcess, cpu_seconds, family, free_port

LOADS = {"kept": CASES["hello"]._replace(connections=64), "new": CASES["new"]}


class Growth(NamedTuple):
    """What one run gave."""

    per_second: float
    cpu: float  # microseconds of a request
    least: float  # per cent of the workers' CPU time
    most: float


def run(workers: int, loop: str, reuse_port: bool, load: str, seconds: int) -> Growth:
    """One server under one load. Raises ServerError."""
    port = free_port()
    command = [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "-w", str(workers), "-k", loop]
    command += ["--config", "bench/hypercorn.toml", "--control", "none", *(["--reuse-port"] if reuse_port else [])]
    with ServerProcess([*command, "bench.apps:app"], port, os.environ) as server:
        wrk.run(LOADS[load], port, 1)
        members = [pid for pid in family(server.pid) if pid != server.pid]
        before = {pid: cpu_seconds(pid) for pid in members}
        found = wrk.run(LOADS[load], port, seconds)
        used = sorted(cpu_seconds(pid) - before[pid] for pid in members)
    total = sum(used) or 1.0
    busy = used[-workers:]  # the fork server and the like do nothing
    return Growth(found.per_second, total / found.requests * 1e6, busy[0] / total * 100, busy[-1] / total * 100)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.loop}, medians of {options.rounds}")
    print(f"{'load':6} {'socket':10} {'workers':>7} {'req/s':>9} {'CPU us':>8} {'least %':>8} {'most %':>8}")
    for load in LOADS:
        for reuse_port in (False, True):
            for workers in options.workers:
                runs = [run(workers, options.loop, reuse_port, load, options.seconds) for _ in range(options.rounds)]
                rate, cpu, least, most = (statistics.median(column) for column in zip(*runs, strict=True))
                name = "reuse_port" if reuse_port else "shared"
                print(f"{load:6} {name:10} {workers:7} {rate:9.0f} {cpu:8.1f} {least:8.1f} {most:8.1f}", flush=True)


if __name__ == "__main__":
    main()
