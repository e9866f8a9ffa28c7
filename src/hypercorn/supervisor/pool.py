"""The process pool: starts, ends and reaps the worker processes, as the arbiter decides."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from hypercorn.config import Config
from hypercorn.logs.writer import end_threads
from hypercorn.metrics import Board, use_board_slot
from hypercorn.supervisor.channel import channel_pair
from hypercorn.supervisor.launch import LENGTH_PREFIX, fork, freeze, may_fork, one_thread, pickled, spawn
from hypercorn.supervisor.listening import ListeningSockets
from hypercorn.supervisor.process import WorkerProcess
from hypercorn.supervisor.worker_classes import find_worker

if TYPE_CHECKING:
    from hypercorn.logs.logger import Logger
    from hypercorn.net.tls import LiveContext


class ProcessPool:
    """All worker processes, the sockets that they accept on and the board that they publish on."""

    def __init__(self, config: Config, board_slots: int, plain: bool) -> None:
        self.config = config
        self.plain = plain
        self.board = Board.create(board_slots)
        self.listening = ListeningSockets(config)
        self.workers: dict[int, WorkerProcess] = {}
        self.app: object = None
        self.tls: LiveContext | None = None  # the context that forked workers share

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

    def reloaded(self, config: Config, log: Logger) -> None:
        """Takes a configuration that is in force from now on."""
        if config.reuse_port != self.config.reuse_port:
            log.log_warning("`reuse_port` cannot change by a reload; restart for that")
            config.reuse_port = self.config.reuse_port
        changed = config.bind != self.config.bind or config.ssl_enabled != self.config.ssl_enabled
        if changed and self.listening.sockets.fixed:
            log.log_warning("The sockets are another process's: `bind` and whether TLS is on cannot change by a reload")
        if self.preloaded:
            log.log_warning("With `preload` a reload does not bring new code; restart for that")
        self.config = config

    def forks(self) -> bool:
        """Returns True if the next worker is to be forked."""
        method = self.config.start_method
        if method == "spawn" and not self.preloaded:
            return False
        if method == "fork" or self.preloaded:
            return hasattr(os, "fork")
        if not self.plain or not may_fork():
            return False
        end_threads()
        return one_thread()

    def check(self, config: Config) -> None:
        """Raises ConfigError where workers are fresh interpreters and the configuration cannot be sent to them."""
        if not self.forks():
            pickled(config)

    def start(self, config: Config, generation: int, now: float, close_in_worker: Callable[[], None]) -> WorkerProcess:
        """Starts a worker. `close_in_worker` lets go, in a forked one, of what is its parent's. Raises OSError."""
        board_slot = self.free_board_slot()
        worker_slot = self.free_worker_slot(generation)
        sockets = self.listening.sockets_of(worker_slot)
        mine, theirs = channel_pair()
        process = None
        try:
            if self.forks():
                tls = self.shared_context(config)

                def work() -> int:
                    use_board_slot(self.board.slot(board_slot))
                    from hypercorn.supervisor.worker import serve

                    config.__dict__.pop("_log", None)
                    return serve(config, sockets, theirs, self.app, tls)

                def close() -> None:
                    close_in_worker()
                    mine.close()
                    for worker in self.workers.values():
                        worker.channel.close()
                    self.listening.close_others(sockets)

                find_worker(config.worker_class)
                pid = fork(work, close)
            else:
                process, settings = spawn(config, sockets, theirs, self.board, board_slot)
                mine.sock.sendall(LENGTH_PREFIX.pack(len(settings)) + settings)
                pid = process.pid
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
        worker = WorkerProcess(board_slot, generation, pid, mine, now)
        worker.process = process
        worker.worker_slot = worker_slot
        self.workers[pid] = worker
        return worker

    def shared_context(self, config: Config) -> LiveContext | None:
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

    def free_board_slot(self) -> int:
        """A slot of the board that no worker has. Raises OSError where there is none."""
        taken = {worker.board_slot for worker in self.workers.values()}
        for number in range(self.board.size):
            if number not in taken:
                return number
        raise OSError("there are too many workers")

    def free_worker_slot(self, generation: int) -> int:
        """The first worker slot that no worker has that is going to stay."""
        staying = {
            worker.worker_slot
            for worker in self.workers.values()
            if worker.active and not worker.retire_reason and worker.generation == generation
        }
        return next(number for number in range(len(staying) + 1) if number not in staying)

    def reap(self, orphans: bool) -> Iterator[tuple[WorkerProcess, int]]:
        """The workers that have ended, and their exit codes (negative: a signal). With `orphans` it reaps all other
        children too: process 1 becomes the parent of every orphan."""
        found: list[tuple[int, int]] = []
        if orphans:
            with suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    found.append(ended)
        else:
            for pid in list(self.workers):
                with suppress(ChildProcessError):
                    ended = os.waitpid(pid, os.WNOHANG)
                    if ended[0]:
                        found.append(ended)
        for pid, status in found:
            worker = self.workers.get(pid)
            if worker is not None:
                code = os.waitstatus_to_exitcode(status)
                if worker.process is not None:
                    worker.process.returncode = code
                yield worker, code

    def remove(self, worker: WorkerProcess) -> None:
        """A worker is gone."""
        worker.channel.close()
        self.workers.pop(worker.pid, None)
        self.board.retire(worker.board_slot)

    def kill(self, worker: WorkerProcess, number: int = signal.SIGKILL) -> None:
        """Sends a worker a signal."""
        with suppress(ProcessLookupError):
            os.kill(worker.pid, number)

    def terminate(self, worker: WorkerProcess) -> None:
        """Ends a worker that may not be listening to anything else yet."""
        self.kill(worker, signal.SIGTERM)

    def kill_all(self) -> None:
        """Leaves no worker behind, whatever happened here."""
        for worker in list(self.workers.values()):
            self.kill(worker)
            with suppress(ChildProcessError):
                os.waitpid(worker.pid, 0)
            self.remove(worker)

    def close(self) -> None:
        """Lets go of everything."""
        self.listening.close()
        self.board.close()
