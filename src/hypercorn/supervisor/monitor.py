"""The monitor: heartbeats, age and memory of the workers, the reloader, and whom the supervisor notifies."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypercorn.metrics.processes import resident_memory
from hypercorn.runtime.preemption import PreemptionHook, preemption_text
from hypercorn.supervisor.control import ControlServer, control_path
from hypercorn.supervisor.inherit import Upgrade
from hypercorn.supervisor.managed import ManagedServer
from hypercorn.supervisor.messages import Answer
from hypercorn.supervisor.notify import Notifier
from hypercorn.supervisor.process import NEVER, Killed, WorkerProcess
from hypercorn.supervisor.reloader import Reloader

if TYPE_CHECKING:
    from hypercorn.certificates.renewal import Renewal

MEMORY_CHECK_SECONDS = 2.0  # between two checks of the memory of workers
FIRST_SCAN_SECONDS = 3.0  # that the reloader has to scan all files before a worker loads them
TRACEBACK_SECONDS = 1.0  # that a worker has to print its stacks before it is killed


class Monitor:
    """Checks the workers at intervals, where an option asks for it."""

    waits_for_changes = False
    reloader_until = 0.0  # when workers load the application, even if the reloader has not seen its files yet

    def __init__(self, server: ManagedServer) -> None:
        self.server = server
        self.next_check = NEVER
        self.notifier = Notifier()
        self.serving_callbacks: list[Callable[[], None]] = []
        self.upgrading: Upgrade | None = None
        self.control: ControlServer | None = None
        self.reloader: Reloader | None = None
        self.preemption: PreemptionHook | None = None
        self.renewal: Renewal | None = None
        self.plan(0.0)

    def open(self) -> None:
        """Opens the control socket and starts the reloader, as the configuration wants."""
        server = self.server
        config = server.config
        try:
            path = control_path(config.control)
            if path is not None:
                self.control = ControlServer(server, path)
        except OSError as error:  # a read-only system, for example; nobody asked for this one by name
            level = server.log.log_debug if config.control == "auto" else server.log.log_error
            level("There is no control socket: %s", error)
        if config.reload:
            self.waits_for_changes = True
            self.reloader_until = time.monotonic() + FIRST_SCAN_SECONDS
            folders = ", ".join(config.reload_dirs or [os.getcwd()])
            server.log.log_info("Watching %s for changes (--reload)", folders)
            self.reloader = Reloader(config.reload_dirs, config.reload_include, config.reload_exclude, self.changed)
            server.selector.register(self.reloader, selectors.EVENT_READ, self.read_reloader)
        self.renew_preemption_hook()

    def close(self) -> None:
        """Ends what `open` began."""
        if self.control is not None:
            self.control.close()
        if self.reloader is not None:
            self.reloader.close()
        self.end_preemption_hook()
        self.end_renewal()
        self.notifier.close()

    # -- the preemption hook

    def start_preemption_hook(self, hook: PreemptionHook, now: float) -> None:
        """Calls the preemption hook."""
        if hook.start(now):
            self.server.selector.register(hook, selectors.EVENT_READ, self.read_preemption_hook)

    def read_preemption_hook(self) -> None:
        """Reads what the preemption hook says. A notice stops the server."""
        hook, server = self.preemption, self.server
        if hook is None or not hook.read():
            return
        server.selector.unregister(hook)
        notice = hook.result(time.monotonic())
        if notice is not None:
            server.stop(preemption_text(notice.seconds), notice.seconds)

    def renew_preemption_hook(self) -> None:
        """Calls the hook of the configuration that is in force now."""
        self.end_preemption_hook()
        self.preemption = PreemptionHook.of(self.server.config, self.server.log)

    def end_preemption_hook(self) -> None:
        """No notice is wanted any more, of this hook."""
        hook, self.preemption = self.preemption, None
        if hook is not None:
            if hook.process is not None:
                self.server.selector.unregister(hook)
            hook.close()

    # -- certificates

    def renew(self, now: float) -> None:
        """Gets and renews the certificates of `acme`, once a worker answers the authority's requests: during a reload,
        those of the configuration before."""
        server = self.server
        config = server.previous or server.config
        wanted = None if server.stopping or not server.ever_ready else config.acme_settings()
        if (None if self.renewal is None else self.renewal.settings) != wanted:
            self.end_renewal()
            if wanted is not None:
                from hypercorn.certificates.renewal import Renewal

                self.renewal = Renewal(wanted, server.log)
        if self.renewal is not None and self.renewal.check(now):
            server.selector.register(self.renewal, selectors.EVENT_READ, self.read_renewal)

    def read_renewal(self) -> None:
        """Reads what the ACME client reports."""
        renewal = self.renewal
        if renewal is not None and not renewal.read():
            self.server.selector.unregister(renewal)
            renewal.finish()

    def end_renewal(self) -> None:
        """Ends the ACME client, where there is one."""
        renewal, self.renewal = self.renewal, None
        if renewal is not None:
            if renewal.process is not None:
                self.server.selector.unregister(renewal)
            renewal.close()
            renewal.finish()

    # -- the reloader

    def read_reloader(self) -> None:
        """Reads what the reloader reports."""
        reloader = self.reloader
        if reloader is not None and not reloader.read():
            self.server.selector.unregister(reloader)
            reloader.close()
            self.reloader = None
            if not self.server.stopping:
                self.server.log.log_error("The reloader has ended; changes go unnoticed")

    def waits_for_first_scan(self, now: float) -> bool:
        """True while a worker would load files that the reloader has not looked at yet."""
        return self.reloader is not None and not self.reloader.watching and now < self.reloader_until

    def changed(self, paths: list[str]) -> None:
        """Source files have changed."""
        here = os.getcwd()
        names = [os.path.relpath(path, here) for path in paths[:3]]
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        self.server.log.log_info("Changed: %s%s", ", ".join(names), more)
        self.server.reload("files have changed")

    def next_time(self) -> float:
        """Returns the time at which something of this is due."""
        control = NEVER if self.control is None else self.control.next_time()
        first = self.reloader_until if self.waits_for_first_scan(0.0) and not self.server.ever_ready else NEVER
        hook = NEVER if self.preemption is None or not self.server.ever_ready else self.preemption.again_at
        renewal = NEVER if self.renewal is None else self.renewal.next_at
        return min(self.next_check, self.notifier.watchdog_at, control, first, hook, renewal)

    def plan(self, now: float) -> None:
        """Sets the time of the next check."""
        config = self.server.config
        periods = []
        if config.worker_timeout:
            periods.append(config.worker_timeout / 4)
        if config.max_worker_age:
            periods.append(min(config.max_worker_age / 4, 5.0))
        if config.max_worker_memory:
            periods.append(MEMORY_CHECK_SECONDS)
        self.next_check = now + min(periods) if periods else NEVER

    def check(self, now: float, late: bool) -> None:
        """Checks every worker that serves. `late`: this process was held up itself, so silence proves nothing."""
        self.report(now)
        self.renew(now)
        if self.control is not None:
            self.control.run_timers(now)
        hook = self.preemption
        if hook is not None and now >= hook.again_at and self.server.ever_ready and not self.server.stopping:
            self.start_preemption_hook(hook, now)
        if now < self.next_check:
            return
        config = self.server.config
        self.plan(now)
        for worker in self.server.workers.values():
            if not worker.ready:
                continue
            if late and worker.last_heartbeat != NEVER:
                worker.last_heartbeat = now
            if config.worker_timeout and now - worker.last_heartbeat > config.worker_timeout and worker.killed is None:
                self.kill_timed_out(worker, now)
            if config.max_worker_age and now - worker.ready_at > config.max_worker_age * (1 + age_spread(worker)):
                worker.retire_reason = worker.retire_reason or "max_worker_age"
            if config.max_worker_memory and resident_memory(worker.pid) > config.max_worker_memory:
                worker.retire_reason = worker.retire_reason or "max_worker_memory"

    def kill_timed_out(self, worker: WorkerProcess, now: float) -> None:
        """Ends a worker whose event loop stands still; before that it prints the stacks of its threads."""
        worker.killed = Killed.SILENT
        worker.kill_at = now + TRACEBACK_SECONDS
        self.server.log.log_error("Worker %d gave no sign of life for %.1f s", worker.pid, now - worker.last_heartbeat)
        self.server.pool.kill(worker, signal.SIGABRT)

    # -- notifications

    def serving(self) -> None:
        """The first worker serves."""
        self.notifier.ready()
        for function in self.serving_callbacks:
            function()

    def reloading(self) -> None:
        """New workers are about to take the place of the old."""
        self.notifier.reloading()

    def reloaded(self) -> None:
        """... and have."""
        self.notifier.ready()
        self.renew(time.monotonic())

    def stopping(self) -> None:
        """The server goes down."""
        self.notifier.stopping()
        self.end_preemption_hook()

    def report(self, now: float) -> None:
        """Says how many workers there are, and that this process is alive."""
        workers = self.server.workers.values()
        ready = sum(worker.ready for worker in workers)
        if not self.server.stopping and self.server.ever_ready:
            self.notifier.send_status(f"{ready} of {self.server.target} workers ready")
        if ready or not self.server.ever_ready or self.server.stopping:
            self.notifier.send_watchdog(now)  # a server without workers may as well be restarted
        elif now >= self.notifier.watchdog_at:
            self.notifier.watchdog_at = now + self.notifier.period

    def answered(self, worker: WorkerProcess, message: Answer) -> None:
        """A worker answers a question."""
        if self.control is not None:
            self.control.answered(worker, message)

    # -- another program

    def start_upgrade(self) -> None:
        """Starts the command anew, with the sockets, to take over."""
        server = self.server
        if self.upgrading is not None or server.stopping:
            return
        if os.getpid() == 1:
            server.log.log_error("Process 1 cannot be replaced: its end is the container's")
            return
        try:
            self.upgrading = Upgrade(server.pool.listening.sockets, self.notifier.variables)
        except OSError as error:
            server.log.log_error("The new program cannot be started: %s", error)
            return
        server.log.log_info("Started %d to take over", self.upgrading.process.pid)
        server.selector.register(self.upgrading, selectors.EVENT_READ, self.upgraded)

    def upgraded(self) -> None:
        """The new program serves, or has failed."""
        server = self.server
        upgrading = self.upgrading
        if upgrading is None:
            return
        self.upgrading = None
        server.selector.unregister(upgrading)
        if not upgrading.succeeded():
            server.log.log_error("The new program failed; this one goes on")
            return
        pid = upgrading.process.pid
        server.log.log_info("%d has taken over", pid)
        self.notifier.send(f"MAINPID={pid}")
        upgrading.process.returncode = 0  # it outlives this one, and that is as it should be
        server.pool.listening.sockets.unix_paths.clear()
        server.handed_over = True
        server.stop(f"{pid} has taken over")

    def close_in_worker(self) -> None:
        """In a forked worker: all this is not its own."""
        self.notifier.close()
        for other in (self.control, self.reloader, self.preemption, self.renewal):
            if other is not None:
                other.close_in_worker()
        if self.upgrading is not None:
            os.close(self.upgrading.ready_pipe)


def age_spread(worker: WorkerProcess) -> float:
    """A part of up to a tenth, different for each worker, so that they do not all grow old at once."""
    return (worker.pid * 2654435761 % 1000) / 10000
