"""A worker without a supervisor, in the process of the command (`workers = 0`): it answers to signals and systemd."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypercorn.runtime.contract import Link, WorkerBase
from hypercorn.runtime.ending import Ending
from hypercorn.supervisor.notify import NEVER, Notifier
from hypercorn.supervisor.terminal import GONE, Terminal


class SoloLink(Link):
    """The link of a worker to nobody but the system."""

    def __init__(self, ending: Ending, report: Callable[[BaseException], int]) -> None:
        """`report` logs what went wrong and gives the exit code."""
        self.ending = ending
        self.owns_process = ending.exits
        self.report = report
        self.notifier = Notifier()
        self.terminal = Terminal()
        self.worker: WorkerBase | None = None

    def attach(self, worker: WorkerBase, call: Callable[[Callable[[], object]], object]) -> None:
        self.worker = worker
        if self.owns_process:
            self.ending.take_signals(
                {
                    "SIGTERM": lambda: call(worker.on_terminate),
                    "SIGINT": lambda: call(partial(worker.on_interrupt, "SIGINT")),
                }
            )

    def signals(self) -> dict[str, Callable[[], None]]:
        return {"SIGUSR1": self.reopen_logs, "SIGHUP": self.hang_up}

    def hang_up(self) -> None:
        """Reload; or a graceful stop, where the terminal is gone that the server was started on."""
        if self.terminal.is_gone() and self.worker is not None:
            self.worker.on_interrupt(GONE)
        else:
            self.reload()

    def reload(self) -> None:
        """Without a supervisor only what can change under a running application: log files and certificates."""
        self.reopen_logs()
        if self.worker is not None:
            self.worker.reload_certificates()

    def reopen_logs(self) -> None:
        """Opens the log files anew."""
        assert self.worker is not None  # it was attached before signals came
        log = self.worker.log
        reopen = getattr(log, "reopen", None)
        if reopen is not None:
            reopen()
            log.log_info("Log files opened anew")

    def started(self, addresses: list[str], announced: list[str]) -> None:
        self.notifier.ready()
        self.notifier.send_status(f"Serving on {', '.join(addresses)}")
        self.send_watchdog()

    def send_watchdog(self) -> None:
        """Sends a message to systemd's watchdog, as often as it expects one."""
        if self.notifier.period != NEVER and self.worker is not None:
            now = self.worker.runtime.now()
            self.notifier.send("WATCHDOG=1")
            self.worker.runtime.call_at(now + self.notifier.period, self.send_watchdog)

    def stopping(self) -> None:
        self.notifier.stopping()

    def over(self, failure: BaseException | None, seconds: float) -> None:
        report = None if failure is None else partial(self.report, failure)
        assert self.worker is not None  # it was attached before it ended
        self.ending.begin(self.worker.log, seconds, report)
