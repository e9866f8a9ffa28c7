"""The supervisor: it keeps N workers over shared listening sockets, and outlives whatever happens to them.

One thread, one loop: signals, messages of workers, ends of workers and times come to it one after the other, and after
each `balance` looks at what there is and what should be. It never imports the application (but for `preload`), and
nothing a worker does can end it.
"""

from __future__ import annotations

import enum
import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf

from hypercorn.config import Config
from hypercorn.config.options import grace_of, number_of
from hypercorn.config.sources import collected_warnings
from hypercorn.logs import logger
from hypercorn.net.sockets import Sockets
from hypercorn.supervisor.backoff import BackOff
from hypercorn.supervisor.descriptors import fill_standard_descriptors
from hypercorn.supervisor.exit_codes import EXIT_CRASH, EXIT_OK, EXIT_STARTUP, error_line, explain, log_or_print
from hypercorn.supervisor.hooks import WorkerExitHook
from hypercorn.supervisor.inherit import Handover, from_systemd
from hypercorn.supervisor.managed import ManagedServer
from hypercorn.supervisor.messages import (
    Answer,
    Drained,
    Draining,
    Failed,
    Heartbeat,
    Malformed,
    Notice,
    Ready,
    Recycle,
    ReopenLogs,
    ShutDown,
    Stop,
    StopNow,
    Unknown,
    WorkerMessage,
    never,
)
from hypercorn.supervisor.monitor import Monitor
from hypercorn.supervisor.pool import ProcessPool
from hypercorn.supervisor.process import NEVER, Killed, WorkerProcess, WorkerState, describe_exit
from hypercorn.supervisor.signals import Signals
from hypercorn.supervisor.terminal import GONE, Terminal
from hypercorn.supervisor.title import set_title

MAX_WORKERS = 256  # that SIGTTIN or `scale` can bring it to
KILL_MARGIN_SECONDS = 0.7  # that a worker gets beyond `graceful_timeout` before it is killed
RELOAD_GRACE_SECONDS = 0.5  # of `graceful_timeout` at the most, with the reloader
HANDSHAKE_SECONDS = 0.25  # in which handshakes that have begun on a socket complete, once it is given up
LATE_SECONDS = 5.0  # after which something that is done too late shows that this process itself was held up
FORCED_STOP_SECONDS = 0.6  # that a worker gets after a second signal
INTERPRETER_EXIT_SECONDS = 3.0  # that an interpreter gets to end, once its threads have
NOTICES = 100  # texts of workers that are logged and remembered, so that none is logged twice
STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT")  # signals that go to all processes of a group or a service


class Stage(enum.IntEnum):
    """How far the server is; it only moves on."""

    SERVING = 0
    STOPPING = 1  # workers have the time that `graceful_timeout` gives them
    FORCED_STOP = 2  # they have next to none
    FINISHED = 3  # no worker is left


class Arbiter(ManagedServer):
    """Runs in one thread; `call` brings work to it from others."""

    def __init__(
        self,
        config: Config,
        *,
        load: Callable[[], Config] | None = None,
        plain: bool = False,
        quiet: bool = False,
        owns_process: bool = False,
    ) -> None:
        """`load` reads the configuration anew. `plain`: only this package's code has run in this process, so that it
        may fork. `quiet`: what goes wrong at the start is not printed. `owns_process`: the process ends with it."""
        fill_standard_descriptors()
        self.config = config
        self.shorten_grace(config)
        self.load = load
        self.log = config.log
        self.target = max(config.workers, 1)
        self.generation = 1
        self.previous: Config | None = None  # to go back to where the next generation fails
        self.quiet = quiet
        self.pool = ProcessPool(config, 2 * MAX_WORKERS, plain)
        self.terminal = Terminal()
        self.signals = Signals(final=owns_process)
        self.selector = selectors.DefaultSelector()
        self.backoff = BackOff()
        self.exit_hook = WorkerExitHook()
        self.monitor = Monitor(self)
        self.handed_over = False  # another program has the sockets
        self.pending_calls: list[Callable[[], object]] = []
        self.addresses: list[str] = []
        self.announced: list[str] = []
        self.ever_ready = False
        self.reload_reason = ""  # what asked for the reload that is to begin
        self.stage = Stage.SERVING
        self.stop_reason = ""  # what asked it to stop
        self.close_listening_at = NEVER  # when the listening sockets are closed
        self.code = EXIT_OK
        self.first_failure: Failed | None = None
        self.unknown_messages: set[str] = set()  # names that were logged
        self.notices: set[str] = set()  # texts of workers that were logged
        self.signal_actions: dict[str, Callable[[], object]] = {
            "SIGTERM": lambda: self.stop("SIGTERM"),  # however often it comes: many a platform sends it more than once
            "SIGINT": self.interrupt,
            "SIGQUIT": self.quit,
            "SIGHUP": self.hang_up,
            "SIGUSR1": self.reopen_logs,
            "SIGUSR2": self.monitor.start_upgrade,
            "SIGTTIN": lambda: self.scale(self.target + 1, "SIGTTIN"),
            "SIGTTOU": lambda: self.scale(self.target - 1, "SIGTTOU"),
            "SIGCHLD": lambda: None,  # `reap` finds out which child ended
        }

    def shorten_grace(self, config: Config) -> None:
        """While somebody develops, open streams do not hold up a reload."""
        if config.reload:
            config.graceful_timeout = min(grace_of(config), RELOAD_GRACE_SECONDS)

    @property
    def stopping(self) -> bool:
        """True once the server was told to stop, or has to."""
        return self.stage != Stage.SERVING

    @property
    def workers(self) -> dict[int, WorkerProcess]:
        """The workers by process id."""
        return self.pool.workers

    # -- the loop

    def run(self, sockets: Sockets | None = None) -> int:
        """Serves until it is told to stop. Returns the exit code of the process."""
        try:
            self.pool.check(self.config)
            self.pool.listening.open(self.config, sockets)
            if self.config.preload:
                self.pool.preload()
        except Exception as error:
            self.signals.close()
            text, code = explain(error, self.config)
            self.log_failure(text)
            self.pool.close()
            return code
        with self.signals:
            self.monitor.open()
            self.selector.register(self.signals.wake_reader, selectors.EVENT_READ, self.signals.clear)
            try:
                self.balance(time.monotonic())
                while self.stage != Stage.FINISHED:
                    self.run_once()
            finally:
                self.pool.kill_all()
                self.monitor.close()
                self.selector.close()
                self.pool.close()
        self.exit_hook.finish()
        if self.stop_reason:
            self.log.log_info("Stopped")
        return self.code

    def run_once(self) -> None:
        """Waits for something to happen, and deals with it."""
        now = time.monotonic()
        planned = self.next_time(now)
        wait = None if planned == NEVER else max(0.0, planned - now)
        for key, _ in self.selector.select(wait):
            key.data()
        now = time.monotonic()
        for worker, code in self.pool.reap(self.signals.owns_signals):
            # What has ended did so before the signals that follow, but for a signal that was sent to all processes.
            self.read_messages(worker)
            names = (*STOP_SIGNALS, "SIGHUP") if self.terminal.is_gone() else STOP_SIGNALS
            if any(name in self.signals.received and code == -getattr(signal, name) for name in names):
                worker.expected = True
                worker.state = WorkerState.LEAVING
            self.worker_ended(worker, code, now)
        while self.signals.received:
            name = self.signals.received.popleft()
            self.signal_actions[name]()
        while self.pending_calls:
            self.pending_calls.pop(0)()
        self.monitor.check(
            now, late=now - planned > min(LATE_SECONDS, (self.config.worker_timeout or LATE_SECONDS) / 2)
        )
        self.run_timers(now)
        self.balance(now)

    def next_time(self, now: float) -> float:
        """Returns the time at which something is due."""
        times = [worker.kill_at for worker in self.workers.values()]
        times += [self.close_listening_at, self.monitor.next_time()]
        if not self.stopping and self.backoff.until > now:
            times.append(self.backoff.until)
        if any(not worker.channel_open for worker in self.workers.values()):
            times.append(now + 0.02)  # it is about to end
        return min(times)

    def call(self, function: Callable[[], object]) -> None:
        """Runs a function in the arbiter's loop; from any thread."""
        self.pending_calls.append(function)
        self.signals.wake()

    # -- what there should be

    def balance(self, now: float) -> None:
        """Starts and retires workers, one step towards what should be."""
        if self.stopping:
            if not self.workers:
                self.stage = Stage.FINISHED
            return
        if self.monitor.waits_for_first_scan(now):
            return
        self.begin_reload()
        active = [worker for worker in self.workers.values() if worker.active]
        stale = [worker for worker in active if worker.retire_reason or worker.generation != self.generation]
        ready = [worker for worker in active if worker.ready]
        surplus = len(ready) - self.target
        missing = self.target - len(active)
        if self.pool.listening.replaces_together and stale:
            missing += len(stale)
            if surplus < len(stale):
                surplus = 0  # none leaves before all can
        elif missing <= 0 and stale and len(active) == self.target:
            missing = 1  # the successor of one of them
        if now >= self.backoff.until:
            for _ in range(missing):
                if not self.start_worker(now):
                    break
        if surplus > 0:
            taken = {worker.worker_slot for worker in ready if worker not in stale}
            order = sorted(ready, key=lambda one: (one not in stale, one.worker_slot not in taken, -one.worker_slot))
            if set(stale) <= set(order[:surplus]):
                self.pool.listening.commit()
            for worker in order[:surplus]:
                worker.surplus = worker not in stale
                self.retire(worker, now)
        elif not stale and self.previous is not None and len(ready) == self.target == len(active):
            self.previous = None
            self.pool.listening.commit()
            self.log.log_info("All workers are new")
            self.monitor.reloaded()

    def start_worker(self, now: float) -> bool:
        """Starts one. False where that is impossible for now."""
        try:
            worker = self.pool.start(self.config, self.generation, now, self.close_in_worker)
        except OSError as error:  # no process or no memory to be had
            wait = max(1.0, self.backoff.crashed(now, self.target))
            self.backoff.until = now + wait
            self.log.log_error("Cannot start a worker, trying again in %.1f seconds: %s", wait, error)
            return False
        self.selector.register(worker.channel, selectors.EVENT_READ, lambda: self.read_messages(worker))
        self.log.log_debug("Started worker %d", worker.pid)
        return True

    def close_in_worker(self) -> None:
        """In a forked worker: lets go of what is the arbiter's."""
        self.selector.close()
        self.signals.close()
        self.monitor.close_in_worker()

    def retire(self, worker: WorkerProcess, now: float) -> None:
        """Lets a worker drain and end; others go on."""
        reason = worker.retire_reason or ("fewer are wanted" if worker.surplus else "a new one has taken its place")
        self.log.log_info("Stopping worker %d: %s", worker.pid, reason)
        # What waits on a socket that is given up, and what is about to connect, is served by those who leave.
        last = self.pool.listening.gives_up_sockets and worker.generation != self.generation
        delay = HANDSHAKE_SECONDS if last else 0.0
        self.send_stop(worker, now, Stop(last, delay))

    def send_stop(self, worker: WorkerProcess, now: float, order: Stop) -> None:
        """Orders a worker to stop, and notes when it has to be gone."""
        worker.expected = True
        worker.kill_at = now + order.delay + min(grace_of(self.config), order.grace) + KILL_MARGIN_SECONDS
        if worker.state == WorkerState.STARTING and not self.pool.preloaded:
            self.pool.terminate(worker)  # ends it inside of an import, and as a stop where it runs already
        worker.state = WorkerState.LEAVING
        worker.channel.send(order)

    # -- what workers send, and how they end

    def read_messages(self, worker: WorkerProcess) -> None:
        """Takes a worker's messages."""
        while worker.channel_open:
            messages = worker.channel.receive()
            if messages is None:
                worker.channel_open = False
                self.selector.unregister(worker.channel)
                worker.channel.close()
                return
            if not messages:
                return
            for message in messages:
                self.handle_message(worker, message)

    def log_notice(self, text: str) -> None:
        """Logs a text that workers find out each for itself, the first time that one says it."""
        if text not in self.notices and len(self.notices) < NOTICES:
            self.notices.add(text)
            self.log.log_info("%s", text)

    def handle_message(self, worker: WorkerProcess, message: WorkerMessage) -> None:
        """Handles one message."""
        match message:
            case Ready():
                self.worker_ready(worker, message)
            case Notice():
                self.log_notice(message.text)
            case Heartbeat():
                worker.last_heartbeat = time.monotonic()
            case Recycle():
                worker.retire_reason = worker.retire_reason or message.reason
            case Draining():
                self.worker_draining(worker, message.reason)
            case Drained():  # the application's shutdown has a time of its own
                self.extend_time(worker, number_of(self.config, "shutdown_timeout"))
            case ShutDown():  # threads of the application have a time that the worker itself keeps to
                worker.app_shut_down = True
                self.extend_time(worker, message.thread_seconds + INTERPRETER_EXIT_SECONDS)
            case Failed():
                worker.failure = message
            case Answer():
                self.monitor.answered(worker, message)
            case Unknown():
                if message.name not in self.unknown_messages:
                    self.unknown_messages.add(message.name)
                    self.log.log_warning("Worker %d sent an unknown message: %s", worker.pid, message.name)
            case Malformed():
                self.log.log_error("Worker %d sent a malformed message: %s", worker.pid, message.reason)
                worker.retire_reason = worker.retire_reason or "it sent a malformed message"
            case _:
                never(message)

    def worker_ready(self, worker: WorkerProcess, message: Ready) -> None:
        """A worker serves."""
        now = time.monotonic()
        if worker.state != WorkerState.STARTING:
            return
        worker.state = WorkerState.READY
        worker.ready_at = now
        if self.config.worker_timeout:
            worker.last_heartbeat = now
        if not self.ever_ready:
            self.ever_ready = True
            if self.first_failure is not None:  # some of the first workers failed, so it is not the code
                self.log_failure(self.first_failure.text)
                self.backoff.until = 0.0
                self.backoff.crashed(now, 0)
        if worker.generation == self.generation:
            before, self.announced = self.announced, message.announced
            self.addresses = message.addresses
            if not before:
                self.monitor.serving()
            for text in message.announced:
                if text not in before:
                    self.log.log_info("%s", text)
        self.log.log_info("Worker %d is ready", worker.pid)

    def worker_draining(self, worker: WorkerProcess, reason: str) -> None:
        """A worker drains: because it was told to, or because somebody sent it a signal."""
        if worker.active:
            self.log.log_info("Worker %d stops: %s", worker.pid, reason)
            worker.state = WorkerState.LEAVING
            worker.expected = True
            worker.last_heartbeat = NEVER
            worker.kill_at = time.monotonic() + grace_of(self.config) + KILL_MARGIN_SECONDS

    def extend_time(self, worker: WorkerProcess, seconds: float) -> None:
        """Gives a worker that stops so many seconds more, unless the server has to end at once."""
        if self.stage != Stage.FORCED_STOP:
            worker.kill_at = time.monotonic() + seconds + KILL_MARGIN_SECONDS

    def worker_ended(self, worker: WorkerProcess, code: int, now: float) -> None:
        """A worker's process is no more."""
        try:
            self.exit_hook.call(self.config, worker.pid, code)
        except OSError as error:
            self.log.log_error("on_worker_exit cannot be called: %s", error)
        if worker.channel_open:
            self.selector.unregister(worker.channel)
        self.pool.remove(worker)
        self.pool.listening.close_unused(self.target, {one.worker_slot for one in self.workers.values()})
        if worker.ready_at and not worker.surplus and not self.stopping:
            self.pool.board.restarts += 1
        if worker.failure is not None and worker.state != WorkerState.STARTING:
            self.log_failure(worker.failure.text)
        if worker.state == WorkerState.STARTING and not self.stopping:
            self.failed_start(worker, code, now)
        elif not worker.expected:
            self.worker_crashed(worker, code, now)
        elif code == -signal.SIGTERM and (worker.app_shut_down or not worker.ready_at):
            pass  # it had not begun to serve, or was done
        elif code and worker.killed is Killed.TOO_SLOW:
            if self.stage == Stage.STOPPING:
                self.code = self.code or EXIT_CRASH
            if self.stage != Stage.FORCED_STOP:
                self.log.log_error("Worker %d did not end in time and was killed", worker.pid)
        elif code and self.stage == Stage.STOPPING:
            self.code = self.code or (code if code > 0 else EXIT_CRASH)
            if worker.failure is None:
                self.log.log_error("Worker %d %s while it stopped", worker.pid, describe_exit(code))

    def failed_start(self, worker: WorkerProcess, code: int, now: float) -> None:
        """A worker ended before it served."""
        failure = worker.failure or Failed(
            EXIT_STARTUP, error_line(f"a worker {describe_exit(code)} before it was ready")
        )
        if not self.ever_ready:
            self.first_failure = self.first_failure or failure
            if self.monitor.waits_for_changes:
                self.first_failure = None
                self.log_failure(failure.text)
                self.wait_for_change()
            elif not any(one.active for one in self.workers.values()):
                self.log_failure(self.first_failure.text)
                self.code = self.first_failure.exit_code
                self.stop()
            else:
                self.backoff.until = NEVER  # wait and see how the others fare
            return
        self.log_failure(failure.text)
        if self.previous is not None and not any(
            one.generation == self.generation and one.active for one in self.workers.values()
        ):
            self.roll_back()
            return
        if self.monitor.waits_for_changes:
            self.wait_for_change()
            return
        wait = self.backoff.crashed(now, 0)
        self.log.log_error("A worker failed to start, trying again in %.1f seconds", wait)

    def wait_for_change(self) -> None:
        """Starts no worker before the reloader has something new to load."""
        self.backoff.until = NEVER
        self.log.log_info("Waiting for a change of the code (--reload)")

    def roll_back(self) -> None:
        """The new code or configuration does not work: the workers of before stay."""
        self.log.log_error("The reload failed; the workers of before go on")
        for worker in self.workers.values():
            if worker.generation == self.generation - 1:
                worker.generation = self.generation
        self.config = self.previous or self.config
        self.previous = None
        self.monitor.renew_preemption_hook()
        self.pool.listening.roll_back()
        self.monitor.reloaded()

    def worker_crashed(self, worker: WorkerProcess, code: int, now: float) -> None:
        """A worker ended that nobody wanted to end."""
        how = "gave no sign of life and was killed" if worker.killed is Killed.SILENT else describe_exit(code)
        wait = self.backoff.crashed(now, self.target)
        when = f"in {wait:.1f} seconds" if wait else "now"
        if not self.stopping:
            self.log.log_error("Worker %d %s; another takes its place %s", worker.pid, how, when)
            if self.backoff.alarming(self.target):
                self.log.error_logger.critical("Workers crash again and again: %d times", self.backoff.crashes)

    def log_failure(self, text: str) -> None:
        """Logs what went wrong, as a worker or this process would have printed it."""
        if text and not self.quiet and not logger.log_failure(self.log, text):
            with suppress(OSError, ValueError, AttributeError):
                os.write(2, text.encode(errors="replace"))

    # -- times

    def run_timers(self, now: float) -> None:
        """Does what is due."""
        if now >= self.close_listening_at:
            self.close_listening_at = NEVER
            self.pool.listening.close()
        for worker in list(self.workers.values()):
            if now >= worker.kill_at:
                worker.kill_at = NEVER
                worker.killed = worker.killed or Killed.TOO_SLOW
                self.pool.kill(worker)

    # -- what signals ask for

    def interrupt(self) -> None:
        """Graceful stop; the second one forces it."""
        if self.stopping:
            self.force_stop()
        else:
            self.stop("SIGINT")

    def hang_up(self) -> None:
        """Reload; or a graceful stop, where the terminal is gone that the server was started on."""
        if self.terminal.is_gone():
            self.stop(GONE)
        else:
            self.reload("SIGHUP")

    def quit(self) -> None:
        """Stop at once."""
        self.stop("SIGQUIT")
        self.force_stop()

    def reopen_logs(self) -> None:
        """Opens the log files anew, here and in every worker."""
        reopen = getattr(self.log, "reopen", None)
        if reopen is not None:
            reopen()
        for worker in self.workers.values():
            worker.channel.send(ReopenLogs())
        self.log.log_info("Log files opened anew (SIGUSR1)")

    # -- what can be asked of it, in its own thread

    def reload(self, why: str) -> None:
        """Rolls the workers as soon as a roll that goes on has ended."""
        self.reload_reason = why
        if self.backoff.until == NEVER:
            self.backoff.until = 0.0

    def begin_reload(self) -> None:
        """Reads the configuration and makes every worker stale."""
        if not self.reload_reason or self.previous is not None:
            return
        reason, self.reload_reason = self.reload_reason, ""
        try:
            with collected_warnings() as said:
                config = self.config if self.load is None else self.load()
                config.validate()
            self.shorten_grace(config)
            self.pool.check(config)
            log = config.log
            self.pool.listening.prepare(config)
        except (Exception, SystemExit) as error:
            self.log.log_error("The new configuration cannot be used; the one of before stays: %s", error)
            return
        self.log = log
        for message in said:
            self.log.log_warning("%s", message)
        self.log.log_info("Reloading (%s)", reason)
        self.monitor.reloading()
        if config.workers != self.config.workers:
            self.target = min(max(config.workers, 1), MAX_WORKERS)
        self.previous = self.config
        self.config = config
        self.generation += 1
        self.monitor.renew_preemption_hook()
        self.backoff = BackOff()
        self.pool.reloaded(config, self.log)

    def scale(self, count: int, why: str) -> int:
        """Changes the number of workers. Returns what it is now."""
        before, self.target = self.target, min(max(count, 1), MAX_WORKERS)
        if self.target != before:
            self.log.log_info("Scaling from %d to %d workers (%s)", before, self.target, why)
        return self.target

    def stop(self, why: str = "", seconds: float | None = None) -> None:
        """Graceful stop. `why` is for the log; without it nobody asked, and the log says what went wrong. It may take
        `seconds`: at most half of them go by before the workers drain."""
        if self.stopping:
            return
        self.stage = Stage.STOPPING
        self.stop_reason = why
        if why:
            hint = "; CTRL + C again ends at once" if why == "SIGINT" else ""
            count = "a worker" if len(self.workers) == 1 else f"{len(self.workers)} workers"
            self.log.log_info("Stopping %s (%s)%s", count, why, hint)
        now = time.monotonic()
        delay = self.config.shutdown_delay if self.ever_ready and not self.handed_over else 0.0
        grace = inf
        if seconds is not None:
            delay = min(delay, seconds / 2)
            grace = seconds - delay
        self.close_listening_at = now + delay
        self.monitor.stopping()
        order = Stop(not self.handed_over, delay, by_hand=why == "SIGINT", grace=grace)
        for worker in self.workers.values():
            self.send_stop(worker, now, order)
        self.run_timers(now)

    def force_stop(self) -> None:
        """Stop at once."""
        if self.stage != Stage.FORCED_STOP:
            self.log.log_info("Ending at once; what is open is cut")
        self.stage = Stage.FORCED_STOP
        now = time.monotonic()
        self.close_listening_at = min(self.close_listening_at, now)
        for worker in self.workers.values():
            worker.channel.send(StopNow())
            worker.kill_at = min(worker.kill_at, now + FORCED_STOP_SECONDS)


def supervise(
    config: Config,
    load: Callable[[], Config] | None,
    plain: bool,
    handover: Handover | None,
    claim: Callable[[], None],
    owns_process: bool = False,
) -> int:
    """Serves with workers until a signal. Returns the exit code.

    `handover` has the sockets where this program takes over from another; `claim` makes the pid file its own.
    `owns_process`: the process ends with the server.
    """
    try:
        arbiter = Arbiter(config, load=load, plain=plain, owns_process=owns_process)
        if owns_process:
            set_title(config, "supervisor")
        sockets = from_systemd(config) if handover is None else handover.sockets
    except OSError as error:
        log_or_print(error_line(f"cannot start: {error}"), config)
        return EXIT_STARTUP
    if handover is not None:
        arbiter.monitor.serving_callbacks += [claim, handover.finish]
    return arbiter.run(sockets)
