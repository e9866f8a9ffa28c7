"""The load: wrk, its script for a case, and what it reports.

wrk prints units for people. A script can print the numbers themselves, and so the script of every case ends with
one line of JSON.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from bench.cases import BROWSER, Case
from bench.processes import ServerError

REPORT = re.compile(r"^REPORT (\{.*\})$", re.MULTILINE)
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  local line = 'REPORT {"requests":%d,"microseconds":%d,"bytes":%d,"p50":%.1f,"p99":%.1f,'
    .. '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\\n'
  io.write(string.format(line, summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), e.connect, e.read, e.write, e.status, e.timeout))
end
"""
VARIED = """
math.randomseed(os.time())
local function id()
  return string.format("%08x%08x%08x%08x", math.random(0, 0x7fffffff), math.random(0, 0x7fffffff),
    math.random(0, 0x7fffffff), math.random(0, 0x7fffffff))
end
request = function()
  local trace = id()
  return wrk.format("GET", "/items/" .. id(), {
    ["Cookie"] = "session=" .. id() .. "; csrftoken=" .. id(),
    ["Traceparent"] = "00-" .. trace .. "-" .. string.sub(trace, 1, 16) .. "-01",
    ["X-Request-Id"] = trace,
    ["Accept"] = "*/*",
  })
end
"""
INSTALL = "wrk is not installed; it makes the load (Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk)"
ERRORS = ("connect", "read", "write", "status", "timeout")


class Load(NamedTuple):
    """What one run of wrk saw."""

    requests: int
    per_second: float
    p50: float  # microseconds
    p99: float
    errors: str  # "" without any


def find_wrk() -> str:
    """Its path. Raises ServerError where it is missing."""
    found = shutil.which("wrk")
    if found is None:
        raise ServerError(INSTALL)
    return found


def script(case: Case) -> str:
    """The Lua script of a case."""
    lines = []
    if case.browser:
        lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in BROWSER.items()]
    if case.post:
        lines += ['wrk.method = "POST"', f'wrk.body = string.rep("a", {case.post})']
    if case.closing:
        lines += ['wrk.headers["Connection"] = "close"']
    if case.varied:
        lines += [VARIED]
    if case.pipelined > 1:
        lines += [
            "init = function(args)",
            "  local all = {}",
            f"  for i = 1, {case.pipelined} do all[i] = wrk.format() end",
            "  together = table.concat(all)",
            "end",
            "request = function() return together end",
        ]
    return "\n".join(lines) + DONE


def parse(output: str) -> Load:
    """Reads wrk's output. Raises ServerError where it has no report, or not one response."""
    found = REPORT.search(output)
    if found is None:
        last = output.strip().rpartition("\n")[2]
        raise ServerError(f"wrk reported nothing{': ' + last if last else ''}")
    report = json.loads(found[1])
    errors = ", ".join(f"{report[kind]} {kind} errors" for kind in ERRORS if report[kind])
    requests = report["requests"]
    if not requests or report["status"] == requests:
        raise ServerError(f"not one good response ({errors or 'no error either'})")
    return Load(requests, requests / report["microseconds"] * 1e6, report["p50"], report["p99"], errors)


def run(case: Case, port: int, seconds: int) -> Load:
    """Loads a server for whole seconds. Raises ServerError."""
    url = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}{case.path}"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script(case))
        file.flush()
        command = [find_wrk(), "-t1", f"-c{case.connections}", f"-d{seconds}s", "-s", file.name, url]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            raise ServerError("wrk did not come to an end") from None
    return parse(done.stdout + done.stderr)
