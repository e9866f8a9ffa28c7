"""From the command to the first answer, above what importing the application takes.

python -m bench.startup                                     asyncio and workers = 1, ten starts
python -m bench.startup --runs 20 -- -w 0 -k uvloop         other arguments of the command

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

ROOT = Path(__file__).resolve().parents[1]
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


def main() -> None:
    """Measures, and says the medians in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("arguments", nargs="*", help="of the command, after --")
    options = parser.parse_args()
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


if __name__ == "__main__":
    main()
