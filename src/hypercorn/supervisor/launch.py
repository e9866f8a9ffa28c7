"""Starts the processes of workers: spawned, as a fresh interpreter, or forked.

Forked where it is safe and asked for: a fork of a process that has one thread and has loaded nothing but the server
starts in milliseconds and shares its memory. Otherwise spawned: a process that has run other people's code (a
configuration in Python, a program that calls `run()`) may have threads, locks and stale modules.

A frozen program (PyInstaller, cx_Freeze) is its own interpreter and takes no `-c`. It is started again as it is, with a
variable that makes its call of `run()` or `main()` serve as a worker (`serve_if_worker`).
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hypercorn._cpython.process import end_threads, forget_exit_functions, run_exit_functions
from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.metrics import Board, use_board_slot
from hypercorn.net.sockets import Sockets
from hypercorn.runtime.ending import flush_logs
from hypercorn.supervisor.channel import Channel
from hypercorn.supervisor.messages import FROM_SUPERVISOR, SupervisorMessage

if TYPE_CHECKING:
    from socket import SocketIO

ROOT = str(Path(__file__).resolve().parents[2])
LENGTH_PREFIX = struct.Struct("!Q")
CODE = (
    "import sys; sys.path.insert(0, {root!r}); from hypercorn.supervisor.launch import worker_main; worker_main({fd})"
)
# The letters of `sys.flags`, but for -c, -i and -m, which say how a program starts.
FLAGS = {
    "debug": "d",
    "dont_write_bytecode": "B",
    "no_site": "S",
    "verbose": "v",
    "bytes_warning": "b",
    "quiet": "q",
    "optimize": "O",
    "isolated": "I",
    "ignore_environment": "E",
    "no_user_site": "s",
    "safe_path": "P",
}
WORKER_FD = "HYPERCORN_WORKER_FD"  # the descriptor of the channel, for a frozen program


def one_thread() -> bool:
    """True where this process has no thread but this one, those of libraries included."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return threading.active_count() == 1


def may_fork() -> bool:
    """True on the platforms whose libraries bear a fork without an exec."""
    return hasattr(os, "fork") and sys.platform not in ("darwin", "win32", "cygwin")


def pickled(config: Config) -> bytes:
    """The configuration as a fresh worker gets it. Raises ConfigError, which names what cannot be sent."""
    import pickle  # not needed where workers are forked

    try:
        return pickle.dumps(config)
    except Exception as error:  # whatever a class of the program's does
        for name, value in config.__getstate__().items():
            try:
                pickle.dumps(value)
            except Exception as inner:
                option = name.removeprefix("_")
                raise ConfigError(
                    f"{option} = {value!r} ({config.origin(option)}) cannot be sent to a worker process: {inner};"
                    " define it in a module, or set start_method to fork or workers to 0"
                ) from error
        raise ConfigError(
            f"the {type(config).__name__} cannot be sent to a worker process: {error};"
            " define the class in a module, or set start_method to fork or workers to 0"
        ) from error


def spawn(
    config: Config, sockets: Sockets, channel: Channel[SupervisorMessage], board: Board, board_slot: int
) -> tuple[subprocess.Popen[bytes], bytes]:
    """Starts a fresh interpreter. Returns its `Popen`, and the settings to send to it. Raises OSError."""
    fds = sockets.descriptors()
    settings = {
        "path": sys.path,
        "argv": sys.argv,
        "main": None if is_frozen() else main_path(),  # a frozen program has run by itself before it becomes a worker
        "config": pickled(config),
        "sockets": fds,
        "board": board.descriptor,
        "board_slot": board_slot,
    }
    kept = [channel.fileno(), board.descriptor, *(fd for group in fds.values() for fd in group)]
    if is_frozen():
        environ = {**os.environ, WORKER_FD: str(channel.fileno())}
        process = subprocess.Popen([sys.executable, *sys.argv[1:]], pass_fds=kept, env=environ)
    else:
        flags = interpreter_flags()
        code = CODE.format(root=ROOT, fd=channel.fileno())
        process = subprocess.Popen([sys.executable, *flags, "-c", code], pass_fds=kept)
    import pickle  # not needed where workers are forked

    return process, pickle.dumps(settings)


def interpreter_flags() -> list[str]:
    """The command line flags of this interpreter, for another one that should behave the same."""
    flags = []
    for name, letter in FLAGS.items():
        count = int(getattr(sys.flags, name, 0))  # `safe_path` came with Python 3.11
        if count and not (sys.flags.isolated and letter in "EsP"):  # which -I has in it
            flags.append(f"-{letter * count}")
    flags += [f"-W{option}" for option in sys.warnoptions]
    for name, value in sys._xoptions.items():
        flags += ["-X", name if value is True else f"{name}={value}"]
    return flags


def is_frozen() -> bool:
    """True in a program that `sys.executable` is itself, rather than an interpreter."""
    return bool(getattr(sys, "frozen", False))


def serve_if_worker() -> None:
    """Serves as a worker, and does not return, in a frozen program that a supervisor has started for that."""
    number = os.environ.pop(WORKER_FD, "")  # not for the processes that this one starts
    if number and is_frozen():
        worker_main(int(number))


def worker_main(fd: int) -> None:
    """Serves as a worker in a fresh interpreter."""
    import pickle  # not needed where workers are forked

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the supervisor
    sock = socket.socket(fileno=fd)
    sock.set_inheritable(False)
    with sock.makefile("rb", buffering=0) as stream:
        size = LENGTH_PREFIX.unpack(read_exactly(stream, LENGTH_PREFIX.size))[0]
        settings = pickle.loads(read_exactly(stream, size))
    sys.path[:] = settings["path"]
    sys.argv[:] = settings["argv"]
    if b"__main__" in settings["config"] and settings["main"]:
        load_main(settings["main"])
    config: Config = pickle.loads(settings["config"])
    sockets = Sockets([], [], [])
    for name, fds in settings["sockets"].items():
        for number in fds:
            inherited = socket.socket(fileno=number)
            inherited.set_inheritable(False)
            getattr(sockets, name).append(inherited)
    os.set_inheritable(settings["board"], False)
    use_board_slot(Board.attach(settings["board"]).slot(settings["board_slot"]))
    from hypercorn.supervisor.worker import serve

    sys.exit(serve(config, sockets, Channel(sock, FROM_SUPERVISOR)))


def read_exactly(stream: SocketIO, size: int) -> bytes:
    """Reads that many bytes. Ends the process where they do not come, as there is nobody to tell."""
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            os._exit(1)
        data += piece
    return data


def main_path() -> str | None:
    """The program that calls `run()`, where a configuration may have classes from it."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return None if path is None or getattr(main, "__spec__", None) is not None else os.path.abspath(path)


def load_main(path: str) -> None:
    """Loads that program's names, without its `if __name__ == "__main__"`."""
    module = types.ModuleType("__mp_main__")
    module.__dict__.update(runpy.run_path(path, run_name="__mp_main__"))
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


def fork(work: Callable[[], int], close: Callable[[], None]) -> int:
    """Forks a process that does `work` and exits with the code that it returns. `close` lets go of what is the
    parent's alone. Returns the process id. Raises OSError."""
    flush()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid:
            return pid
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    code = 1
    try:
        forget_exit_functions()  # what the parent wants done at its own end
        close()
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        end_forked(code)
    return 0  # never reached


def end_forked(code: int) -> None:
    """Ends this process as an interpreter would, without going through the parent's frames."""
    try:
        end_threads()
        run_exit_functions()
        flush_logs()  # what `logging` registers with atexit is the parent's, and was cleared with all of that
    finally:
        os._exit(code)


def flush() -> None:
    """Flushes the standard streams, so that nothing buffered is written twice."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def freeze() -> None:
    """Keeps what was loaded out of the garbage collector's way, and so in memory that forks share."""
    gc.collect()
    gc.freeze()
