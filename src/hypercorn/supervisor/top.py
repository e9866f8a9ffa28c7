"""`hypercorn top`: a live view of a running server, in the terminal. Needs the extra `top`."""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hypercorn.metrics.counters import BOUNDS, BUCKETS, REASONS
from hypercorn.supervisor.client import ControlError, add_socket_arguments, ask, duration, find_socket

if TYPE_CHECKING:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from hypercorn.supervisor.control import Status

if sys.platform != "win32":
    import termios
    import tty

REFRESH_SECONDS = 1.0
HISTORY_LENGTH = 60  # refreshes that are shown
BARS = " ▁▂▃▄▅▆▇█"
CLASSES = ("2xx", "3xx", "4xx", "5xx")
PERCENTILES = (50, 90, 99)
COLOURS = {"2xx": "green", "4xx": "yellow", "5xx": "bold red"}
LEAVING = (b"q", b"\x04")  # the second is what Ctrl-D sends
PROTOCOL_NAMES = {"http1": "HTTP/1", "http2": "HTTP/2", "http3": "HTTP/3", "websocket": "WebSocket"}


class Rates:
    """What came in between two refreshes, of one worker or of all: counts, and rates by the second."""

    def __init__(self) -> None:
        self.before: dict[str, int] = {}
        self.new: dict[str, int] = {}
        self.seconds = 0.0  # between the two

    def take(self, counts: dict[str, int], seconds: float) -> None:
        """Takes the counts of another refresh, so many seconds after the last."""
        if self.before and seconds > 0:
            self.new = {name: max(value - self.before.get(name, 0), 0) for name, value in counts.items()}
            self.seconds = seconds
        self.before = counts

    def rate(self, *names: str) -> float:
        """By the second, the sum of these counts."""
        return sum(self.new.get(name, 0) for name in names) / self.seconds if self.seconds else 0.0

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


class Numbers(Rates):
    """The rates of the whole server and of each worker."""

    def __init__(self) -> None:
        super().__init__()
        self.before_at = 0.0
        self.workers: dict[int, Rates] = {}
        self.history: deque[float] = deque(maxlen=HISTORY_LENGTH)

    def take_status(self, status: Status, now: float) -> None:
        """Takes the status of another refresh."""
        seconds = now - self.before_at
        if self.before:
            self.take(status["total"], seconds)
            self.history.append(self.rate("requests_ended"))
        else:
            self.before = status["total"]
        workers = {}
        for one in status["workers"]:
            workers[one["pid"]] = self.workers.get(one["pid"]) or Rates()
            cpu = round((one.get("cpu") or 0.0) * 1000)
            workers[one["pid"]].take({**one["counts"], "cpu_milliseconds": cpu}, seconds)
        self.workers = workers
        self.before_at = now


def milliseconds(seconds: float) -> str:
    """A short time."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def sparkline(values: Sequence[float]) -> str:
    """A curve in one line of text."""
    top = max(values, default=0.0)
    return "".join(BARS[round(value / top * (len(BARS) - 1)) if top else 0] for value in values)


def view(status: Status, numbers: Numbers) -> Panel:
    """The whole picture."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    state = {"serving": "green", "reloading": "yellow"}.get(status["state"], "red")
    head = Text.assemble(
        (status["application"], "bold"),
        f"   {'  '.join(status['addresses'])}\n",
        (f"● {status['state']}", state),
        f" for {duration(status['uptime'])}   {status['ready']}/{status['target']} workers"
        f"   generation {status['generation']}   restarts {status['restarts']}   {status['worker_class']}",
    )
    parts = (
        head,
        Text(),
        traffic(status, numbers),
        Text(),
        protocols(status["total"], numbers),
        workers(status, numbers),
    )
    return Panel(Group(*parts), title="hypercorn top", subtitle="q to leave", border_style="dim")


def traffic(status: Status, numbers: Numbers) -> Table:
    """Requests, times, errors and memory of the whole server."""
    from rich.table import Table
    from rich.text import Text

    total = status["total"]
    grid = Table.grid(padding=(0, 3))
    grid.add_row(
        Text.assemble((f"{numbers.rate('requests_ended'):,.0f}", "bold cyan"), " requests/s"),
        f"{total['requests_started'] - total['requests_ended']} in flight",
        *(f"p{percent} {numbers.percentile(percent)}" for percent in PERCENTILES),
        f"memory {sum(one['memory'] for one in status['workers']) / 1048576:.0f} MiB",
        f"out {numbers.rate('bytes_sent') / 1048576:.2f} MiB/s",
    )
    answers = Table.grid(padding=(0, 3))
    answers.add_row(
        *(counted(kind, numbers.rate(f"responses_{kind}"), COLOURS.get(kind, "")) for kind in CLASSES),
        counted("refused", numbers.rate(*(f"refused_{reason}" for reason in REASONS)), "yellow"),
        counted("aborted", numbers.rate("requests_aborted"), "yellow"),
    )
    rows = Table.grid()
    rows.add_row(grid)
    rows.add_row(Text(sparkline(numbers.history), style="cyan"))
    rows.add_row(answers)
    return rows


def counted(name: str, rate: float, colour: str) -> Text:
    """A rate with its name, coloured where there is any."""
    from rich.text import Text

    return Text(f"{name} {rate:,.0f}/s", style=colour if rate else "dim")


def protocols(total: dict[str, int], numbers: Numbers) -> Table:
    """A table with a row for each protocol that was spoken."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for name in ("protocol", "connections", "opened/s", "requests/s", "requests"):
        table.add_column(name, justify="left" if name == "protocol" else "right")
    for key, name in PROTOCOL_NAMES.items():
        if total[f"{key}_opened"] or total[f"{key}_requests"]:
            table.add_row(
                name,
                f"{total[f'{key}_opened'] - total[f'{key}_closed']:,}",
                f"{numbers.rate(f'{key}_opened'):,.0f}",
                f"{numbers.rate(f'{key}_requests'):,.0f}",
                f"{total[f'{key}_requests']:,}",
            )
    return table


def workers(status: Status, numbers: Numbers) -> Table:
    """A table with a row for each worker."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for name in ("worker", "state", "age", "cpu", "memory", "requests/s", "p50", "p99", "5xx/s", "in flight", "lag"):
        table.add_column(name, justify="left" if name in ("worker", "state") else "right")
    for one in status["workers"]:
        counts, rates = one["counts"], numbers.workers.get(one["pid"], Rates())
        colour = {"ready": "green", "starting": "yellow"}.get(one["state"], "red")
        errors = rates.rate("responses_5xx")
        table.add_row(
            str(one["pid"]),
            Text(one["state"] + (f" ({one['retire']})" if one["retire"] else ""), style=colour),
            duration(one["age"]),
            f"{rates.rate('cpu_milliseconds') / 10:.0f} %",
            f"{one['memory'] / 1048576:.1f} MiB",
            f"{rates.rate('requests_ended'):,.0f}",
            rates.percentile(50),
            rates.percentile(99),
            Text(f"{errors:,.0f}", style="bold red" if errors else "dim"),
            str(counts.get("requests_started", 0) - counts.get("requests_ended", 0)),
            milliseconds(counts.get("loop_lag", 0) / 1_000_000),
        )
    return table


class Keys:
    """The keyboard, key by key and without echo, where there is a terminal."""

    def __enter__(self) -> Keys:
        self.saved: list[Any] | None = None
        self.there = sys.stdin is not None and sys.stdin.isatty()
        if self.there:
            self.saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.saved)

    def asked_to_leave(self, seconds: float) -> bool:
        """Waits so long, or until a key that leaves is pressed."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self.there:
                time.sleep(left)
            elif select.select([sys.stdin], [], [], left)[0]:
                data = os.read(sys.stdin.fileno(), 64)
                if not data or any(key in data.lower() for key in LEAVING):
                    return True
        return False


def top(arguments: Sequence[str]) -> int:
    """Runs the command until it is left. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="hypercorn top", description="Shows a running server and its figures, live.")
    parser.add_argument("--once", action="store_true", help="show the figures once, after a second, and end")
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
        numbers.take_status(ask(path, {"do": "status"}), time.monotonic())
        if options.once:
            time.sleep(REFRESH_SECONDS)
            status = ask(path, {"do": "status"})
            numbers.take_status(status, time.monotonic())
            Console().print(view(status, numbers))
            return 0
        with Keys() as keys, Live(screen=True, auto_refresh=False) as live:
            while True:
                status = ask(path, {"do": "status"})
                numbers.take_status(status, time.monotonic())
                live.update(view(status, numbers), refresh=True)
                if keys.asked_to_leave(REFRESH_SECONDS):
                    return 0
    except KeyboardInterrupt:
        return 0
    except ControlError as error:
        print(f"hypercorn top: error: {error}", file=sys.stderr)
        return 1
