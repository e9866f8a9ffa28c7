"""The worker's side: a process that serves, and a thread in it that reads its supervisor's messages.

A thread, so that messages are read on every kind of loop, and also while the loop stands still.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from hypercorn.config import Config
from hypercorn.config.options import grace_of, number_of
from hypercorn.net.sockets import Sockets
from hypercorn.runtime.contract import Link, WorkerBase
from hypercorn.runtime.ending import Ending
from hypercorn.supervisor.answers import Question, answer_to
from hypercorn.supervisor.channel import Channel
from hypercorn.supervisor.exit_codes import EXIT_OK, explain
from hypercorn.supervisor.messages import (
    Answer,
    Drained,
    Draining,
    EndTrace,
    Failed,
    FetchTrace,
    Heartbeat,
    ListConnections,
    ListRequests,
    ListSlowRequests,
    Malformed,
    Notice,
    Ready,
    Recycle,
    ReopenLogs,
    SetLogLevel,
    ShowStacks,
    ShutDown,
    StartTrace,
    Stop,
    StopNow,
    SupervisorMessage,
    Unknown,
    never,
)
from hypercorn.supervisor.title import set_title
from hypercorn.supervisor.worker_classes import find_worker

if TYPE_CHECKING:
    from hypercorn.net.tls import LiveContext

HEARTBEATS = 4  # in each `worker_timeout`
LONGEST_SLEEP_SECONDS = 1e8  # `sleep` takes no infinite time


class WorkerLink(Link):
    """The link of a worker to the supervisor in another process."""

    shared = True
    supervised = True
    logs_addresses = False
    owns_process = True

    def __init__(
        self, channel: Channel[SupervisorMessage], config: Config, app: object = None, tls: LiveContext | None = None
    ) -> None:
        self.channel = channel
        self.config = config
        self.app = app
        self.tls = tls
        self.worker: WorkerBase | None = None
        self.call: Callable[[Callable[[], object]], object] | None = None
        self.shared = not config.reuse_port
        self.order: Stop | None = None  # to stop, before there was a loop
        self.unknown_messages: set[str] = set()  # names that were logged
        self.lock = threading.Lock()
        self.ending = Ending(exits=True)

    def listen(self) -> None:
        """Starts the thread that reads the supervisor's messages."""
        threading.Thread(target=self.read_messages, name="hypercorn-supervisor", daemon=True).start()

    # -- from the worker, on its loop

    def attach(self, worker: WorkerBase, call: Callable[[Callable[[], object]], object]) -> None:
        with self.lock:
            self.worker = worker
            self.call = call
            order = self.order
        self.ending.take_signals({"SIGTERM": lambda: call(worker.on_terminate)})
        if order is not None:
            self.stop(order)

    def started(self, addresses: list[str], announced: list[str]) -> None:
        self.channel.send(Ready(addresses, announced))
        if self.config.worker_timeout:
            self.send_heartbeat()

    def send_heartbeat(self) -> None:
        """Sends a heartbeat, from the loop itself."""
        assert self.worker is not None  # it has started
        runtime = self.worker.runtime
        self.channel.send(Heartbeat())
        runtime.call_at(runtime.now() + (self.config.worker_timeout or 0) / HEARTBEATS, self.send_heartbeat)

    def notice(self, text: str) -> bool:
        self.channel.send(Notice(text))
        return True

    def recycle(self, reason: str) -> bool:
        self.channel.send(Recycle(reason))
        return True

    def stopping(self) -> None:
        assert self.worker is not None  # it was attached before it started
        self.channel.send(Draining(self.worker.stop_reason))

    def drained(self) -> None:
        self.channel.send(Drained())

    def over(self, failure: BaseException | None, seconds: float) -> None:
        self.channel.send(ShutDown(seconds))
        self.ending.begin(self.config.log, seconds, None if failure is None else partial(self.fail, failure))

    def fail(self, error: BaseException) -> int:
        """Tells the supervisor what went wrong. Returns the exit code."""
        text, code = explain(error, self.config)
        self.channel.send(Failed(code, text))
        return code

    # -- from the supervisor, in the thread

    def read_messages(self) -> None:
        """Follows the supervisor's messages until it is gone; then ends the worker."""
        for message in self.channel.messages():
            try:
                self.handle_message(message)
            except Exception as error:  # whatever it is, the next message is read too
                with suppress(Exception):
                    self.config.log.log_error("A message of the supervisor failed (%r): %r", message, error)
        self.begin_stop(Stop(last_owner=True, delay=0.0))
        time.sleep(min(grace_of(self.config) + number_of(self.config, "shutdown_timeout") + 2, LONGEST_SLEEP_SECONDS))
        os._exit(1)

    def handle_message(self, message: SupervisorMessage) -> None:
        """Handles one message."""
        match message:
            case Stop():
                self.begin_stop(message)
            case StopNow():
                if self.worker is not None:
                    self.on_loop(self.worker.stop_at_once)
            case ReopenLogs():
                reopen = getattr(self.config.log, "reopen", None)
                if reopen is not None:
                    reopen()
            case SetLogLevel():
                self.config.log.error_logger.setLevel(message.level)
            case ListConnections() | ListRequests() | ListSlowRequests() | StartTrace() | FetchTrace() | EndTrace():
                self.on_loop(partial(self.answer, message))
            case ShowStacks():  # from this thread, as the loop perhaps stands still
                self.channel.send(Answer(message.number, self.stacks()))
            case Unknown():
                if message.name not in self.unknown_messages:
                    self.unknown_messages.add(message.name)
                    self.config.log.log_warning("The supervisor sent an unknown message: %s", message.name)
            case Malformed():  # the last: the worker ends as if the supervisor were gone
                self.config.log.log_error("The supervisor sent a malformed message: %s", message.reason)
            case _:
                never(message)

    def begin_stop(self, order: Stop) -> None:
        """Drains and ends."""
        with self.lock:
            call = self.call
            if call is None:
                self.order = order
        if call is not None:
            self.on_loop(lambda: self.stop(order))
        elif self.app is None:
            os.kill(os.getpid(), signal.SIGTERM)  # inside of an import

    def on_loop(self, function: Callable[[], object]) -> None:
        """Runs a function on the loop, if that still runs."""
        if self.call is not None:
            with suppress(Exception):
                self.call(function)

    def stop(self, order: Stop) -> None:
        """On the loop: the worker's end."""
        worker = self.worker
        if worker is not None:
            worker.last_owner = order.last_owner or not self.shared
            worker.shutdown_delay = order.delay
            worker.grace = min(worker.grace, order.grace)
            if order.by_hand:
                worker.end_idle_at_once()
            worker.interrupt()

    def stacks(self) -> list[dict[str, object]]:
        """Returns the stack of every thread, the loop's own first."""
        frames = sys._current_frames()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        own = threading.get_ident()
        return [
            {"thread": names.get(ident, str(ident)), "stack": "".join(traceback.format_stack(frame))}
            for ident, frame in sorted(frames.items(), key=lambda item: item[0] != threading.main_thread().ident)
            if ident != own
        ]

    def answer(self, question: Question) -> None:
        """Answers a question, on the loop. A thread sends the answer: it may be long, and the loop has requests."""
        if self.worker is None:
            return
        try:
            value = answer_to(self.worker, question)
        except Exception as error:  # such as one of an application's own object that was looked at
            self.config.log.log_error("The question %r could not be answered", question, exc_info=error)
            value = []
        answer = Answer(question.number, value)
        threading.Thread(target=self.channel.send, args=(answer,), name="hypercorn-answer", daemon=True).start()


def serve(
    config: Config,
    sockets: Sockets,
    channel: Channel[SupervisorMessage],
    app: object = None,
    tls: LiveContext | None = None,
) -> int:
    """Serves in this process until the supervisor has had enough, with the application and the TLS context that it has
    made already. Returns the exit code."""
    link = WorkerLink(channel, config, app, tls)
    link.listen()
    set_title(config, "worker")
    try:
        if sys.stderr is not None:
            faulthandler.enable()
    except (OSError, ValueError, RuntimeError):  # stderr is no file
        pass
    os.register_at_fork(after_in_child=lambda: close_in_fork(sockets, channel))
    try:
        find_worker(config.worker_class)(config, sockets, link=link)
    except Exception as error:
        return link.ending.settle(link.fail(error))
    except KeyboardInterrupt:
        pass
    return link.ending.settle(EXIT_OK)


def close_in_fork(sockets: Sockets, channel: Channel[SupervisorMessage]) -> None:
    """In a process that the application forked: it is no worker."""
    channel.close()
    for sock in sockets:
        sock.close()
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
