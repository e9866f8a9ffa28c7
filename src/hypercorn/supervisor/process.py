"""A worker as the supervisor sees it."""

from __future__ import annotations

import signal
from typing import Any

from hypercorn.supervisor.channel import Channel, Message

NEVER = float("inf")
STARTING, READY, LEAVING = range(3)
STATE_NAMES = ("starting", "ready", "leaving")


class Child:
    """One worker process."""

    def __init__(self, number: int, generation: int, pid: int, channel: Channel, now: float) -> None:
        self.number = number  # of its slot
        self.generation = generation  # of the configuration that it was started with
        self.pid = pid
        self.channel = channel
        self.place = 0  # among the workers, from 0
        self.state = STARTING
        self.began = now
        self.ready_at = 0.0
        self.heard = NEVER  # its last sign of life; NEVER: none is expected
        self.retire = ""  # why another is to take its place
        self.surplus = False  # no other takes its place
        self.expected = False  # its end was asked for
        self.kill_at = NEVER
        self.failure: Message | None = None  # what it said before it ended
        self.process: Any = None  # its Popen, where it was spawned
        self.open = True  # its end of the channel
        self.stuck = False  # it was killed because it gave no sign of life
        self.over = False  # its application's shutdown has ended
        self.forced = False  # it was killed because it did not end

    @property
    def active(self) -> bool:
        """Serving, or about to."""
        return self.state != LEAVING

    @property
    def ready(self) -> bool:
        """Serving."""
        return self.state == READY

    def describe(self, now: float) -> dict[str, Any]:
        """What `hypercorn ctl workers` tells."""
        return {
            "pid": self.pid,
            "slot": self.number,
            "state": STATE_NAMES[self.state],
            "generation": self.generation,
            "age": round(now - self.began, 1),
            "retire": self.retire,
        }


def ending(code: int) -> str:
    """How a process ended, in words: an exit code, or a signal and what it mostly means."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hints = {
        "SIGKILL": " (perhaps the system ran out of memory)",
        "SIGSEGV": " (a crash in compiled code; a core dump or the traceback above may tell where)",
        "SIGABRT": " (compiled code gave up, or the worker was made to show where it stood)",
        "SIGBUS": " (a crash in compiled code)",
        "SIGXCPU": " (a limit of CPU time)",
    }
    return f"was ended by {name}{hints.get(name, '')}"


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
