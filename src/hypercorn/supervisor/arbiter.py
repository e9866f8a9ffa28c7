"""The supervisor: it keeps N workers over shared listening sockets, and outlives whatever happens to them.

One thread, one loop: signals, messages of workers, ends of workers and times come to it one after the other, and after
each `balance` looks at what there is and what should be. It never imports the application (but for `preload`), and
nothing a worker does can end it.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypercorn.config import Config
from hypercorn.config.options import grace_of, number_of
from hypercorn.config.sources import collected_warnings
from hypercorn.logs.logger import log_failure
from hypercorn.net.sockets import Sockets
from hypercorn.supervisor.backoff import BackOff
from hypercorn.supervisor.channel import Message
from hypercorn.supervisor.descriptors import fill_standard_descriptors
from hypercorn.supervisor.exit_codes import EXIT_CRASH, EXIT_OK, EXIT_STARTUP, complaint, explain, say
from hypercorn.supervisor.inherit import Handover, from_systemd
from hypercorn.supervisor.monitor import Watch
from hypercorn.supervisor.pool import Crew
from hypercorn.supervisor.process import LEAVING, NEVER, READY, STARTING, Child, ending
from hypercorn.supervisor.signals import Signals

MOST_WORKERS = 256  # that SIGTTIN or `scale` can bring it to
AFTER_DRAIN = 0.7  # seconds that a worker gets beyond `graceful_timeout` before it is killed
RELOAD_GRACE = 0.5  # seconds of `graceful_timeout` at the most, with the reloader
HANDSHAKES = 0.25  # seconds in which those that have begun on a socket complete, once it is given up
LATE = 5.0  # seconds after its time at which something is done because this process itself was held up
FORCED = 0.6  # seconds that it gets after a second signal
AT_EXIT = 3.0  # seconds that an interpreter gets to end, once its threads have
STOPS = ("SIGTERM", "SIGINT", "SIGQUIT")  # signals that go to all processes of a group or a service


class Arbiter:
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
        self.shorten(config)
        self.load = load
        self.log = config.log
        self.target = max(config.workers, 1)
        self.generation = 1
        self.previous: Config | None = None  # to go back to where the next generation fails
        self.quiet = quiet
        self.crew = Crew(config, 2 * MOST_WORKERS, plain)
        self.signals = Signals(last=owns_process)
        self.selector = selectors.DefaultSelector()
        self.backoff = BackOff()
        self.watch = Watch(self)
        self.handed_over = False  # another program has the sockets
        self.calls: list[Callable[[], Any]] = []
        self.addresses: list[str] = []
        self.ever_ready = False
        self.reload_wanted = False
        self.reload_why = ""
        self.stopping = False
        self.why = ""  # what asked it to stop
        self.hurried = False
        self.close_at = NEVER  # when the listening sockets are closed
        self.code = EXIT_OK
        self.first_failure: Message | None = None
        self.finished = False

    def shorten(self, config: Config) -> None:
        """While somebody develops, open streams do not hold up a reload."""
        if config.use_reloader:
            config.graceful_timeout = min(grace_of(config), RELOAD_GRACE)

    @property
    def children(self) -> dict[int, Child]:
        """The workers by process id."""
        return self.crew.children

    # -- the loop

    def run(self, sockets: Sockets | None = None) -> int:
        """Serves until it is told to stop. Returns the exit code of the process."""
        try:
            self.crew.check(self.config)
            self.crew.places.open(self.config, sockets)
            if self.config.preload:
                self.crew.preload()
        except Exception as error:
            self.signals.close()
            text, code = explain(error, self.config)
            self.fail(text)
            self.crew.close()
            return code
        with self.signals:
            self.watch.open()
            self.selector.register(self.signals.waker, selectors.EVENT_READ, self.signals.clear)
            try:
                self.balance(time.monotonic())
                while not self.finished:
                    self.turn()
            finally:
                self.crew.kill_all()
                self.watch.close()
                self.selector.close()
                self.crew.close()
        if self.why:
            self.log.log_info("Stopped")
        return self.code

    def turn(self) -> None:
        """Waits for something to happen, and deals with it."""
        now = time.monotonic()
        planned = self.next_time(now)
        wait = None if planned == NEVER else max(0.0, planned - now)
        for key, _ in self.selector.select(wait):
            key.data()
        now = time.monotonic()
        for child, code in self.crew.reap(self.signals.in_charge):
            # What has ended did so before the signals that follow, but for a signal that was sent to all processes.
            self.hear(child)
            if any(name in self.signals.noted and code == -getattr(signal, name) for name in STOPS):
                child.expected = True
                child.state = LEAVING
            self.ended(child, code, now)
        while self.signals.noted:
            name = self.signals.noted.popleft()
            getattr(self, "handle_" + name[3:].lower())()
        while self.calls:
            self.calls.pop(0)()
        self.watch.look(now, late=now - planned > min(LATE, (self.config.worker_timeout or LATE) / 2))
        self.pass_times(now)
        self.balance(now)

    def next_time(self, now: float) -> float:
        """When something is due."""
        times = [child.kill_at for child in self.children.values()]
        times += [self.close_at, self.watch.next_time()]
        if not self.stopping and self.backoff.until > now:
            times.append(self.backoff.until)
        if any(not child.open for child in self.children.values()):
            times.append(now + 0.02)  # it is about to end
        return min(times)

    def call(self, function: Callable[[], Any]) -> None:
        """Runs a function in the arbiter's loop; from any thread."""
        self.calls.append(function)
        self.signals.wake()

    # -- what there should be

    def balance(self, now: float) -> None:
        """Starts and retires workers, one step towards what should be."""
        if self.stopping:
            self.finished = not self.children
            return
        if self.watch.loading_waits(now):
            return
        self.begin_reload()
        active = [child for child in self.children.values() if child.active]
        stale = [child for child in active if child.retire or child.generation != self.generation]
        ready = [child for child in active if child.ready]
        surplus = len(ready) - self.target
        missing = self.target - len(active)
        if self.crew.places.together and stale:
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
            taken = {child.place for child in ready if child not in stale}
            order = sorted(ready, key=lambda one: (one not in stale, one.place not in taken, -one.place))
            if set(stale) <= set(order[:surplus]):
                self.crew.places.settle()
            for child in order[:surplus]:
                child.surplus = child not in stale
                self.retire(child, now)
        elif not stale and self.previous is not None and len(ready) == self.target == len(active):
            self.previous = None
            self.crew.places.settle()
            self.log.log_info("All workers are new")
            self.watch.reloaded()

    def start_worker(self, now: float) -> bool:
        """Starts one. False where that is impossible for now."""
        try:
            child = self.crew.start(self.config, self.generation, now, self.in_worker)
        except OSError as error:  # no process or no memory to be had
            wait = max(1.0, self.backoff.crashed(now, self.target))
            self.backoff.until = now + wait
            self.log.log_error("Cannot start a worker, trying again in %.1f seconds: %s", wait, error)
            return False
        self.selector.register(child.channel, selectors.EVENT_READ, lambda: self.hear(child))
        self.log.log_debug("Started worker %d", child.pid)
        return True

    def in_worker(self) -> None:
        """In a forked worker: lets go of what is the arbiter's."""
        self.selector.close()
        self.signals.close()
        self.watch.forget()

    def retire(self, child: Child, now: float) -> None:
        """Lets a worker drain and end; others go on."""
        reason = child.retire or ("fewer are wanted" if child.surplus else "a new one has taken its place")
        self.log.log_info("Stopping worker %d: %s", child.pid, reason)
        # What waits on a socket that is given up, and what is about to connect, is served by those who leave.
        last = self.crew.places.dropping and child.generation != self.generation
        delay = HANDSHAKES if last else 0.0
        self.leave(child, now, {"stop": True, "last": last, "delay": delay}, delay)

    def leave(self, child: Child, now: float, order: Message, delay: float) -> None:
        """Tells a worker to stop, and notes when it has to be gone."""
        child.expected = True
        child.kill_at = now + delay + grace_of(self.config) + AFTER_DRAIN
        if child.state == STARTING and not self.crew.preloaded:
            self.crew.terminate(child)  # ends it inside of an import, and as a stop where it runs already
        child.state = LEAVING
        child.channel.send(order)

    # -- what workers say, and how they end

    def hear(self, child: Child) -> None:
        """Takes a worker's messages."""
        while child.open:
            messages = child.channel.receive()
            if messages is None:
                child.open = False
                self.selector.unregister(child.channel)
                return
            if not messages:
                return
            for message in messages:
                getattr(self, "on_" + next(iter(message)))(child, message)

    def on_ready(self, child: Child, message: Message) -> None:
        """It serves."""
        now = time.monotonic()
        if child.state != STARTING:
            return
        child.state = READY
        child.ready_at = now
        if self.config.worker_timeout:
            child.heard = now
        if not self.ever_ready:
            self.ever_ready = True
            if self.first_failure is not None:  # some of the first workers failed, so it is not the code
                self.fail(self.first_failure["text"])
                self.backoff.until = 0.0
                self.backoff.crashed(now, 0)
        if child.generation == self.generation:
            before, self.addresses = self.addresses, message["ready"]
            if not before:
                self.watch.serving()
            for address in self.addresses:
                if address not in before:
                    self.log.log_info("Running on %s (CTRL + C to quit)", address)
        self.log.log_info("Worker %d is ready", child.pid)

    def on_alive(self, child: Child, _: Message) -> None:
        """A sign of life."""
        child.heard = time.monotonic()

    def on_recycle(self, child: Child, message: Message) -> None:
        """It has served enough."""
        child.retire = child.retire or message["recycle"]

    def on_stopping(self, child: Child, message: Message) -> None:
        """It drains: because it was told to, or because somebody sent it a signal."""
        if child.active:
            self.log.log_info("Worker %d stops: %s", child.pid, message["stopping"])
            child.state = LEAVING
            child.expected = True
            child.heard = NEVER
            child.kill_at = time.monotonic() + grace_of(self.config) + AFTER_DRAIN

    def on_drained(self, child: Child, _: Message) -> None:
        """Its connections have ended; the application's shutdown has a time of its own."""
        if not self.hurried:
            child.kill_at = time.monotonic() + number_of(self.config, "shutdown_timeout") + AFTER_DRAIN

    def on_over(self, child: Child, message: Message) -> None:
        """The application's shutdown has ended; threads of its own have a time that the worker itself looks after."""
        child.over = True
        if not self.hurried:
            child.kill_at = time.monotonic() + message["over"] + AT_EXIT + AFTER_DRAIN

    def on_failed(self, child: Child, message: Message) -> None:
        """It ends for a reason that it knows."""
        child.failure = message

    def on_answer(self, child: Child, message: Message) -> None:
        """It answers a question of the control socket."""
        self.watch.answered(child, message)

    def ended(self, child: Child, code: int, now: float) -> None:
        """A worker's process is no more."""
        if child.open:
            self.selector.unregister(child.channel)
        self.crew.forget(child)
        self.crew.places.give_up(self.target, {one.place for one in self.children.values()})
        if child.ready_at and not child.surplus and not self.stopping:
            self.crew.board.restarts += 1
        if child.failure is not None and child.state != STARTING:
            self.fail(child.failure["text"])
        if child.state == STARTING and not self.stopping:
            self.failed_start(child, code, now)
        elif not child.expected:
            self.crashed(child, code, now)
        elif code == -signal.SIGTERM and (child.over or not child.ready_at):
            pass  # it had not begun to serve, or was done
        elif code and child.forced:
            if self.stopping and not self.hurried:
                self.code = self.code or EXIT_CRASH
            if not self.hurried:
                self.log.log_error("Worker %d did not end in time and was killed", child.pid)
        elif code and self.stopping and not self.hurried:
            self.code = self.code or (code if code > 0 else EXIT_CRASH)
            if child.failure is None:
                self.log.log_error("Worker %d %s while it stopped", child.pid, ending(code))

    def failed_start(self, child: Child, code: int, now: float) -> None:
        """A worker ended before it served."""
        failure = child.failure or {
            "failed": EXIT_STARTUP,
            "text": f"hypercorn: error: a worker {ending(code)} before it was ready\n",
        }
        if not self.ever_ready:
            self.first_failure = self.first_failure or failure
            if self.watch.waits_for_changes:
                self.fail(failure["text"])
                self.backoff.until = NEVER
            elif not any(one.active for one in self.children.values()):
                self.fail(self.first_failure["text"])
                self.code = self.first_failure["failed"]
                self.stop()
            else:
                self.backoff.until = NEVER  # wait and see how the others fare
            return
        self.fail(failure["text"])
        if self.previous is not None and not any(
            one.generation == self.generation and one.active for one in self.children.values()
        ):
            self.go_back()
            return
        if self.watch.waits_for_changes:
            self.backoff.until = NEVER
            return
        wait = self.backoff.crashed(now, 0)
        self.log.log_error("A worker failed to start, trying again in %.1f seconds", wait)

    def go_back(self) -> None:
        """The new code or configuration does not work: the workers of before stay."""
        self.log.log_error("The reload failed; the workers of before go on")
        for child in self.children.values():
            if child.generation == self.generation - 1:
                child.generation = self.generation
        self.config = self.previous or self.config
        self.previous = None
        self.crew.places.restore()
        self.watch.reloaded()

    def crashed(self, child: Child, code: int, now: float) -> None:
        """A worker ended that nobody wanted to end."""
        how = "gave no sign of life and was killed" if child.stuck else ending(code)
        wait = self.backoff.crashed(now, self.target)
        when = f"in {wait:.1f} seconds" if wait else "now"
        if not self.stopping:
            self.log.log_error("Worker %d %s; another takes its place %s", child.pid, how, when)
            if self.backoff.alarming(self.target):
                self.log.error_logger.critical("Workers crash again and again: %d times", self.backoff.crashes)

    def fail(self, text: str) -> None:
        """Logs what went wrong, as a worker or this process would have printed it."""
        if text and not self.quiet and not log_failure(self.log, text):
            with suppress(OSError, ValueError, AttributeError):
                os.write(2, text.encode(errors="replace"))

    # -- times

    def pass_times(self, now: float) -> None:
        """Does what is due."""
        if now >= self.close_at:
            self.close_at = NEVER
            self.crew.places.close()
        for child in list(self.children.values()):
            if now >= child.kill_at:
                child.kill_at = NEVER
                child.forced = True
                self.crew.kill(child)

    # -- signals: one method for each

    def handle_term(self) -> None:
        """Graceful stop, however often it comes: many a platform sends it more than once."""
        self.stop("SIGTERM")

    def handle_int(self) -> None:
        """Graceful stop; the second one forces it."""
        if self.stopping:
            self.force()
        else:
            self.stop("SIGINT")

    def handle_quit(self) -> None:
        """Stop at once."""
        self.stop("SIGQUIT")
        self.force()

    def handle_hup(self) -> None:
        """New configuration, logs, certificates and code, without a pause."""
        self.reload("SIGHUP")

    def handle_usr1(self) -> None:
        """Log files are opened anew."""
        reopen = getattr(self.log, "reopen", None)
        if reopen is not None:
            reopen()
        for child in self.children.values():
            child.channel.send({"reopen": True})
        self.log.log_info("Log files opened anew (SIGUSR1)")

    def handle_usr2(self) -> None:
        """A new program takes over the sockets."""
        self.watch.upgrade()

    def handle_ttin(self) -> None:
        """One worker more."""
        self.scale(self.target + 1, "SIGTTIN")

    def handle_ttou(self) -> None:
        """One worker fewer."""
        self.scale(self.target - 1, "SIGTTOU")

    def handle_chld(self) -> None:
        """A child ended; `reap` finds out which."""

    # -- what can be asked of it, in its own thread

    def reload(self, why: str) -> None:
        """Rolls the workers as soon as a roll that goes on has ended."""
        self.reload_wanted = True
        self.reload_why = why
        if self.backoff.until == NEVER:
            self.backoff.until = 0.0

    def begin_reload(self) -> None:
        """Reads the configuration and makes every worker stale."""
        if not self.reload_wanted or self.previous is not None:
            return
        self.reload_wanted = False
        try:
            with collected_warnings() as said:
                config = self.config if self.load is None else self.load()
                config.validate()
            self.shorten(config)
            self.crew.check(config)
            log = config.log
            self.crew.places.renew(config)
        except (Exception, SystemExit) as error:
            self.log.log_error("The new configuration cannot be used; the one of before stays: %s", error)
            return
        self.log = log
        for message in said:
            self.log.log_warning("%s", message)
        self.log.log_info("Reloading (%s)", self.reload_why)
        self.watch.reloading()
        if config.workers != self.config.workers:
            self.target = min(max(config.workers, 1), MOST_WORKERS)
        self.previous = self.config
        self.config = config
        self.generation += 1
        self.backoff = BackOff()
        self.crew.reloaded(config, self.log)

    def scale(self, count: int, why: str) -> int:
        """Changes the number of workers. Returns what it is now."""
        before, self.target = self.target, min(max(count, 1), MOST_WORKERS)
        if self.target != before:
            self.log.log_info("Scaling from %d to %d workers (%s)", before, self.target, why)
        return self.target

    def stop(self, why: str = "") -> None:
        """Graceful stop. `why` is for the log; without it nobody asked, and the log says what went wrong."""
        if self.stopping:
            return
        self.stopping = True
        self.why = why
        if why:
            hint = "; CTRL + C again ends at once" if why == "SIGINT" else ""
            workers = "a worker" if len(self.children) == 1 else f"{len(self.children)} workers"
            self.log.log_info("Stopping %s (%s)%s", workers, why, hint)
        now = time.monotonic()
        delay = self.config.shutdown_delay if self.ever_ready and not self.handed_over else 0.0
        self.close_at = now + delay
        self.watch.stopping()
        order = {"stop": True, "last": not self.handed_over, "delay": delay}
        for child in self.children.values():
            self.leave(child, now, order, delay)
        self.pass_times(now)

    def force(self) -> None:
        """Stop at once."""
        if not self.hurried:
            self.log.log_info("Ending at once; what is open is cut")
        self.hurried = True
        now = time.monotonic()
        self.close_at = min(self.close_at, now)
        for child in self.children.values():
            child.channel.send({"hurry": True})
            child.kill_at = min(child.kill_at, now + FORCED)


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
        sockets = from_systemd(config) if handover is None else handover.sockets
    except OSError as error:
        say(complaint(f"cannot start: {error}"), config)
        return EXIT_STARTUP
    if handover is not None:
        arbiter.watch.on_serving += [claim, handover.done]
    return arbiter.run(sockets)
