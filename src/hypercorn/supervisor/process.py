"""A worker process as the supervisor sees it."""

from __future__ import annotations

import enum
import signal
from subprocess import Popen
from typing import TypedDict

from hypercorn.supervisor.channel import Channel
from hypercorn.supervisor.messages import Failed, WorkerMessage

NEVER = float("inf")


class WorkerState(enum.Enum):
    """The states of a worker; `hypercorn ctl workers` shows the values."""

    STARTING = "starting"  # until it accepts connections
    READY = "ready"
    LEAVING = "leaving"  # it drains, or is about to


class Killed(enum.Enum):
    """Why the supervisor killed a worker."""

    SILENT = enum.auto()  # its heartbeats stopped
    TOO_SLOW = enum.auto()  # it did not end in time


# A worker, as its supervisor describes it: `age` is seconds, `retire` why another is to replace it.
WorkerRow = TypedDict(  # noqa: UP013  a key is no name of the glossary
    "WorkerRow",
    {"pid": int, "slot": int, "state": str, "generation": int, "age": float, "retire": str},
)


class WorkerProcess:
    """One worker process."""

    def __init__(self, board_slot: int, generation: int, pid: int, channel: Channel[WorkerMessage], now: float) -> None:
        self.board_slot = board_slot  # where it publishes its counters
        self.generation = generation  # of the configuration that it was started with
        self.pid = pid
        self.channel = channel
        self.worker_slot = 0  # which sockets it has; a successor takes its predecessor's
        self.state = WorkerState.STARTING
        self.started_at = now
        self.ready_at = 0.0
        self.last_heartbeat = NEVER  # NEVER: none is expected
        self.retire_reason = ""  # why another is to replace it
        self.surplus = False  # no other replaces it
        self.expected = False  # its end was asked for
        self.kill_at = NEVER
        self.failure: Failed | None = None  # what it said before it ended
        self.process: Popen[bytes] | None = None  # its Popen, where it was spawned
        self.channel_open = True
        self.app_shut_down = False  # its application's shutdown has ended
        self.killed: Killed | None = None

    @property
    def active(self) -> bool:
        """Serving, or about to."""
        return self.state != WorkerState.LEAVING

    @property
    def ready(self) -> bool:
        """Serving."""
        return self.state == WorkerState.READY

    def describe(self, now: float) -> WorkerRow:
        """The worker's row in `hypercorn ctl workers`."""
        return {
            "pid": self.pid,
            "slot": self.board_slot,
            "state": self.state.value,
            "generation": self.generation,
            "age": round(now - self.started_at, 1),
            "retire": self.retire_reason,
        }


def describe_exit(code: int) -> str:
    """Describes the end of a process in words: an exit code, or a signal and what it mostly means."""
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
