"""The faults that a server with workers has to bear: each has a number, and a test with processes that names it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PROCESSES = {"Server", "Command", "Popen", "run"}  # what a test calls that starts one
FAULTS = {
    1: "a worker is killed, idle",
    2: "a worker is killed under load",
    3: "all workers are killed at once",
    4: "the supervisor is killed",
    5: "a crash in compiled code",
    6: "the system ran out of memory",
    7: "a worker dies during its start, always",
    8: "a worker dies soon after its start, always",
    9: "one worker of several fails to start",
    10: "a worker stands still",
    11: "a worker is stopped",
    12: "a worker spins",
    13: "the startup never completes",
    14: "no lifespan",
    15: "the shutdown hangs or raises",
    16: "the lifespan ends before its time",
    17: "SIGTERM during the start",
    18: "a second signal",
    19: "SIGTERM with everything open",
    20: "the grace period expires",
    21: "a reload",
    22: "a reload with a broken application",
    23: "a storm of reloads",
    24: "a storm of SIGTTIN and SIGTTOU",
    25: "another program takes over, or fails to",
    26: "a worker with a socket of its own leaves",
    27: "a second server on the same port",
    28: "an address that cannot be had",
    29: "the file of a unix socket: stale, in use, removed by its owner",
    30: "no descriptors left",
    31: "accept fails",
    32: "64 descriptors and 200 clients",
    33: "no processes to be had",
    34: "a full disk",
    35: "nobody reads stdout and stderr",
    36: "rotated logs",
    37: "the pid file",
    38: "the clock jumps",
    39: "everybody stood still for a while",
    40: "the application leaks memory",
    41: "all workers have served enough at the same time",
    42: "connections that are shared out unevenly",
    43: "process 1",
    44: "the application forks",
    45: "a quota of CPU time",
    46: "certificates: replaced, broken, expired",
    47: "forwarding fields of a peer that is not trusted",
    48: "connections that were abandoned",
    49: "port scans and health checks that connect and close",
    50: "a long time with faults",
}


@cache
def named() -> dict[int, set[bool]]:
    """For each fault that a test names in its first words: whether that test starts a process, for each of them."""
    found: dict[int, set[bool]] = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for number in re.findall(r"\bF-(\d\d)\b", ast.get_docstring(node) or ""):
                    found.setdefault(int(number), set()).add(starts_a_process(node))
    return found


def starts_a_process(function: ast.FunctionDef) -> bool:
    """Whether a test does so itself."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = {call.id if isinstance(call, ast.Name) else getattr(call, "attr", "") for call in calls}
    return not names.isdisjoint(PROCESSES)


@pytest.mark.parametrize("number", FAULTS, ids=lambda number: f"F-{number:02}")
def test_every_fault_has_a_test_with_processes(number: int) -> None:
    assert True in named().get(number, set()), f"no test names F-{number:02}: {FAULTS[number]}"


def test_no_test_names_a_fault_that_is_not_in_the_list() -> None:
    assert set(named()) <= set(FAULTS)
