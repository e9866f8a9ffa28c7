"""The processes of the workers: started, ended, reaped. What the arbiter decides is done here."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from hypercorn.config import Config
from hypercorn.metrics import Board, use_slot
from hypercorn.supervisor.channel import channel_pair
from hypercorn.supervisor.launch import LENGTH, fork, freeze, may_fork, one_thread, pickled, spawn
from hypercorn.supervisor.listening import Places
from hypercorn.supervisor.process import Child
from hypercorn.supervisor.worker_classes import find_worker


class Crew:
    """All worker processes, the sockets that they accept on and the board that they publish on."""

    def __init__(self, config: Config, room: int, plain: bool) -> None:
        self.config = config
        self.plain = plain
        self.board = Board.create(room)
        self.places = Places(config)
        self.children: dict[int, Child] = {}
        self.app: Any = None
        self.tls: Any = None  # the context that forked workers share

    @property
    def preloaded(self) -> bool:
        """True where the workers are forks of a process that has the application."""
        return self.app is not None

    def preload(self) -> None:
        """Loads the application here, for all workers. Raises what that raises."""
        from hypercorn.asgi.loading import load_configured

        find_worker(self.config.worker_class)
        self.app = load_configured(self.config)
        freeze()

    def reloaded(self, config: Config, log: Any) -> None:
        """Another configuration is in force."""
        if config.reuse_port != self.config.reuse_port:
            log.log_warning("`reuse_port` cannot change by a reload; restart for that")
            config.reuse_port = self.config.reuse_port
        changed = config.bind != self.config.bind or config.ssl_enabled != self.config.ssl_enabled
        if changed and self.places.sockets.fixed:
            log.log_warning("The sockets are another process's: `bind` and whether TLS is on cannot change by a reload")
        if self.preloaded:
            log.log_warning("With `preload` a reload does not bring new code; restart for that")
        self.config = config

    def forks(self) -> bool:
        """Whether the next worker is to be forked."""
        method = self.config.start_method
        if method == "spawn" and not self.preloaded:
            return False
        if method == "fork" or self.preloaded:
            return hasattr(os, "fork")
        return self.plain and may_fork() and one_thread()

    def check(self, config: Config) -> None:
        """Raises ConfigError where workers are fresh interpreters and the configuration cannot be sent to them."""
        if not self.forks():
            pickled(config)

    def start(self, config: Config, generation: int, now: float, in_worker: Callable[[], None]) -> Child:
        """Starts a worker. `in_worker` lets go, in a forked one, of what is its parent's. Raises OSError."""
        slot = self.free_slot()
        place = self.free_place(generation)
        sockets = self.places.of(place)
        mine, theirs = channel_pair()
        process: Any = None
        try:
            if self.forks():
                tls = self.shared_context(config)

                def work() -> int:
                    use_slot(self.board.slot(slot))
                    from hypercorn.supervisor.worker import serve

                    config.__dict__.pop("_log", None)
                    return serve(config, sockets, theirs, self.app, tls)

                def close() -> None:
                    in_worker()
                    mine.close()
                    for child in self.children.values():
                        child.channel.close()
                    self.places.close_others(sockets)

                find_worker(config.worker_class)
                pid = fork(work, close)
            else:
                process, wanted = spawn(config, sockets, theirs, self.board, slot)
                mine.sock.sendall(LENGTH.pack(len(wanted)) + wanted)
                pid = process.pid
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
        child = Child(slot, generation, pid, mine, now)
        child.process = process
        child.place = place
        self.children[pid] = child
        return child

    def shared_context(self, config: Config) -> Any:
        """The TLS context for workers that are forked: made here, so that the keys of its session tickets are the same
        in all of them, until its files change. None without TLS, or where it cannot be made: the worker says why."""
        if not config.ssl_enabled:
            return None
        from hypercorn.net.tls import LiveContext

        try:
            self.tls = LiveContext(config, config.log, self.tls)
        except (OSError, ValueError):
            return None
        return self.tls

    def free_slot(self) -> int:
        """A slot that no worker has. Raises OSError where there is none."""
        taken = {child.number for child in self.children.values()}
        for number in range(self.board.size):
            if number not in taken:
                return number
        raise OSError("there are too many workers")

    def free_place(self, generation: int) -> int:
        """The first place that no worker has that is going to stay."""
        staying = {
            child.place
            for child in self.children.values()
            if child.active and not child.retire and child.generation == generation
        }
        return next(place for place in range(len(staying) + 1) if place not in staying)

    def reap(self, in_charge: bool) -> Iterator[tuple[Child, int]]:
        """The workers that have ended, and their exit codes (negative: a signal). In charge of the process, it buries
        all other children too: as process 1 it is given everybody's orphans."""
        found: list[tuple[int, int]] = []
        if in_charge:
            with suppress(ChildProcessError):
                while (end := os.waitpid(-1, os.WNOHANG))[0]:
                    found.append(end)
        else:
            for pid in list(self.children):
                with suppress(ChildProcessError):
                    end = os.waitpid(pid, os.WNOHANG)
                    if end[0]:
                        found.append(end)
        for pid, status in found:
            child = self.children.get(pid)
            if child is not None:
                code = os.waitstatus_to_exitcode(status)
                if child.process is not None:
                    child.process.returncode = code
                yield child, code

    def forget(self, child: Child) -> None:
        """A worker is gone."""
        child.channel.close()
        self.children.pop(child.pid, None)
        self.board.retire(child.number)

    def kill(self, child: Child, number: int = signal.SIGKILL) -> None:
        """Sends a worker a signal."""
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)

    def terminate(self, child: Child) -> None:
        """Ends a worker that may not be listening to anything else yet."""
        self.kill(child, signal.SIGTERM)

    def kill_all(self) -> None:
        """Leaves no worker behind, whatever happened here."""
        for child in list(self.children.values()):
            self.kill(child)
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
            self.forget(child)

    def close(self) -> None:
        """Lets go of everything."""
        self.places.close()
        self.board.close()
