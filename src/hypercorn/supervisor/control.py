"""The control socket: a line of JSON asks the supervisor something, a line of JSON answers.

Who may: the owner of the server, and root. The file is closed to all others, and the kernel says who is asking.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import stat
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypercorn
from hypercorn.net.address import parse_bind, unix_address
from hypercorn.supervisor.channel import Message
from hypercorn.supervisor.process import NEVER, Child, resident_memory

if TYPE_CHECKING:
    from hypercorn.supervisor.arbiter import Arbiter

CLIENTS = 32  # at once
LONGEST = 65536  # bytes of a question
PATIENCE = 5.0  # seconds for a question to arrive, and for the answer to be taken
ANSWER_WAIT = 2.0  # seconds that workers have to answer
LEVELS = ("debug", "info", "warning", "error", "critical")


class Refused(Exception):
    """A question that cannot be answered, and why."""


def control_folder(environ: Any = os.environ) -> Path:
    """Where control sockets lie when the configuration does not say."""
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        folder = environ.get(name, "").split(":")[0]
        if folder and os.path.isdir(folder):
            return Path(folder, "hypercorn") if name == "XDG_RUNTIME_DIR" else Path(folder)
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
    """What the system takes for a control socket: `unix:@name` is an abstract one, without a file (Linux); `unix:path`
    is the same as the path alone. Raises OSError for an abstract one that the system cannot have."""
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
        sock.listen(CLIENTS)
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
        sock.listen(CLIENTS)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise FileExistsError(f"another process has the socket {path}") from None
        raise
    return sock


def is_allowed(sock: socket.socket) -> bool:
    """True where the peer is the owner or root, as far as the system tells."""
    return peer_uid(sock) in (None, 0, os.geteuid())  # None: the file's mode has to do


def is_trusted(sock: socket.socket) -> bool:
    """True where the server is this user's or root's; root may ask everybody's."""
    return os.geteuid() == 0 or peer_uid(sock) in (None, 0, os.geteuid())


def peer_uid(sock: socket.socket) -> int | None:
    """The user of the process at the other end, or None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    uid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    return uid


class Asker:
    """One client."""

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.until = now + PATIENCE
        self.data = b""
        self.waiting: dict[int, int] = {}  # workers by the number of the question
        self.found: list[Message] = []

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()


class Control:
    """The supervisor's side."""

    def __init__(self, arbiter: Arbiter, path: str) -> None:
        self.arbiter = arbiter
        self.path = path
        self.sock = listen(path)
        self.began = time.time()
        self.askers: set[Asker] = set()
        self.number = 0
        arbiter.selector.register(self.sock, selectors.EVENT_READ, self.accept)

    def next_time(self) -> float:
        """When somebody has waited long enough."""
        return min((asker.until for asker in self.askers), default=NEVER)

    def accept(self) -> None:
        """Somebody comes."""
        with suppress(OSError):
            sock, _ = self.sock.accept()
            if len(self.askers) >= CLIENTS or not is_allowed(sock):
                sock.close()
                return
            sock.setblocking(False)
            asker = Asker(sock, time.monotonic())
            self.askers.add(asker)
            self.arbiter.selector.register(asker, selectors.EVENT_READ, lambda: self.read(asker))

    def read(self, asker: Asker) -> None:
        """Takes a question."""
        try:
            data = asker.sock.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        asker.data += data
        if not data or len(asker.data) > LONGEST:
            self.drop(asker)
        elif b"\n" in asker.data:
            asker.until = time.monotonic() + ANSWER_WAIT
            try:
                question = json.loads(asker.data)
                answer = getattr(self, "do_" + str(question["do"]).replace("-", "_"), self.unknown)(question, asker)
            except Refused as error:
                answer = {"error": str(error)}
            except Exception as error:  # such as the RecursionError of a thousand brackets
                answer = {"error": f"not a question: {error!r}"}
            if answer is not None:
                self.answer(asker, answer)

    def answer(self, asker: Asker, answer: Any) -> None:
        """Answers and hangs up. A client takes it at once, or does without."""
        with suppress(OSError):
            asker.sock.settimeout(0.5)
            asker.sock.sendall(json.dumps(answer).encode() + b"\n")
        self.drop(asker)

    def drop(self, asker: Asker) -> None:
        """Hangs up."""
        if asker in self.askers:
            self.askers.discard(asker)
            self.arbiter.selector.unregister(asker)
            asker.sock.close()

    def pass_times(self, now: float) -> None:
        """Answers those who have waited long enough with what there is."""
        for asker in [one for one in self.askers if now >= one.until]:
            if asker.waiting:
                silent = [{"pid": pid, "error": "it does not answer"} for pid in asker.waiting.values()]
                self.answer(asker, asker.found + silent)
            else:
                self.drop(asker)

    # -- questions

    def unknown(self, question: Message, _: Asker) -> Any:
        """Nothing that it knows."""
        raise Refused(f"there is no {question['do']}")

    def do_status(self, _: Message, __: Asker) -> Any:
        """How the server fares, with the counts of all workers."""
        arbiter = self.arbiter
        state = "stopping" if arbiter.stopping else "reloading" if arbiter.previous is not None else "serving"
        return {
            "pid": os.getpid(),
            "version": hypercorn.__version__,
            "build": hypercorn.build(),
            "application": getattr(arbiter.config, "application_path", ""),
            "worker_class": arbiter.config.worker_class,
            "state": state,
            "uptime": round(time.time() - self.began, 1),
            "addresses": arbiter.addresses,
            "target": arbiter.target,
            "ready": sum(child.ready for child in arbiter.children.values()),
            "generation": arbiter.generation,
            "restarts": arbiter.crew.board.restarts,
            "total": arbiter.crew.board.total(),
            "workers": self.do_workers(_, __),
        }

    def do_workers(self, _: Message, __: Asker) -> Any:
        """Every worker with its counts."""
        now = time.monotonic()
        counts = {slot["slot"]: slot for slot in self.arbiter.crew.board.slots()}
        return [
            {
                **child.describe(now),
                "memory": resident_memory(child.pid),
                "counts": {
                    name: value
                    for name, value in counts.get(child.number, {}).items()
                    if name not in ("slot", "pid", "state")
                },
            }
            for child in sorted(self.arbiter.children.values(), key=lambda one: one.number)
        ]

    def do_reload(self, _: Message, __: Asker) -> Any:
        """As SIGHUP."""
        self.arbiter.reload("hypercorn ctl")
        return {"ok": True}

    def do_scale(self, question: Message, _: Asker) -> Any:
        """Another number of workers: 4, +1, -1."""
        text = str(question.get("value", ""))
        try:
            count = int(text) + (self.arbiter.target if text[:1] in ("+", "-") else 0)
        except ValueError:
            raise Refused("scale needs a number, such as 4, +1 or -1") from None
        if count < 1:
            raise Refused("there has to be a worker")
        return {"target": self.arbiter.scale(count, "hypercorn ctl")}

    def do_drain(self, question: Message, _: Asker) -> Any:
        """Ends the server gracefully; or one worker, for which another comes."""
        if question.get("value"):
            self.worker_of(question).retire = "drained by hand"
        else:
            self.arbiter.call(lambda: self.arbiter.stop("hypercorn ctl"))
        return {"ok": True}

    def do_log_level(self, question: Message, _: Asker) -> Any:
        """Another level of the error log, everywhere."""
        level = str(question.get("value", "")).lower()
        if level not in LEVELS:
            raise Refused(f"a level is one of {', '.join(LEVELS)}")
        self.arbiter.log.error_logger.setLevel(level.upper())
        for child in self.arbiter.children.values():
            child.channel.send({"level": level.upper()})
        self.arbiter.log.log_info("The level of the error log is %s (hypercorn ctl)", level)
        return {"ok": True}

    def do_connections(self, question: Message, asker: Asker) -> Any:
        """The open connections of every worker."""
        return self.ask("connections", question, asker)

    def do_stack(self, question: Message, asker: Asker) -> Any:
        """Where every thread of a worker is, or of all workers."""
        return self.ask("stack", question, asker)

    def worker_of(self, question: Message) -> Child:
        """The worker that a question names."""
        text = str(question.get("value"))
        child = self.arbiter.children.get(int(text) if text.isdigit() else 0)
        if child is None:
            raise Refused(f"there is no worker {text}")
        return child

    def ask(self, what: str, question: Message, asker: Asker) -> Any:
        """Passes a question on; `answered` gets the answers."""
        children = list(self.arbiter.children.values())
        if question.get("value"):
            children = [self.worker_of(question)]
        for child in children:
            self.number += 1
            if child.channel.send({"ask": what, "id": self.number}):
                asker.waiting[self.number] = child.pid
        return None if asker.waiting else []

    def answered(self, child: Child, message: Message) -> None:
        """A worker's answer to one of them."""
        for asker in list(self.askers):
            if asker.waiting.pop(message["answer"], None) is not None:
                asker.found.append({"pid": child.pid, "value": message["value"]})
                if not asker.waiting:
                    self.answer(asker, asker.found)

    def close(self) -> None:
        """Hangs up on everybody and removes the socket."""
        for asker in list(self.askers):
            self.drop(asker)
        with suppress(OSError):
            address = control_address(self.path)
            if isinstance(address, str):
                os.unlink(address)
        self.let_go()

    def let_go(self) -> None:
        """Closes this process's descriptors; the socket stays."""
        for asker in self.askers:
            asker.sock.close()
        self.sock.close()
