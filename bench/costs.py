"""What each kB that an attacker sends costs the server: CPU time, and memory that it keeps.

Each attack has a server of its own. Memory is counted beyond what the attack's idle connections took: once while its
connections are still open, and once after they are closed.

python -m bench.abuse --costs                     all of it, some minutes
python -m bench.abuse --costs h2-ping quic-gaps   some of it

A row above the limits fails the run. Some have limits of their own: their last column says which, and why.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bench.attacks import MOST_CPU, MOST_KEPT, Attack, Floor, Row, Target
from bench.certificate import self_signed
from bench.processes import ServerProcess, free_port

USUAL = Floor("")
QUIET = 0.5  # seconds without CPU time, after which the server has done its work
PATIENCE = 60.0  # seconds for it to do so
# glibc keeps large blocks that were freed once it has seen some of their size: what the server holds is to be seen.
RETURNED = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
ASGI, WSGI = "bench.abuse_app:app", "bench.wsgi_app:app"
# The arguments of each kind of server; {cert} and {key} are files.
SERVERS: dict[str, list[str]] = {
    "plain": [ASGI],
    "tls": ["--certfile", "{cert}", "--keyfile", "{key}", ASGI],
    "quic": ["--certfile", "{cert}", "--keyfile", "{key}", "--http3", ASGI],
    "wsgi": [f"wsgi:{WSGI}"],
}
MODULES = ("http1", "http2", "websocket", "tls", "quic", "wsgi")


@dataclass(frozen=True)
class Cost:
    """What an attack cost: bytes sent, CPU seconds, and KiB of memory while it was connected and afterwards."""

    sent: int
    cpu: float
    held: int
    left: int

    @property
    def cpu_per_kb(self) -> float:
        """Milliseconds for each kB sent."""
        return 1000 * self.cpu / max(self.sent / 1000, 0.001)

    @property
    def kept_per_kb(self) -> float:
        """Bytes kept for each byte sent, at the worse of the two looks."""
        return max(self.held, self.left, 0) * 1024 / max(self.sent, 1)


def rows() -> dict[str, Row]:
    """All attacks by their names."""
    found: dict[str, Row] = {}
    for name in MODULES:
        for row in import_module(f"bench.attacks.{name}").ROWS:
            assert row.name not in found, row.name
            found[row.name] = row
    return found


@contextmanager
def serving(kind: str, loop: str) -> Iterator[ServerProcess]:
    """A server of one worker in the command's own process."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = self_signed(Path(folder))
        port = free_port()
        options = [argument.format(cert=cert, key=key) for argument in SERVERS[kind]]
        command = [sys.executable, "-m", "hypercorn", "-w", "0", "-k", loop, "-b", f"127.0.0.1:{port}", *options]
        with ServerProcess(command, port, os.environ | RETURNED) as server:
            yield server


def resident(server: ServerProcess) -> int:
    return server.memory_kib("Rss:")


def settle(server: ServerProcess) -> None:
    """Returns when the server has done what it was given."""
    end = time.monotonic() + PATIENCE
    before = server.cpu_seconds()
    while time.monotonic() < end:
        time.sleep(QUIET)
        now = server.cpu_seconds()
        if now - before < 0.02:
            return
        before = now


def warm_up(server: ServerProcess, tls: bool) -> None:
    """Some requests first, so that what a server loads and allocates once is not the attack's."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for _ in range(50):
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        with context.wrap_socket(sock) if tls else sock as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(65536)


def measure(row: Row, loop: str) -> Cost:
    """Carries out one attack. Raises ServerError if the server does not start, RuntimeError if it did not survive."""
    cost = carry_out(row, row.run, loop)
    if row.beyond is None:
        return cost
    less = carry_out(row, row.beyond, loop)
    return Cost(cost.sent, max(0.0, cost.cpu - less.cpu), cost.held - less.held, cost.left - less.left)


def carry_out(row: Row, run: Attack, loop: str) -> Cost:
    """What `run` costs a fresh server of the row's kind. Raises what `measure` does."""
    with serving(row.server, loop) as server:
        warm_up(server, "--certfile" in SERVERS[row.server])
        attack = run(Target("127.0.0.1", server.port))
        next(attack)
        settle(server)
        cpu, memory = server.cpu_seconds(), resident(server)
        sent = next(attack)
        settle(server)
        held = resident(server) - memory
        used = server.cpu_seconds() - cpu
        attack.close()
        settle(server)
        if server.has_ended():
            raise RuntimeError(f"the server ended under {row.name}")
        return Cost(sent, used, held, resident(server) - memory)


def is_fine(row: Row, cost: Cost) -> bool:
    """Whether the figures are within the limits of their row."""
    floor = row.floor or USUAL
    return cost.cpu_per_kb <= floor.cpu and cost.kept_per_kb <= floor.kept


def line(row: Row, cost: Cost) -> str:
    """The table's line of a row; a figure beyond the limit of most rows is bold."""
    cpu = f"{cost.cpu_per_kb:.3f}"
    kept = f"{cost.kept_per_kb:.2f}"
    each = f"{1000 * cost.cpu / row.requests:.3f}" if row.requests else ""
    return (
        f"| `{row.name}` | {row.title} | {cost.sent / 1000:,.0f} | {cost.cpu:.2f} | "
        f"{f'**{cpu}**' if cost.cpu_per_kb > MOST_CPU else cpu} | {cost.held / 1024:.1f} | {cost.left / 1024:.1f} | "
        f"{f'**{kept}**' if cost.kept_per_kb > MOST_KEPT else kept} | {each} | {limits(row.floor)} |"
    )


def limits(floor: Floor | None) -> str:
    """The limits of a row that has its own, and their reason."""
    return "" if floor is None else f"{floor.cpu:g} ms, {floor.kept:g} kB: {floor.reason}"


def table(names: list[str], loop: str) -> bool:
    """Prints the table of the named attacks, or of all. Returns whether every figure is within its limit."""
    known = rows()
    print("| Row | Attack | kB sent | CPU s | CPU ms/kB | MiB held | MiB left | kB kept/kB | CPU ms/request | Limits |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    fine = True
    for name in names or known:
        cost = measure(known[name], loop)
        fine = fine and is_fine(known[name], cost)
        print(line(known[name], cost), flush=True)
    return fine
