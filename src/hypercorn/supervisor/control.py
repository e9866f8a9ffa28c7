"""The control socket: a line of JSON asks the supervisor something, a line of JSON answers.

Who may: the owner of the server, and root. The file is closed to all others, and the kernel says who is asking.
"""

from __future__ import annotations

import errno
import json
import math
import os
import selectors
import socket
import stat
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypedDict

import hypercorn
from hypercorn.metrics.processes import cpu_seconds, resident_memory
from hypercorn.net.address import parse_bind, unix_address
from hypercorn.supervisor.managed import ManagedServer
from hypercorn.supervisor.messages import (
    Answer,
    EndTrace,
    FetchTrace,
    ListConnections,
    ListRequests,
    ListSlowRequests,
    SetLogLevel,
    ShowStacks,
    StartTrace,
)
from hypercorn.supervisor.process import NEVER, WorkerProcess, WorkerRow

MAX_CLIENTS = 32  # at once
MAX_REQUEST_BYTES = 65536
REQUEST_SECONDS = 5.0  # for a request to arrive, and for the answer to be taken
ANSWER_SECONDS = 2.0  # that workers have to answer
LEVELS = ("debug", "info", "warning", "error", "critical")


Request = dict[str, object]
Query: TypeAlias = ListConnections | ListRequests | ListSlowRequests | ShowStacks | StartTrace | FetchTrace | EndTrace


class WorkerStatus(WorkerRow):
    """A worker with its figures: `memory` in bytes, 0 where that is not known, `cpu` in seconds."""

    memory: int
    cpu: float | None
    counts: dict[str, int]


class Status(TypedDict):
    """The answer to `status`. `uptime` is seconds, `total` the sum of the workers' counts."""

    pid: int
    version: str
    build: str
    application: str
    worker_class: str
    state: str
    uptime: float
    addresses: list[str]
    target: int
    ready: int
    generation: int
    restarts: int
    total: dict[str, int]
    workers: list[WorkerStatus]


class RequestRefused(Exception):
    """A request that cannot be answered, and why."""


def control_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder of control sockets when the configuration names none."""
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        folder = environ.get(name, "").split(":")[0]
        if folder and os.path.isdir(folder):
            return Path(folder, "hypercorn") if name == "XDG_RUNTIME_DIR" else Path(folder)
    import tempfile  # which takes long to import

    return Path(tempfile.gettempdir(), f"hypercorn-{os.geteuid()}")


def control_path(setting: str | None) -> str | None:
    """The path of this process's control socket, its folder made; None for no socket.

    Raises OSError where the folder cannot be made, or belongs to somebody else.
    """
    if not setting or setting == "none":
        return None
    if setting != "auto":
        return setting
    folder = control_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    check_folder(folder)
    for other in folder.glob("*.sock"):
        if other.stem.isdigit() and not _runs(int(other.stem)):
            with suppress(OSError):
                other.unlink()
    return str(folder / f"{os.getpid()}.sock")


def control_address(path: str) -> str | bytes:
    """Returns the address of a control socket: `unix:@name` is an abstract one, without a file (Linux); `unix:path` is
    the same as the path alone. Raises OSError for an abstract one that the system cannot have."""
    if not path.startswith("unix:"):
        return path
    try:
        return unix_address(parse_bind(path).path)
    except ValueError as error:
        raise OSError(str(error)) from None


def check_folder(folder: Path) -> None:
    """Raises OSError for a folder in which others could put a control socket of theirs."""
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} belongs to somebody else, or others may write to it")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def listen(path: str) -> socket.socket:
    """A socket at a path, for its owner alone. Raises OSError."""
    address = control_address(path)
    if isinstance(address, bytes):
        return listen_abstract(path, address)
    path = address
    if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(path)
            except OSError:
                os.unlink(path)
            else:
                raise FileExistsError(f"another server has its control socket at {path}")
    sock = socket.socket(socket.AF_UNIX)
    try:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(MAX_CLIENTS)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_abstract(path: str, address: bytes) -> socket.socket:
    """An abstract socket. It has no mode: who asks is looked at when somebody comes. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(address)
        sock.listen(MAX_CLIENTS)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise FileExistsError(f"another process has the socket {path}") from None
        raise
    return sock


def is_allowed(sock: socket.socket) -> bool:
    """True where the peer is the owner or root, as far as the system provides its user id."""
    return peer_uid(sock) in (None, 0, os.geteuid())  # None: the file's mode has to do


def is_trusted(sock: socket.socket) -> bool:
    """True where the server is this user's or root's; root may ask everybody's."""
    return os.geteuid() == 0 or peer_uid(sock) in (None, 0, os.geteuid())


def peer_uid(sock: socket.socket) -> int | None:
    """The user id of the process at the other end, or None where the system does not provide it."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    uid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    return uid


class ControlClient:
    """A client of the control socket."""

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.deadline = now + REQUEST_SECONDS
        self.data = b""
        self.waiting: dict[int, int] = {}  # process ids of workers, by the number of the request
        self.answers: list[dict[str, object]] = []

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()


class ControlServer:
    """The supervisor's side of the control socket."""

    def __init__(self, server: ManagedServer, path: str) -> None:
        self.server = server
        self.path = path
        self.sock = listen(path)
        self.started_at = time.time()
        self.clients: set[ControlClient] = set()
        self.number = 0
        self.commands: dict[str, Callable[[Request, ControlClient], object]] = {
            "status": self.status,
            "workers": self.workers,
            "reload": self.reload,
            "scale": self.scale,
            "stop": self.stop,
            "drain": self.drain,
            "log-level": self.set_log_level,
            "connections": self.connections,
            "requests": self.requests,
            "slow": self.slow,
            "trace": self.start_trace,
            "trace-fetch": self.fetch_trace,
            "trace-end": self.end_trace,
            "stack": self.stacks,
        }
        server.selector.register(self.sock, selectors.EVENT_READ, self.accept)

    def next_time(self) -> float:
        """Returns the time at which a client has waited long enough."""
        return min((client.deadline for client in self.clients), default=NEVER)

    def accept(self) -> None:
        """Accepts a client."""
        with suppress(OSError):
            sock, _ = self.sock.accept()
            if len(self.clients) >= MAX_CLIENTS or not is_allowed(sock):
                sock.close()
                return
            sock.setblocking(False)
            client = ControlClient(sock, time.monotonic())
            self.clients.add(client)
            self.server.selector.register(client, selectors.EVENT_READ, lambda: self.read(client))

    def read(self, client: ControlClient) -> None:
        """Takes a request."""
        try:
            data = client.sock.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.data += data
        if not data or len(client.data) > MAX_REQUEST_BYTES:
            self.drop(client)
        elif b"\n" in client.data:
            client.deadline = time.monotonic() + ANSWER_SECONDS
            try:
                request = json.loads(client.data)
                command = self.commands.get(str(request["do"]).replace("_", "-"), self.unknown)
                answer = command(request, client)
            except RequestRefused as error:
                answer = {"error": str(error)}
            except Exception as error:  # such as the RecursionError of a thousand brackets
                answer = {"error": f"not a question: {error!r}"}
            if answer is not None:
                self.answer(client, answer)

    def answer(self, client: ControlClient, answer: object) -> None:
        """Answers and hangs up. A client takes it at once, or does without."""
        with suppress(OSError):
            client.sock.settimeout(0.5)
            client.sock.sendall(json.dumps(answer).encode() + b"\n")
        self.drop(client)

    def drop(self, client: ControlClient) -> None:
        """Hangs up."""
        if client in self.clients:
            self.clients.discard(client)
            self.server.selector.unregister(client)
            client.sock.close()

    def run_timers(self, now: float) -> None:
        """Answers those who have waited long enough with what there is."""
        for client in [one for one in self.clients if now >= one.deadline]:
            if client.waiting:
                silent = [{"pid": pid, "error": "it does not answer"} for pid in client.waiting.values()]
                self.answer(client, client.answers + silent)
            else:
                self.drop(client)

    # -- requests

    def unknown(self, request: Request, _: ControlClient) -> object:
        """Refuses a command that does not exist."""
        raise RequestRefused(f"there is no {request['do']}")

    def status(self, _: Request, __: ControlClient) -> Status:
        """Returns the status of the server, with the counts of all workers."""
        server = self.server
        state = "stopping" if server.stopping else "reloading" if server.previous is not None else "serving"
        return {
            "pid": os.getpid(),
            "version": hypercorn.__version__,
            "build": hypercorn.build(),
            "application": getattr(server.config, "application_path", ""),
            "worker_class": server.config.worker_class,
            "state": state,
            "uptime": round(time.time() - self.started_at, 1),
            "addresses": server.addresses,
            "target": server.target,
            "ready": sum(worker.ready for worker in server.workers.values()),
            "generation": server.generation,
            "restarts": server.pool.board.restarts,
            "total": server.pool.board.total(),
            "workers": self.workers(_, __),
        }

    def workers(self, _: Request, __: ControlClient) -> list[WorkerStatus]:
        """Returns every worker with its counts."""
        now = time.monotonic()
        counts = {one["slot"]: one for one in self.server.pool.board.slots()}
        return [
            {
                **worker.describe(now),
                "memory": resident_memory(worker.pid),
                "cpu": cpu_seconds(worker.pid),
                "counts": {
                    name: value
                    for name, value in counts.get(worker.board_slot, {}).items()
                    if name not in ("slot", "pid", "state")
                },
            }
            for worker in sorted(self.server.workers.values(), key=lambda one: one.board_slot)
        ]

    def reload(self, _: Request, __: ControlClient) -> object:
        """Replaces the workers, as SIGHUP does."""
        self.server.reload("hypercorn ctl")
        return {"ok": True}

    def scale(self, request: Request, _: ControlClient) -> object:
        """Changes the number of workers: 4, +1, -1."""
        text = str(request.get("value", ""))
        try:
            count = int(text) + (self.server.target if text[:1] in ("+", "-") else 0)
        except ValueError:
            raise RequestRefused("scale needs a number, such as 4, +1 or -1") from None
        if count < 1:
            raise RequestRefused("there has to be a worker")
        return {"target": self.server.scale(count, "hypercorn ctl")}

    def stop(self, _: Request, __: ControlClient) -> object:
        """Ends the server gracefully, as SIGTERM does. The client waits for the end of the process."""
        self.server.call(lambda: self.server.stop("hypercorn ctl"))
        return {"ok": True, "pid": os.getpid()}

    def drain(self, request: Request, _: ControlClient) -> object:
        """Ends the server gracefully; or one worker, for which another comes."""
        if request.get("value"):
            self.worker_of(request).retire_reason = "drained by hand"
        else:
            self.server.call(lambda: self.server.stop("hypercorn ctl"))
        return {"ok": True}

    def set_log_level(self, request: Request, _: ControlClient) -> object:
        """Changes the level of the error log, here and in every worker."""
        level = str(request.get("value", "")).lower()
        if level not in LEVELS:
            raise RequestRefused(f"a level is one of {', '.join(LEVELS)}")
        self.server.log.error_logger.setLevel(level.upper())
        for worker in self.server.workers.values():
            worker.channel.send(SetLogLevel(level.upper()))
        self.server.log.log_info("The level of the error log is %s (hypercorn ctl)", level)
        return {"ok": True}

    def connections(self, request: Request, client: ControlClient) -> object:
        """Returns the open connections of one worker, or of all."""
        return self.ask(ListConnections, request, client)

    def requests(self, request: Request, client: ControlClient) -> object:
        """Returns the requests in flight of one worker, or of all."""
        return self.ask(ListRequests, request, client)

    def slow(self, request: Request, client: ControlClient) -> object:
        """Returns the last slow requests of one worker, or of all."""
        return self.ask(ListSlowRequests, request, client)

    def start_trace(self, request: Request, client: ControlClient) -> object:
        """Has all workers record the connections of some clients."""
        clients, seconds = request.get("clients"), request.get("seconds")
        if not isinstance(clients, list) or not all(isinstance(one, str) for one in clients):
            raise RequestRefused("trace needs clients: a list of addresses or networks")
        if not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
            raise RequestRefused("trace needs seconds: a number above 0")
        return self.ask(lambda number: StartTrace(number, clients, float(seconds)), request, client)

    def fetch_trace(self, request: Request, client: ControlClient) -> object:
        """Returns what the workers have recorded and nobody has fetched."""
        return self.ask(FetchTrace, request, client)

    def end_trace(self, request: Request, client: ControlClient) -> object:
        """Has the workers record no more, and returns the rest."""
        return self.ask(EndTrace, request, client)

    def stacks(self, request: Request, client: ControlClient) -> object:
        """Returns the stacks of the threads of one worker, or of all."""
        return self.ask(ShowStacks, request, client)

    def worker_of(self, request: Request) -> WorkerProcess:
        """The worker that a request names."""
        text = str(request.get("value"))
        worker = self.server.workers.get(int(text) if text.isdigit() else 0)
        if worker is None:
            raise RequestRefused(f"there is no worker {text}")
        return worker

    def ask(self, query: Callable[[int], Query], request: Request, client: ControlClient) -> object:
        """Passes a request on; `answered` gets the answers."""
        workers = list(self.server.workers.values())
        if request.get("value"):
            workers = [self.worker_of(request)]
        for worker in workers:
            self.number += 1
            if worker.channel.send(query(self.number)):
                client.waiting[self.number] = worker.pid
        return None if client.waiting else []

    def answered(self, worker: WorkerProcess, answer: Answer) -> None:
        """A worker's answer to one of them."""
        for client in list(self.clients):
            if client.waiting.pop(answer.number, None) is not None:
                client.answers.append({"pid": worker.pid, "value": answer.value})
                if not client.waiting:
                    self.answer(client, client.answers)

    def close(self) -> None:
        """Hangs up on everybody and removes the socket."""
        for client in list(self.clients):
            self.drop(client)
        with suppress(OSError):
            address = control_address(self.path)
            if isinstance(address, str):
                os.unlink(address)
        self.close_in_worker()

    def close_in_worker(self) -> None:
        """Closes this process's descriptors; the socket stays."""
        for client in self.clients:
            client.sock.close()
        self.sock.close()
