"""What the system says of a process: its memory, its processor time, its open files (Linux, from /proc)."""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """The figures of a process, each None where the system does not tell."""

    memory: int | None  # bytes that it holds
    cpu: float | None  # seconds of processor time since its start
    files: int | None  # open descriptors


def describe(pid: int) -> Process:
    """The figures of a process."""
    return Process(resident_memory(pid) or None, cpu_seconds(pid), open_files(pid))


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process holds, or 0 where that cannot be told."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmRSS:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def cpu_seconds(pid: int) -> float | None:
    """Processor time of a process, in user and in system mode."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name before may hold spaces and brackets
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def open_files(pid: int) -> int | None:
    """The number of descriptors that a process has open."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
