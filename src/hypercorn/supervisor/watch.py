"""What the supervisor looks after beside the count of workers: signs of life, age and memory, and who wants to know."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypercorn.supervisor.channel import Message
from hypercorn.supervisor.child import NEVER, Child, resident_memory
from hypercorn.supervisor.inherit import Upgrade
from hypercorn.supervisor.notify import Notifier

if TYPE_CHECKING:
    from hypercorn.supervisor.arbiter import Arbiter

MEMORY_PERIOD = 2.0  # seconds between two looks at memory
DUMP = 1.0  # seconds to show where it stands, for a worker that is about to be killed


class Watch:
    """Looks at the workers from time to time, where an option asks for it."""

    waits_for_changes = False

    def __init__(self, arbiter: Arbiter) -> None:
        self.arbiter = arbiter
        self.next = NEVER
        self.notifier = Notifier()
        self.on_serving: list[Callable[[], None]] = []
        self.upgrading: Upgrade | None = None
        self.plan(0.0)

    def plan(self, now: float) -> None:
        """When to look next."""
        config = self.arbiter.config
        periods = []
        if config.worker_timeout:
            periods.append(config.worker_timeout / 4)
        if config.max_worker_age:
            periods.append(min(config.max_worker_age / 4, 5.0))
        if config.max_worker_memory:
            periods.append(MEMORY_PERIOD)
        self.next = now + min(periods) if periods else NEVER

    def look(self, now: float, late: bool) -> None:
        """Looks at every worker that serves. `late`: this process was held up itself, so silence proves nothing."""
        self.tell(now)
        if now < self.next:
            return
        config = self.arbiter.config
        self.plan(now)
        for child in self.arbiter.children.values():
            if not child.ready:
                continue
            if late and child.heard != NEVER:
                child.heard = now
            if config.worker_timeout and now - child.heard > config.worker_timeout and not child.stuck:
                self.kill_stuck(child, now)
            if config.max_worker_age and now - child.ready_at > config.max_worker_age * (1 + spread(child)):
                child.retire = child.retire or "max_worker_age"
            if config.max_worker_memory and resident_memory(child.pid) > config.max_worker_memory:
                child.retire = child.retire or "max_worker_memory"

    def kill_stuck(self, child: Child, now: float) -> None:
        """The worker's loop stands still: it shows where, then it ends."""
        child.stuck = True
        child.kill_at = now + DUMP
        self.arbiter.log.log_error("Worker %d gave no sign of life for %.1f s", child.pid, now - child.heard)
        self.arbiter.crew.kill(child, signal.SIGABRT)

    # -- who wants to know

    def serving(self) -> None:
        """The first worker serves."""
        self.notifier.ready()
        for function in self.on_serving:
            function()

    def reloading(self) -> None:
        """New workers are about to take the place of the old."""
        self.notifier.reloading()

    def reloaded(self) -> None:
        """... and have."""
        self.notifier.ready()

    def stopping(self) -> None:
        """The server goes down."""
        self.notifier.stopping()

    def tell(self, now: float) -> None:
        """Says how many workers there are, and that this process is alive."""
        children = self.arbiter.children.values()
        ready = sum(child.ready for child in children)
        if not self.arbiter.stopping and self.arbiter.ever_ready:
            self.notifier.tell(f"{ready} of {self.arbiter.target} workers ready")
        if ready or not self.arbiter.ever_ready or self.arbiter.stopping:
            self.notifier.beat(now)  # a server without workers may as well be restarted
        elif now >= self.notifier.beat_at:
            self.notifier.beat_at = now + self.notifier.period

    def answered(self, child: Child, message: Message) -> None:
        """A worker answers a question."""

    def ended(self, child: Child) -> None:
        """A worker is gone."""

    # -- another program

    def upgrade(self) -> None:
        """Starts the command anew, with the sockets, to take over."""
        arbiter = self.arbiter
        if self.upgrading is not None or arbiter.stopping:
            return
        if os.getpid() == 1:
            arbiter.log.log_error("Process 1 cannot be replaced: its end is the container's")
            return
        try:
            self.upgrading = Upgrade(arbiter.crew.sockets, self.notifier.variables)
        except OSError as error:
            arbiter.log.log_error("The new program cannot be started: %s", error)
            return
        arbiter.log.log_info("Started %d to take over", self.upgrading.process.pid)
        arbiter.selector.register(self.upgrading, selectors.EVENT_READ, self.upgraded)

    def upgraded(self) -> None:
        """The new program serves, or has failed."""
        arbiter = self.arbiter
        upgrading = self.upgrading
        if upgrading is None:
            return
        self.upgrading = None
        arbiter.selector.unregister(upgrading)
        if not upgrading.succeeded():
            arbiter.log.log_error("The new program failed; this one goes on")
            return
        pid = upgrading.process.pid
        arbiter.log.log_info("%d has taken over", pid)
        self.notifier.send(f"MAINPID={pid}")
        upgrading.process.returncode = 0  # it outlives this one, and that is as it should be
        arbiter.crew.sockets.unix_paths.clear()
        arbiter.handed_over = True
        arbiter.stop()

    def forget(self) -> None:
        """In a forked worker: all this is not its own."""
        self.notifier.close()
        if self.upgrading is not None:
            os.close(self.upgrading.bell)


def spread(child: Child) -> float:
    """A part of up to a tenth, different for each worker, so that they do not all grow old at once."""
    return (child.pid * 2654435761 % 1000) / 10000
