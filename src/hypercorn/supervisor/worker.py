"""The worker's side: a process that serves, and a thread in it that hears its supervisor.

A thread, so that it is heard on every kind of loop, and also while the loop stands still.
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
from typing import TYPE_CHECKING, Any

from hypercorn.config import Config
from hypercorn.config.options import grace_of, number_of
from hypercorn.net.sockets import Sockets
from hypercorn.runtime.ending import Ending
from hypercorn.runtime.link import Link
from hypercorn.supervisor.channel import Channel, Message
from hypercorn.supervisor.exit_codes import EXIT_OK, explain
from hypercorn.supervisor.worker_classes import find_worker

if TYPE_CHECKING:
    from hypercorn.runtime.worker import Worker

BEATS = 4  # signs of life in each `worker_timeout`
FOR_EVER = 1e8  # seconds, for a sleep that takes no infinite ones
MOST_CONNECTIONS = 1000  # connections that are told of


class WorkerLink(Link):
    """The link of a worker to the supervisor in another process."""

    shared = True
    supervised = True
    speaks = False
    owns_process = True

    def __init__(self, channel: Channel, config: Config, app: Any = None, tls: Any = None) -> None:
        self.channel = channel
        self.config = config
        self.app = app
        self.tls = tls
        self.worker: Worker | None = None
        self.call: Callable[[Callable[[], Any]], Any] | None = None
        self.shared = not config.reuse_port
        self.order: Message | None = None  # to stop, before there was a loop
        self.lock = threading.Lock()
        self.ending = Ending(exits=True)

    def listen(self) -> None:
        """Begins to hear the supervisor."""
        threading.Thread(target=self.hear, name="hypercorn-supervisor", daemon=True).start()

    # -- from the worker, on its loop

    def attach(self, worker: Worker, call: Callable[[Callable[[], Any]], Any]) -> None:
        with self.lock:
            self.worker = worker
            self.call = call
            order = self.order
        self.ending.take_signals({"SIGTERM": lambda: call(worker.on_terminate)})
        if order is not None:
            self.stop(order)

    def started(self, addresses: list[str]) -> None:
        self.channel.send({"ready": addresses})
        if self.config.worker_timeout:
            self.beat()

    def beat(self) -> None:
        """A sign of life, from the loop itself."""
        runtime = self.worker.runtime  # type: ignore[union-attr]
        self.channel.send({"alive": True})
        runtime.call_at(runtime.now() + (self.config.worker_timeout or 0) / BEATS, self.beat)

    def recycle(self, reason: str) -> bool:
        self.channel.send({"recycle": reason})
        return True

    def stopping(self) -> None:
        self.channel.send({"stopping": self.worker.why or True})  # type: ignore[union-attr]

    def drained(self) -> None:
        self.channel.send({"drained": True})

    def over(self, failure: BaseException | None, seconds: float) -> None:
        self.channel.send({"over": seconds})
        self.ending.begin(self.config.log, seconds, None if failure is None else partial(self.fail, failure))

    def fail(self, error: BaseException) -> int:
        """Tells the supervisor what went wrong. Returns the exit code."""
        text, code = explain(error, self.config)
        self.channel.send({"failed": code, "text": text})
        return code

    # -- from the supervisor, in the thread

    def hear(self) -> None:
        """Does what the supervisor says, until it is gone; then ends the worker."""
        for message in self.channel.messages():
            name = next(iter(message))
            with suppress(Exception):  # whatever it is, the next message is heard too
                getattr(self, "on_" + name)(message)
        self.on_stop({"stop": True, "last": True, "delay": 0})
        time.sleep(min(grace_of(self.config) + number_of(self.config, "shutdown_timeout") + 2, FOR_EVER))
        os._exit(1)

    def on_stop(self, message: Message) -> None:
        """Drains and ends."""
        with self.lock:
            call = self.call
            if call is None:
                self.order = message
        if call is not None:
            self.on_loop(lambda: self.stop(message))
        elif self.app is None:
            os.kill(os.getpid(), signal.SIGTERM)  # inside of an import

    def on_loop(self, function: Callable[[], Any]) -> None:
        """Runs a function on the loop, if that still runs."""
        with suppress(Exception):
            self.call(function)  # type: ignore[misc]

    def stop(self, message: Message) -> None:
        """On the loop: the worker's end."""
        worker = self.worker
        if worker is not None:
            worker.last_owner = bool(message.get("last")) or not self.shared
            worker.shutdown_delay = message.get("delay", 0)
            worker.interrupt()

    def on_hurry(self, _: Message) -> None:
        """Ends at once."""
        if self.worker is not None:
            self.on_loop(self.worker.hurry)

    def on_reopen(self, _: Message) -> None:
        """Opens the log files anew."""
        reopen = getattr(self.config.log, "reopen", None)
        if reopen is not None:
            reopen()

    def on_level(self, message: Message) -> None:
        """Another level of the error log."""
        self.config.log.error_logger.setLevel(message["level"])

    def on_ask(self, message: Message) -> None:
        """A question of the control socket."""
        answer = getattr(self, "tell_" + message["ask"])
        number = message["id"]
        if message["ask"] == "stack":
            self.channel.send({"answer": number, "value": answer()})
        elif self.call is not None:
            self.on_loop(lambda: self.channel.send({"answer": number, "value": answer()}))

    def tell_stack(self) -> list[Message]:
        """Where every thread is; the loop's own first."""
        frames = sys._current_frames()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        own = threading.get_ident()
        return [
            {"thread": names.get(ident, str(ident)), "stack": "".join(traceback.format_stack(frame))}
            for ident, frame in sorted(frames.items(), key=lambda item: item[0] != threading.main_thread().ident)
            if ident != own
        ]

    def tell_connections(self) -> list[Message]:
        """The open connections, up to a bound."""
        if self.worker is None:
            return []
        from hypercorn.runtime.tls import TLSConnection

        found: list[Message] = []
        for connection in list(self.worker.deadlines.connections):
            if isinstance(connection, TLSConnection) and connection.plain.connection is not None:
                continue  # the connection inside of it is in the list too
            if len(found) == MOST_CONNECTIONS:
                break
            streams = getattr(connection, "streams", None)
            busy = len(streams) if streams is not None else int(getattr(connection, "stream", None) is not None)
            found.append(
                {
                    "protocol": type(connection).__name__.removesuffix("Connection").lower(),
                    "client": connection.transport.client,
                    "streams": busy,
                    "unsent": connection.transport.unsent(),
                }
            )
        return found


def serve(config: Config, sockets: Sockets, channel: Channel, app: Any = None, tls: Any = None) -> int:
    """Serves in this process until the supervisor has had enough, with the application and the TLS context that it has
    made already. Returns the exit code."""
    link = WorkerLink(channel, config, app, tls)
    link.listen()
    try:
        if sys.stderr is not None:
            faulthandler.enable()
    except (OSError, ValueError, RuntimeError):  # stderr is no file
        pass
    os.register_at_fork(after_in_child=lambda: forget(sockets, channel))
    try:
        find_worker(config.worker_class)(config, sockets, link=link)
    except Exception as error:
        return link.ending.settle(link.fail(error))
    except KeyboardInterrupt:
        pass
    return link.ending.settle(EXIT_OK)


def forget(sockets: Sockets, channel: Channel) -> None:
    """In a process that the application forked: it is no worker."""
    channel.close()
    for sock in sockets:
        sock.close()
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
