"""`hypercorn ctl`: asks a running server by its control socket, and shows the answer to people or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypercorn._toml import read_toml
from hypercorn.config.sources import find_config
from hypercorn.supervisor.control import Status, WorkerStatus, check_folder, control_address, control_folder, is_trusted
from hypercorn.supervisor.exit_codes import EXIT_INTERRUPTED
from hypercorn.supervisor.messages import Answers

COMMANDS = {
    "status": "the state of the server",
    "workers": "all workers",
    "connections": "the open connections [of one worker: PID]",
    "requests": "the requests in flight, and where each stands [of one worker: PID]",
    "slow": "the last slow requests, and where their time went [of one worker: PID]",
    "trace": "record connections of a client: --client ADDRESS --for 30s --output FILE",
    "reload": "load configuration, certificates and code anew, as SIGHUP does",
    "scale": "change the number of workers: N, +N or -N",
    "stop": "end the server gracefully, and wait until it has ended",
    "drain": "end the server gracefully without waiting, or replace one worker: PID",
    "log-level": "change the level of the error log: debug, info, warning, error, critical",
    "stack": "show the stack of every thread [of one worker: PID]",
}
TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.05  # between two looks whether a process has ended


class ControlError(Exception):
    """The server cannot be reached, or refuses."""


def find_socket(path: str | None, pid: int | None) -> str:
    """The control socket that is meant. Raises ControlError where there is none, or more than one."""
    if path is not None:
        return path
    if pid is not None:
        found_by_pid = socket_of_process(pid)
        if found_by_pid is not None:
            return found_by_pid
    folder = control_folder()
    try:
        check_folder(folder)
    except FileNotFoundError:
        pass
    except OSError as error:  # whoever owns it could answer in the server's name
        raise ControlError(f"{error}; name the socket by --socket") from None
    if pid is not None:
        return str(folder / f"{pid}.sock")
    found = sorted(one for one in folder.glob("*.sock") if answers(str(one)))
    if len(found) == 1:
        return str(found[0])
    if not found:
        named = configured_socket()
        if named is not None:
            return named
        raise ControlError(f"no server has its control socket in {folder}; name one by --socket")
    pids = ", ".join(one.stem for one in found)
    raise ControlError(f"several servers run ({pids}): choose one by --pid")


def socket_of_process(pid: int) -> str | None:
    """The control socket on which a process listens, whatever folder it is in; None where the system does not tell.

    Linux says it to root and to the process's own user. Of the sockets it has, the control socket is the one named by
    the process id, or else the one that answers as such (`control` names it). A service may have a /tmp of its own
    (PrivateTmp of systemd): /proc shows the way in.
    """
    try:
        inodes = set()
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.rstrip("\n").split(None, 7) for line in file]
    except OSError:
        return None
    # Number, references, protocol, flags, type, state, inode, path: 0x10000 means that it listens.
    paths = [row[7] for row in rows if len(row) == 8 and row[3] == "00010000" and f"socket:[{row[6]}]" in inodes]
    paths.sort(key=lambda one: os.path.basename(one) != f"{pid}.sock")
    for one in paths:
        candidates = [f"unix:{one}"] if one.startswith("@") else [one, f"/proc/{pid}/root{one}"]
        for candidate in candidates:
            with suppress(ControlError):
                if ask(candidate, {"do": "status"})["pid"] == pid:
                    return candidate
    return None


def configured_socket() -> str | None:
    """The control socket that the configuration in this folder names, where somebody listens there."""
    try:
        file = find_config()
        path = read_toml(file).get("control") if file else None
    except (OSError, ValueError):
        return None  # whoever starts the server is told of it
    return path if isinstance(path, str) and answers(path) else None


def answers(path: str) -> bool:
    """True where somebody listens."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(control_address(path))
        except OSError:
            return False
    return True


def ask(path: str, question: dict[str, object]) -> Any:
    """Asks, and gives the answer. Raises ControlError."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT_SECONDS)
            sock.connect(control_address(path))
            if not is_trusted(sock):
                raise ControlError(f"{path}: another user's process answers there")
            sock.sendall(json.dumps(question).encode() + b"\n")
            with sock.makefile("rb") as stream:
                line = stream.readline()
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from error
    if not line:
        raise ControlError(f"{path}: the server hung up; only its owner may ask")
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"{path}: no answer of a server: {error}") from None
    if isinstance(answer, dict) and "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


def add_socket_arguments(parser: argparse.ArgumentParser) -> None:
    """Which server."""
    parser.add_argument("--socket", metavar="PATH", help="the server's control socket, a path or unix:@name")
    parser.add_argument("--pid", type=int, help="the server's process id, where several run")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    lines = [f"  {name:<12} {text}" for name, text in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="hypercorn ctl",
        description="Queries and controls a running server.",
        epilog="commands:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="command")
    parser.add_argument("value", nargs="?")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    add_socket_arguments(parser)
    group = parser.add_argument_group("trace")
    group.add_argument("--client", action="append", metavar="ADDRESS[/PREFIX]", help="whom; may be repeated; *: all")
    group.add_argument("--for", dest="time", default="30s", metavar="TIME", help="how long (default: 30s)")
    group.add_argument("--output", metavar="FILE", help="a new file, for hypercorn trace FILE")
    group.add_argument("--max-size", default="16MiB", metavar="SIZE", help="of the file (default: 16MiB)")
    group.add_argument("--secrets", action="store_true", help="keep the values of Cookie, Authorization and the like")
    return parser


def ctl(arguments: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        if options.command == "trace":
            return record_trace(options)
        answer = ask(find_socket(options.socket, options.pid), {"do": options.command, "value": options.value})
        if options.command == "stop":
            await_end(answer["pid"])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ControlError as error:
        print(f"hypercorn ctl: error: {error}", file=sys.stderr)
        return 1
    try:
        print(json.dumps(answer, indent=2) if options.json else text_of(options.command, answer))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
    return 0


def record_trace(options: argparse.Namespace) -> int:
    """`hypercorn ctl trace`. Returns the exit code; raises ControlError."""
    try:
        from hypercorn.supervisor.trace import Recording, TraceRefused
    except ModuleNotFoundError as error:
        raise ControlError(f"a trace needs {error.name}: pip install hypercorn[testing]") from None
    try:
        recording = Recording(options.client, options.time, options.output, options.max_size, options.secrets)
        path = find_socket(options.socket, options.pid)
        reason = recording.run(lambda question: ask(path, question))
    except TraceRefused as error:
        raise ControlError(str(error)) from None
    print(f"{recording.events} events in {options.output} ({reason}); to read them: hypercorn trace {options.output}")
    return 0


def await_end(pid: int) -> None:
    """Waits until a process has ended. The server has limits for that, so there is none here."""
    while True:
        try:
            os.kill(pid, 0)
        except OSError:  # it is gone, or its number is another user's process by now
            return
        if has_ended(pid):
            return
        time.sleep(POLL_SECONDS)


def has_ended(pid: int) -> bool:
    """True for a process that has ended and waits for its parent to take note."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:
        return False


def text_of(command: str, answer: Any) -> str:
    """An answer for people."""
    if command == "status":
        return status_text(answer)
    if command == "workers":
        return table(WORKER_COLUMNS, [worker_row(one) for one in answer])
    if command == "connections":
        rows = [
            (str(worker["pid"]), one["protocol"], address(one["client"]), str(one["streams"]), str(one["unsent"]))
            for worker in answer
            for one in worker.get("value", [])
        ]
        return table(("WORKER", "PROTOCOL", "CLIENT", "STREAMS", "UNSENT"), rows)
    if command == "requests":
        return requests_text(answer)
    if command == "slow":
        return slow_text(answer)
    if command == "stack":
        return "\n".join(
            f"worker {worker['pid']}, thread {one['thread']}\n{one['stack']}"
            for worker in answer
            for one in worker.get("value", [{"thread": "-", "stack": worker.get("error", "")}])
        )
    if command == "stop":
        return f"stopped: process {answer['pid']} has ended"
    return f"{answer['target']} workers" if "target" in answer else "done"


REQUEST_COLUMNS = ("WORKER", "ID", "AGE", "PROTOCOL", "CLIENT", "STATE", "REQUEST", "AT")
MAX_SHOWN = 1000  # requests of all workers that are shown


def requests_text(answer: Answers) -> str:
    """The requests in flight, the oldest first."""
    found: list[tuple[float, tuple[str, ...]]] = []
    notes = []
    more = 0
    for worker in answer:
        if "error" in worker:
            notes.append(
                f"worker {worker['pid']}: {worker['error']}; where it stands: hypercorn ctl stack {worker['pid']}"
            )
        for listed in worker.get("value", []):
            more += listed["more"]
            for one in listed["requests"]:
                age = one["age"]
                row = (
                    str(worker["pid"]),
                    one["id"],
                    "-" if age is None else duration(age),
                    one["protocol"],
                    address(one["client"]),
                    one["state"],
                    f"{one['method']} {one['path']}",
                    one["at"] or "-",
                )
                found.append((age or 0.0, row))
    found.sort(key=lambda one: -one[0])
    more += max(0, len(found) - MAX_SHOWN)
    if more:
        notes.append(f"{more} more are in flight")
    return "\n".join([table(REQUEST_COLUMNS, [row for _, row in found[:MAX_SHOWN]]), *notes])


SLOW_COLUMNS = (
    "WORKER",
    "ENDED",
    "TOTAL",
    "QUEUE",
    "RECEIVING",
    "APPLICATION",
    "SENDING",
    "STATUS",
    "PROTOCOL",
    "CLIENT",
    "REQUEST",
)


def slow_text(answer: Answers) -> str:
    """The last slow requests, the last first."""
    found: list[tuple[float, tuple[str, ...]]] = []
    listed = [(worker["pid"], one) for worker in answer for one in worker.get("value", [])]
    if not listed:
        return "no worker remembers slow requests: the option slow_request is not set (slow_request = 1s)"
    for pid, one in listed:
        for request in one["requests"]:
            row = (
                str(pid),
                time.strftime("%H:%M:%S", time.localtime(request["ended"])),
                *(milliseconds(request[name]) for name in ("total", "queue", "receiving", "application", "sending")),
                str(request["status"] or "-"),
                request["protocol"],
                address(request["client"]),
                f"{request['method']} {request['path']}",
            )
            found.append((request["ended"], row))
    found.sort(key=lambda one: -one[0])
    return table(SLOW_COLUMNS, [row for _, row in found])


def milliseconds(seconds: float) -> str:
    """A time in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


WORKER_COLUMNS = ("PID", "STATE", "GENERATION", "AGE", "MEMORY", "CONNECTIONS", "IN FLIGHT", "REQUESTS", "RETIRES")


def worker_row(worker: WorkerStatus) -> tuple[str, ...]:
    """Returns the row of a worker."""
    counts = worker["counts"]
    opened = sum(value for name, value in counts.items() if name.endswith("_opened"))
    closed = sum(value for name, value in counts.items() if name.endswith("_closed"))
    started = counts.get("requests_started", 0)
    return (
        str(worker["pid"]),
        worker["state"],
        str(worker["generation"]),
        duration(worker["age"]),
        f"{worker['memory'] / 1048576:.1f} MiB",
        str(opened - closed),
        str(started - counts.get("requests_ended", 0)),
        str(started),
        worker["retire"] or "-",
    )


def status_text(status: Status) -> str:
    """Returns the status of the server as text for people."""
    head = [
        f"{status['application']} on hypercorn {status['version']} ({status['build']}, {status['worker_class']})",
        f"process {status['pid']}, {status['state']} for {duration(status['uptime'])}, "
        f"{status['ready']} of {status['target']} workers ready, {status['restarts']} restarts",
        *status["addresses"],
        "",
    ]
    return "\n".join(head) + table(WORKER_COLUMNS, [worker_row(one) for one in status["workers"]])


def address(client: Sequence[object] | None) -> str:
    """A client in a table."""
    return "-" if not client else f"{client[0]}:{client[1]}"


def duration(seconds: float) -> str:
    """A time in two units."""
    whole = int(seconds)
    for size, name, smaller, lesser in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{name} {whole % size // smaller}{lesser}"
    return f"{seconds:.1f}s"


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = []
    for row in (columns, *rows):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)
