"""Listening sockets that another process opened: systemd's (sd_listen_fds(3)), or those of the program before this one.

The second is SIGUSR2: the server starts its own command again, as whatever is installed by now, with its sockets.
When the new one serves, the old one drains; when the new one fails, nothing has happened.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import MutableMapping

from hypercorn.config import Config
from hypercorn.errors import BindError
from hypercorn.net.sockets import SOCKET_GROUPS, Sockets, UnixPath

FIRST_DESCRIPTOR = 3  # systemd's first
HANDOVER = "HYPERCORN_HANDOVER"
# PyInstaller's one-file programs unpack for themselves: the files of the old program go with it.
RESET_PYINSTALLER = {"PYINSTALLER_RESET_ENVIRONMENT": "1"} if getattr(sys, "frozen", False) else {}


def from_systemd(config: Config, environ: MutableMapping[str, str] = os.environ) -> Sockets | None:
    """The sockets of a socket unit, in place of `bind`; None where there are none.

    With TLS on, those named "insecure" (`FileDescriptorName=`) speak plain HTTP. Raises BindError for a descriptor
    that is no socket.
    """
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdigit() or not int(count):
        return None
    sockets = Sockets([], [], [], fixed=True)
    named = names.split(":")
    for index in range(int(count)):
        sock = adopt(FIRST_DESCRIPTOR + index)
        name = named[index] if index < len(named) else ""
        if sock.type == socket.SOCK_DGRAM:
            sockets.quic_sockets.append(sock)
        elif config.ssl_enabled and name != "insecure":
            sockets.secure_sockets.append(sock)
        else:
            sockets.insecure_sockets.append(sock)
    sockets.metrics_sockets = config.create_metrics_sockets(sockets.unix_paths)
    return sockets


def adopt(fd: int) -> socket.socket:
    """A socket on an inherited descriptor, which no further process shall inherit. Raises BindError."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise BindError(
            error.errno, f"fd://{fd}", "not a socket", "the process that started this one said so"
        ) from error
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


class Handover:
    """In the new program: what the old one left."""

    def __init__(self, text: str) -> None:
        left = json.loads(text)
        self.old_pid: int = left["pid"]
        self.ready_pipe: int = left["ready_pipe"]
        os.set_inheritable(self.ready_pipe, False)
        self.sockets = Sockets([], [], [], fixed=left["fixed"])
        for name in SOCKET_GROUPS:
            getattr(self.sockets, name).extend(adopt(fd) for fd in left[name])
        for path, inode in left["paths"]:
            self.sockets.unix_paths.append(UnixPath(path, os.getpid(), tuple(inode)))

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ) -> Handover | None:
        """The handover that the environment describes, or None."""
        text = environ.pop(HANDOVER, "")
        return cls(text) if text else None

    def finish(self) -> None:
        """This program serves: the old one may leave."""
        try:
            os.write(self.ready_pipe, b"1")
        except OSError:
            pass  # it is gone already
        os.close(self.ready_pipe)


class Upgrade:
    """In the old program: the new one, until it serves or fails. `ready_pipe` is readable then."""

    def __init__(self, sockets: Sockets, variables: dict[str, str]) -> None:
        self.ready_pipe, theirs = os.pipe()
        fds = sockets.descriptors()
        paths = [(path.path, path.inode) for path in sockets.unix_paths]
        left = json.dumps({"pid": os.getpid(), "ready_pipe": theirs, "paths": paths, "fixed": sockets.fixed, **fds})
        kept = [theirs, *(fd for group in fds.values() for fd in group)]
        try:
            self.process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                pass_fds=kept,
                env={**os.environ, **variables, HANDOVER: left, **RESET_PYINSTALLER},
            )
        except BaseException:
            os.close(self.ready_pipe)
            raise
        finally:
            os.close(theirs)

    def fileno(self) -> int:
        """The pipe's descriptor."""
        return self.ready_pipe

    def succeeded(self) -> bool:
        """Once `ready_pipe` is readable: whether the new program serves."""
        data = os.read(self.ready_pipe, 1)
        os.close(self.ready_pipe)
        return data == b"1"
