"""Counts the instructions of requests with valgrind's callgrind.

One process plays all cases. Between two phases it calls `os.getloadavg()`, which nothing else here does;
callgrind writes out and resets its counts whenever the C function of that name is entered. So the interpreter
starts only once, and each phase has a count of its own. A case has three phases: warming up, N inputs, 2 N
inputs; the difference of the last two is free of what a phase costs by itself.

Time stands still meanwhile for the thread that counts, by a library that is compiled for it and loaded before the C
library: a new second costs a new Date field, and a slow machine, as valgrind's is, ends turns early, each time
elsewhere.

    python -m bench.callgrind CASE ...      the process that is watched
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MARK = "getloadavg"
INPUTS = 200  # N
WARM = 300  # inputs before anything counts: the interpreter specialises, free lists fill
STILL = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int bench_time_stands_still;
static __thread int counts;
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!counts) counts = syscall(SYS_gettid) == getpid() ? 1 : -1;
    if (!bench_time_stands_still || counts < 0) return (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec = 1800000000;
    now->tv_nsec = 0;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
TOTAL = re.compile(r"^totals: (\d+)", re.MULTILINE)
ROOT = Path(__file__).resolve().parents[1]


class CountError(Exception):
    """The counts could not be taken; the text says why."""


def stop_clock(still: bool) -> None:
    """Stops the clock, or lets it go on, where the library is loaded: not where a test plays the cases."""
    if "still.so" in os.environ.get("LD_PRELOAD", ""):
        ctypes.c_int.in_dll(ctypes.CDLL(None), "bench_time_stands_still").value = still


async def play(cases: Sequence[str]) -> None:
    """The watched process: every case in its three phases."""
    from bench.harness import EXCHANGES, Harness

    harnesses = {case: Harness(asyncio.get_running_loop()) for case in cases}
    for case, harness in harnesses.items():
        extra = case.partition("+")[2]
        if extra:
            importlib.import_module("bench.operations").set_up(harness, extra)
    gc.collect()
    gc.freeze()
    gc.disable()  # whether a collection falls into a phase is chance, and a large one doubles a request's count
    stop_clock(True)
    os.getloadavg()
    for case, harness in harnesses.items():
        exchange = EXCHANGES[case.partition("+")[0]]
        await harness.check(exchange)
        await harness.play(exchange, WARM)
        os.getloadavg()
        await harness.play(exchange, INPUTS)
        os.getloadavg()
        await harness.play(exchange, 2 * INPUTS)
        os.getloadavg()
        await harness.check(exchange)
    stop_clock(False)


def per_input(phases: Sequence[int]) -> float:
    """Instructions of one input, from the counts of a case's phases."""
    return (phases[2] - phases[1]) / INPUTS


def read_counts(folder: Path) -> list[int]:
    """What callgrind wrote, one count for each phase, in order. Raises CountError."""
    counts: list[int] = []
    for number in itertools.count(1):
        path = folder / f"out.{number}"
        if not path.exists():
            return counts
        found = TOTAL.search(path.read_text())
        if found is None:
            raise CountError(f"callgrind wrote no total into its part {number}")
        counts.append(int(found[1]))
    return counts


def still_clock(folder: str) -> str:
    """Compiles the library whose time stands still. Returns its path. Raises CountError."""
    path = f"{folder}/still.so"
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", path, "-x", "c", "-"]
    try:
        subprocess.run(command, input=STILL, text=True, check=True, capture_output=True)
    except FileNotFoundError:
        raise CountError(f"there is no C compiler ({command[0]})") from None
    except subprocess.CalledProcessError as error:
        raise CountError(f"the library that stops the clock does not compile:\n{error.stderr}") from None
    return path


def count(cases: Sequence[str], *, pure: bool) -> dict[str, float]:
    """Instructions of one input of each case. Raises CountError, also where there is no valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountError("valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)")
    # A fixed hash seed: the order of sets, and so the work, is the same every time.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "HYPERCORN_PURE_PYTHON": "1" if pure else "0"}
    with tempfile.TemporaryDirectory() as name:
        environment["LD_PRELOAD"] = still_clock(name)
        watch = ["--tool=callgrind", f"--callgrind-out-file={name}/out", f"--dump-before={MARK}"]
        command = [valgrind, *watch, sys.executable, "-m", "bench.callgrind", *cases]
        # Relative entries of the search path hold from here, so the folder stays the caller's.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            raise CountError(f"the run under valgrind failed:\n{done.stderr[-2000:]}")
        counts = read_counts(Path(name))
    if len(counts) != 1 + 3 * len(cases):
        raise CountError(f"callgrind wrote {len(counts)} parts, not {1 + 3 * len(cases)}")
    return {case: per_input(counts[1 + 3 * i : 4 + 3 * i]) for i, case in enumerate(cases)}


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1:]))
