"""From the command to the first answer, above what importing the application takes.

python -m bench.startup                                     asyncio and workers = 1, ten starts
python -m bench.startup --runs 20 -- -w 0 -k uvloop         other arguments of the command
python -m bench.startup --peers DIR [--server NAME ...]     beside other servers, from the command to the first answer

Wall time ends with the first answer; CPU time is that of all the server's processes at that moment. What is subtracted
is an interpreter that does nothing but import the application: its own start is in both. The byte code is there
already, as it is after an installation by pip.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.cases import PLAIN_APP
from bench.catalogue import Server, add_choice, asgi_servers
from bench.processes import PATIENCE, ROOT, ServerError, ServerProcess, end_on_termination, free_port

ASK_AGAIN_SECONDS = 0.001
ANSWER_SECONDS = 5.0  # for one attempt
RUNNING = re.compile(rb"Running on http://127\.0\.0\.1:(\d+)")
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def cpu_of(pid: int) -> float:
    """Seconds of CPU time that a process and its children, which run, have used; resolution 1 ns."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
        children = (task / "children").read_text().split()
        total += sum(int(cpu_of(int(child)) * 1e9) for child in children)
    return total / 1e9


def children_cpu() -> float:
    """Seconds of CPU time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start_server(arguments: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds from the command to the first answer."""
    command = [sys.executable, "-m", "hypercorn", "-b", "127.0.0.1:0", "--control", "none", *arguments]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "examples.hello:app"], cwd=ROOT, stderr=subprocess.PIPE, env=environ)
    assert process.stderr is not None
    try:
        said = b""
        while (found := RUNNING.search(said)) is None:
            piece = os.read(process.stderr.fileno(), 4096)
            if not piece:
                raise RuntimeError(said.decode())
            said += piece
        with socket.create_connection(("127.0.0.1", int(found[1]))) as client:
            client.sendall(REQUEST)
            if not client.recv(1000).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError("the answer is wrong")
        return time.perf_counter() - began, cpu_of(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.stderr.close()
        process.wait()


def interpreter(code: str, environ: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of an interpreter that runs that and ends."""
    before, began = children_cpu(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=environ)
    return time.perf_counter() - began, children_cpu() - before


def measure(arguments: list[str], runs: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds of every run: of the server, of the import, and of an interpreter that does nothing."""
    figures: dict[str, list[tuple[float, float]]] = {"server": [], "import": [], "nothing": []}
    with tempfile.TemporaryDirectory() as cache:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = cache
        start_server(arguments, environ)  # which leaves the byte code
        interpreter("import examples.hello", environ)
        for _ in range(runs):
            figures["server"].append(start_server(arguments, environ))
            figures["import"].append(interpreter("import examples.hello", environ))
            figures["nothing"].append(interpreter("pass", environ))
    return figures


class AskedProcess(ServerProcess):
    """A server that has started when it has answered a request."""

    def wait_until_listening(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self.has_ended():
            try:
                with socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS) as client:
                    client.sendall(REQUEST)
                    if client.recv(1000)[8:13] == b" 200 ":
                        return
            except OSError:
                pass
            time.sleep(ASK_AGAIN_SECONDS)
        raise ServerError(f"has not answered{self.last_words()}")


def first_answer(server: Server) -> tuple[float, float]:
    """Wall and CPU seconds from the command to the first answer. Raises ServerError."""
    began = time.perf_counter()
    with server.start(PLAIN_APP, free_port(), process=AskedProcess) as process:
        return time.perf_counter() - began, cpu_of(process.pid)


def compare(servers: list[Server], runs: int) -> int:
    """Starts the servers in turn, and prints the medians in milliseconds. Returns the exit code.

    All find their byte code in one folder, as it is after an installation by pip."""
    figures: dict[str, list[tuple[float, float]]] = {server.label: [] for server in servers}
    status = 0
    with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, {"PYTHONPYCACHEPREFIX": cache}):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for run in range(runs + 1):  # the first one leaves the byte code
            for server in servers:
                try:
                    figure = first_answer(server)
                except ServerError as error:
                    print(f"{server.label}: {error}", file=sys.stderr)
                    status = 1
                    continue
                if run:
                    figures[server.label].append(figure)
    print(f"{'ms to the first answer':28}{'wall':>8}{'CPU':>8}")
    for label, taken in figures.items():
        if taken:
            wall, cpu = (statistics.median(one[place] for one in taken) * 1000 for place in (0, 1))
            print(f"{label:28}{wall:8.0f}{cpu:8.0f}")
    return status


def main() -> int:
    """Measures, and says the medians in milliseconds. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup")
    parser.add_argument("--runs", type=int, default=10)
    add_choice(parser)
    parser.add_argument("arguments", nargs="*", help="of the command, after --")
    options = parser.parse_args()
    if options.peers is not None or options.server:
        end_on_termination()
        try:
            return compare(asgi_servers(options), options.runs)
        except ServerError as error:
            print(f"bench.startup: {error}", file=sys.stderr)
            return 2
    import hypercorn

    arguments: list[Any] = options.arguments or ["-w", "1"]
    python, load = sys.version.split()[0], os.getloadavg()[0]
    print(f"{hypercorn.build()} build, Python {python}, load average {load:.1f}: {' '.join(arguments)}")
    figures = measure(arguments, options.runs)
    for place, clock in enumerate(("wall", "CPU")):
        median = {name: statistics.median(run[place] for run in runs) * 1000 for name, runs in figures.items()}
        least = {name: min(run[place] for run in runs) * 1000 for name, runs in figures.items()}
        above, best = median["server"] - median["import"], least["server"] - least["import"]
        print(
            f"{clock:4} {median['server']:4.0f} ms to the first answer, {median['import']:.0f} ms to import the "
            f"application, {median['nothing']:.0f} ms an interpreter alone: {above:.0f} ms above the import "
            f"(best runs: {best:.0f} ms)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
