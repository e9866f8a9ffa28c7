"""`hypercorn top`: a live view of a running server, in the terminal. Needs the extra `top`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from hypercorn.metrics.counters import BOUNDS, BUCKETS, PROTOCOLS
from hypercorn.supervisor.client import ControlError, add_socket_arguments, ask, duration, find_socket

REFRESH_SECONDS = 1.0
HISTORY_LENGTH = 60  # refreshes that are shown
BARS = " ▁▂▃▄▅▆▇█"
CLASSES = ("2xx", "3xx", "4xx", "5xx")
PERCENTILES = (50, 90, 99)


class Numbers:
    """Rates and counts between two refreshes."""

    def __init__(self) -> None:
        self.before: dict[str, int] = {}
        self.before_at = 0.0
        self.rates: dict[str, float] = {}
        self.worker_rates: dict[int, float] = {}
        self.worker_before: dict[int, int] = {}
        self.new: dict[str, int] = {}
        self.history: deque[float] = deque(maxlen=HISTORY_LENGTH)

    def take(self, status: dict[str, Any], now: float) -> None:
        """Takes the status of another refresh."""
        total = status["total"]
        passed = now - self.before_at
        if self.before and passed > 0:
            self.new = {name: max(value - self.before.get(name, 0), 0) for name, value in total.items()}
            self.rates = {name: value / passed for name, value in self.new.items()}
            self.history.append(self.rates.get("requests_ended", 0.0))
        workers = {one["pid"]: one["counts"].get("requests_ended", 0) for one in status["workers"]}
        if passed > 0:
            self.worker_rates = {
                pid: max(count - self.worker_before[pid], 0) / passed
                for pid, count in workers.items()
                if pid in self.worker_before
            }
        self.worker_before = workers
        self.before, self.before_at = total, now

    def percentile(self, percent: int) -> str:
        """The time within which that part of the latest requests was answered, by the bounds of the histogram."""
        counts = [self.new.get(name, 0) for name in BUCKETS]
        wanted = sum(counts) * percent / 100
        if not wanted:
            return "-"
        seen = 0
        for bound, count in zip(BOUNDS, counts, strict=False):
            below, seen = seen, seen + count
            if seen >= wanted:
                lower = BOUNDS[BOUNDS.index(bound) - 1] if bound != BOUNDS[0] else 0.0
                return milliseconds(lower + (bound - lower) * (wanted - below) / count)
        return f"> {milliseconds(BOUNDS[-1])}"


def milliseconds(seconds: float) -> str:
    """A short time."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def sparkline(values: Sequence[float]) -> str:
    """A curve in one line of text."""
    top = max(values, default=0.0)
    return "".join(BARS[round(value / top * (len(BARS) - 1)) if top else 0] for value in values)


def view(status: dict[str, Any], numbers: Numbers) -> Any:
    """The whole picture."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    rates, total = numbers.rates, status["total"]
    state = {"serving": "green", "reloading": "yellow"}.get(status["state"], "red")
    head = Text.assemble(
        (status["application"], "bold"),
        f"   {'  '.join(status['addresses'])}\n",
        (f"● {status['state']}", state),
        f" for {duration(status['uptime'])}   {status['ready']}/{status['target']} workers"
        f"   generation {status['generation']}   restarts {status['restarts']}   {status['worker_class']}",
    )
    traffic = Table.grid(padding=(0, 3))
    traffic.add_row(
        Text.assemble((f"{rates.get('requests_ended', 0):,.0f}", "bold cyan"), " requests/s"),
        "in flight " + f"{total['requests_started'] - total['requests_ended']}",
        *(f"p{percent} {numbers.percentile(percent)}" for percent in PERCENTILES),
        f"out {rates.get('bytes_sent', 0) / 1048576:.2f} MiB/s",
    )
    traffic.add_row(Text(sparkline(numbers.history), style="cyan"))
    answers = "   ".join(f"{kind} {rates.get('responses_' + kind, 0):,.0f}/s" for kind in CLASSES)
    protocols = "   ".join(
        f"{name} {total[name + '_opened'] - total[name + '_closed']} open {rates.get(name + '_requests', 0):,.0f}/s"
        for name in PROTOCOLS
        if total[name + "_opened"]
    )
    workers = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for name in ("pid", "state", "age", "memory", "requests/s", "requests", "in flight", "loop lag"):
        workers.add_column(name, justify="left" if name in ("pid", "state") else "right")
    for one in status["workers"]:
        counts = one["counts"]
        colour = {"ready": "green", "starting": "yellow"}.get(one["state"], "red")
        workers.add_row(
            str(one["pid"]),
            Text(one["state"] + (f" ({one['retire']})" if one["retire"] else ""), style=colour),
            duration(one["age"]),
            f"{one['memory'] / 1048576:.1f} MiB",
            f"{numbers.worker_rates.get(one['pid'], 0):,.0f}",
            f"{counts.get('requests_ended', 0):,}",
            str(counts.get("requests_started", 0) - counts.get("requests_ended", 0)),
            milliseconds(counts.get("loop_lag", 0) / 1_000_000),
        )
    body = Group(head, Text(), traffic, Text(answers), Text(protocols), workers)
    return Panel(body, title="hypercorn top", subtitle="ctrl-C to leave", border_style="dim")


def top(arguments: Sequence[str]) -> int:
    """Runs the command until it is interrupted. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="hypercorn top", description="Shows a running server, live.")
    parser.add_argument("--once", action="store_true", help="show one picture, after a second, and end")
    add_socket_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        print("hypercorn top: error: this needs the package rich: pip install 'hypercorn[top]'", file=sys.stderr)
        return 1
    numbers = Numbers()
    try:
        path = find_socket(options.socket, options.pid)
        numbers.take(ask(path, {"do": "status"}), time.monotonic())
        if options.once:
            time.sleep(REFRESH_SECONDS)
            status = ask(path, {"do": "status"})
            numbers.take(status, time.monotonic())
            Console().print(view(status, numbers))
            return 0
        with Live(screen=True, auto_refresh=False) as live:
            while True:
                status = ask(path, {"do": "status"})
                numbers.take(status, time.monotonic())
                live.update(view(status, numbers), refresh=True)
                time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        return 0
    except ControlError as error:
        print(f"hypercorn top: error: {error}", file=sys.stderr)
        return 1
