"""The load over HTTP/2: h2load of nghttp2, with a list of targets where no request comes twice."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.cases import Case
from bench.processes import ServerError
from bench.wrk import Load

STREAMS = 32  # on each connection at once
TARGETS = 20_000  # before one comes again
REQUESTS = re.compile(r"^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$", re.MULTILINE)
FINISHED = re.compile(r"^finished in .*, ([\d.]+) req/s,", re.MULTILINE)
INSTALL = "h2load is not installed; it makes the load over HTTP/2 (Debian, Ubuntu: apt-get install nghttp2-client)"


def find_h2load() -> str:
    """Its path. Raises ServerError where it is missing."""
    found = shutil.which("h2load")
    if found is None:
        raise ServerError(INSTALL)
    return found


def parse(output: str, log: str) -> Load:
    """Reads what h2load printed and its log of requests. Raises ServerError where no request succeeded over HTTP/2."""
    if "Application protocol: h2" not in output:
        raise ServerError("speaks no HTTP/2")
    requests, finished = REQUESTS.search(output), FINISHED.search(output)
    if requests is None or finished is None or requests[1] == "0":
        raise ServerError("not one good response over HTTP/2")
    times = sorted(int(line.rpartition("\t")[2]) for line in log.splitlines())
    names = ("failed", "errored", "timeout")
    errors = ", ".join(
        f"{count} {name}" for count, name in zip(requests.groups()[1:], names, strict=True) if count != "0"
    )
    p50, p99 = (times[int(len(times) * part)] if times else 0.0 for part in (0.5, 0.99))
    return Load(int(requests[1]), float(finished[1]), p50, p99, errors)


def run(case: Case, port: int, seconds: int) -> Load:
    """Loads a server for whole seconds. Raises ServerError."""
    url = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        log, targets = Path(folder, "log"), Path(folder, "targets")
        command = [find_h2load(), "-t1", f"-c{case.connections}", f"-m{STREAMS}", f"-D{seconds}", f"--log-file={log}"]
        if case.varied:
            targets.write_text("".join(f"{url}/items/{secrets.token_hex(16)}\n" for _ in range(TARGETS)))
            command += ["-i", str(targets)]
        else:
            command += [url + case.path]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            raise ServerError("h2load did not come to an end") from None
        return parse(done.stdout, log.read_text() if log.exists() else "")
