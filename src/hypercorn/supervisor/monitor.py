"""What the supervisor looks after beside the count of workers: signs of life, age and memory, and who wants to know."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypercorn.supervisor.channel import Message
from hypercorn.supervisor.control import Control, control_path
from hypercorn.supervisor.inherit import Upgrade
from hypercorn.supervisor.notify import Notifier
from hypercorn.supervisor.process import NEVER, Child, resident_memory
from hypercorn.supervisor.reloader import Reloader

if TYPE_CHECKING:
    from hypercorn.supervisor.arbiter import Arbiter

MEMORY_PERIOD = 2.0  # seconds between two looks at memory
FIRST_LOOK = 3.0  # seconds that the reloader has to look at all files before a worker loads them
DUMP = 1.0  # seconds to show where it stands, for a worker that is about to be killed


class Watch:
    """Looks at the workers from time to time, where an option asks for it."""

    waits_for_changes = False
    reloader_until = 0.0  # when workers load the application, even if the reloader has not seen its files yet

    def __init__(self, arbiter: Arbiter) -> None:
        self.arbiter = arbiter
        self.next = NEVER
        self.notifier = Notifier()
        self.on_serving: list[Callable[[], None]] = []
        self.upgrading: Upgrade | None = None
        self.control: Control | None = None
        self.reloader: Reloader | None = None
        self.plan(0.0)

    def open(self) -> None:
        """Opens the control socket and starts the reloader, as the configuration wants."""
        arbiter = self.arbiter
        config = arbiter.config
        try:
            path = control_path(config.control)
            if path is not None:
                self.control = Control(arbiter, path)
        except OSError as error:  # a read-only system, for example; nobody asked for this one by name
            level = arbiter.log.log_debug if config.control == "auto" else arbiter.log.log_error
            level("There is no control socket: %s", error)
        if config.use_reloader:
            self.waits_for_changes = True
            self.reloader_until = time.monotonic() + FIRST_LOOK
            self.reloader = Reloader(config.reload_include, config.reload_exclude, self.changed)
            arbiter.selector.register(self.reloader, selectors.EVENT_READ, self.read_reloader)

    def close(self) -> None:
        """Ends what `open` began."""
        if self.control is not None:
            self.control.close()
        if self.reloader is not None:
            self.reloader.close()
        self.notifier.close()

    def read_reloader(self) -> None:
        """The reloader says something."""
        reloader = self.reloader
        if reloader is not None and not reloader.read():
            self.arbiter.selector.unregister(reloader)
            reloader.close()
            self.reloader = None
            if not self.arbiter.stopping:
                self.arbiter.log.log_error("The reloader has ended; changes go unnoticed")

    def loading_waits(self, now: float) -> bool:
        """True while a worker would load files that the reloader has not looked at yet."""
        return self.reloader is not None and not self.reloader.watching and now < self.reloader_until

    def changed(self, paths: list[str]) -> None:
        """Source files have changed."""
        here = os.getcwd()
        names = [os.path.relpath(path, here) for path in paths[:3]]
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        self.arbiter.log.log_info("Changed: %s%s", ", ".join(names), more)
        self.arbiter.reload("files have changed")

    def next_time(self) -> float:
        """When something of this is due."""
        control = NEVER if self.control is None else self.control.next_time()
        first = self.reloader_until if self.loading_waits(0.0) and not self.arbiter.ever_ready else NEVER
        return min(self.next, self.notifier.beat_at, control, first)

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
        if self.control is not None:
            self.control.pass_times(now)
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
        if self.control is not None:
            self.control.answered(child, message)

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
            self.upgrading = Upgrade(arbiter.crew.places.sockets, self.notifier.variables)
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
        arbiter.crew.places.sockets.unix_paths.clear()
        arbiter.handed_over = True
        arbiter.stop(f"{pid} has taken over")

    def forget(self) -> None:
        """In a forked worker: all this is not its own."""
        self.notifier.close()
        for other in (self.control, self.reloader):
            if other is not None:
                other.let_go()
        if self.upgrading is not None:
            os.close(self.upgrading.bell)


def spread(child: Child) -> float:
    """A part of up to a tenth, different for each worker, so that they do not all grow old at once."""
    return (child.pid * 2654435761 % 1000) / 10000
