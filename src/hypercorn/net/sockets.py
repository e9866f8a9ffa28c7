"""Bound sockets from bind texts.

Nothing listens yet: that is the worker's first act once the application is ready.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypercorn.errors import BindError, SocketTypeError
from hypercorn.net.address import Bind, is_ip, join_host_port, parse_bind, unix_address, unix_text

Address = tuple[Any, ...]  # of a family: host or path first, then the port

__all__ = (
    "SocketOptions",
    "SocketTypeError",
    "Sockets",
    "UnixPath",
    "bind_error",
    "create_sockets",
    "listen",
    "waiting",
)

_PORT_ZERO_ATTEMPTS = 10
# An address family that this machine lacks; a name that has another address can still be served.
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
_WORDS = {
    errno.EADDRINUSE: ("address already in use", "another process is listening there"),
    errno.EACCES: ("permission denied", ""),
    errno.EPERM: ("permission denied", ""),
    errno.EADDRNOTAVAIL: ("address not available", "this machine has no interface with that address"),
    errno.EAFNOSUPPORT: ("address family not supported", "is IPv6 switched off here?"),
    errno.EBADF: ("bad file descriptor", "no open socket was handed over under that number"),
    errno.ENOTSOCK: ("not a socket", ""),
}


@dataclass(frozen=True)
class SocketOptions:
    """The options of sockets.

    `umask`, `user` and `group` concern unix sockets; with `reuse_port` other sockets may have the same address.
    """

    reuse_port: bool = False
    umask: int | None = None
    user: int | None = None
    group: int | None = None
    known: list[socket.socket] | None = None  # sockets that are open already, which are taken where they fit


@dataclass(frozen=True)
class UnixPath:
    """The file of a unix socket that this process made, to be removed by it and by no other."""

    path: str
    pid: int
    inode: tuple[int, int]

    def unlink(self) -> None:
        """Removes the file, unless it is gone, was replaced, or this is another process."""
        try:
            status = os.lstat(self.path)
            if os.getpid() == self.pid and (status.st_dev, status.st_ino) == self.inode:
                os.unlink(self.path)
        except OSError:
            pass


SOCKET_GROUPS = ("secure_sockets", "insecure_sockets", "quic_sockets", "metrics_sockets")  # of `Sockets`


@dataclass
class Sockets:
    """The sockets of one server, by what is spoken on them."""

    secure_sockets: list[socket.socket]
    insecure_sockets: list[socket.socket]
    quic_sockets: list[socket.socket]
    unix_paths: list[UnixPath] = field(default_factory=list)
    metrics_sockets: list[socket.socket] = field(default_factory=list)  # for metrics, health and readiness
    fixed: bool = False  # another process opened them: `bind` has no say

    def __iter__(self) -> Iterator[socket.socket]:
        yield from self.secure_sockets
        yield from self.insecure_sockets
        yield from self.quic_sockets
        yield from self.metrics_sockets

    def descriptors(self) -> dict[str, list[int]]:
        """The descriptors of the sockets, by group."""
        return {name: [sock.fileno() for sock in getattr(self, name)] for name in SOCKET_GROUPS}

    def close(self) -> None:
        """Closes all sockets, and removes the unix socket files that this process made. Safe to repeat."""
        for sock in self:
            sock.close()
        for path in self.unix_paths:
            path.unlink()


def create_sockets(
    binds: list[str], kind: int, options: SocketOptions, unix_paths: list[UnixPath]
) -> list[socket.socket]:
    """One bound, non-blocking, inheritable socket per address; `kind` is SOCK_STREAM or SOCK_DGRAM.

    A name with several addresses gives several sockets. Unix socket files made are added to `unix_paths`.
    Raises BindError and SocketTypeError, having closed what it had opened, and ValueError for a text that is
    no bind.
    """
    sockets: list[socket.socket] = []
    taken: list[socket.socket] = []
    known = len(unix_paths)
    try:
        for text in binds:
            bind = parse_bind(text)
            with _explained(bind.text):
                if options.known and (found := _take(bind, kind, options.known)):
                    taken.extend(found)
                elif bind.kind == "unix":
                    sockets.append(_unix(bind.path, kind, options, unix_paths))
                elif bind.kind == "fd":
                    sockets.append(_from_fd(bind.fd, kind))
                else:
                    sockets.extend(_tcp(bind, kind, options))
    except BaseException:
        for sock in sockets:
            sock.close()
        for path in unix_paths[known:]:
            path.unlink()
        raise
    return taken + sockets


def _take(bind: Bind, kind: int, known: list[socket.socket]) -> list[socket.socket]:
    """Takes the sockets that this bind would open out of those that are open already."""
    found = []
    addresses: list[tuple[int | None, str | int, str | int]] = [(None, bind.path, bind.fd)]
    if bind.kind == "tcp":
        addresses = [(family, address[0], address[1]) for family, address in _resolve(bind, kind)]
    for wanted in addresses:
        for sock in known:
            if sock.type == kind and _is_at(sock, bind.kind, *wanted):
                known.remove(sock)
                found.append(sock)
                break
    return found


def _is_at(sock: socket.socket, kind: str, family: int | None, host: str | int, number: str | int) -> bool:
    """True where a socket has that address (port 0: any port), path or descriptor."""
    if kind == "fd":
        return sock.fileno() == number
    if kind == "unix":
        return bool(unix_path(sock) == host)
    name = sock.getsockname()
    if sock.family != family or number not in (0, name[1]):
        return False
    from ipaddress import ip_address

    wanted = host or ("::" if family == socket.AF_INET6 else "0.0.0.0")
    return ip_address(name[0]) == ip_address(wanted)


def listen(sock: socket.socket, backlog: int) -> None:
    """`sock.listen(backlog)`, with a BindError that names the address where the port is taken."""
    try:
        sock.listen(backlog)
    except OSError as error:
        from hypercorn.net.address import address_text

        raise bind_error(error, address_text(sock.getsockname())) from error


def unix_path(sock: socket.socket) -> str | None:
    """The path that a unix socket was bound to, `@name` of an abstract one; None for any other."""
    return unix_text(sock.getsockname()) if sock.family == getattr(socket, "AF_UNIX", None) else None


def bind_text(sock: socket.socket) -> str | None:
    """The bind that gives the address of a TCP socket again; None for a unix socket."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return join_host_port(*sock.getsockname()[:2])


def steers_datagrams() -> bool:
    """True where the kernel shares datagrams out among sockets of one address by where they come from."""
    return sys.platform.startswith("linux") and hasattr(socket, "SO_REUSEPORT")


def waiting(sock: socket.socket, most: int = 4096) -> Iterator[socket.socket]:
    """Accepts the connections that wait on a listening, non-blocking socket, up to `most` of them."""
    for _ in range(most):
        try:
            client, _address = sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setblocking(False)
        yield client


def bind_error(error: OSError, address: str) -> BindError:
    """The system's error in words that help."""
    if isinstance(error, BindError):
        return error
    if isinstance(error, socket.gaierror):
        return BindError(error.errno, address, "unknown host name", str(error.strerror))
    problem, hint = _WORDS.get(error.errno or 0, (str(error.strerror or error), ""))
    if error.errno in (errno.EACCES, errno.EPERM) and not address.startswith("unix:"):
        hint = "ports below 1024 need privileges; choose a higher one"
    return BindError(error.errno, address, problem, hint)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise bind_error(error, address) from error


def _tcp(bind: Bind, kind: int, options: SocketOptions) -> list[socket.socket]:
    addresses = _resolve(bind, kind)
    for attempt in range(_PORT_ZERO_ATTEMPTS):
        try:
            return _bind_all(addresses, kind, options)
        except OSError as error:
            # Port 0 of a name: the port that one address got may be taken at the next one.
            again = bind.port == 0 and len(addresses) > 1 and error.errno == errno.EADDRINUSE
            if not again or attempt == _PORT_ZERO_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _resolve(bind: Bind, kind: int) -> list[tuple[int, Address]]:
    """The family and address of each socket that this bind needs.

    An address needs no lookup, a name may have many.
    """
    if not bind.host or is_ip(bind.host):
        return [(socket.AF_INET6 if ":" in bind.host else socket.AF_INET, (bind.host, bind.port))]
    found = socket.getaddrinfo(bind.host, bind.port, type=kind, flags=socket.AI_PASSIVE)
    # IPv4 first: what logs and tests show for `localhost` stays what it was.
    unique: dict[tuple[int, Address], None] = {(family, address): None for family, _, _, _, address in found}
    return sorted(unique, key=lambda item: item[0] != socket.AF_INET)


def _bind_all(addresses: list[tuple[int, Address]], kind: int, options: SocketOptions) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    port: int | None = None
    try:
        for family, address in addresses:
            if port is not None and address[1] == 0:
                address = (address[0], port, *address[2:])
            try:
                sock = _bind_one(family, address, kind, options, only_v6=len(addresses) > 1)
            except OSError as error:
                if error.errno not in _NO_FAMILY:
                    raise
                missing = error
                continue
            sockets.append(sock)
            if len(addresses) > 1:
                port = sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets and missing is not None:
        raise missing
    return sockets


def _bind_one(
    family: int, address: tuple[str | int, ...], kind: int, options: SocketOptions, only_v6: bool
) -> socket.socket:
    if options.reuse_port and address[1] != 0:
        # With SO_REUSEPORT the system would let a second server share the port in silence: ask without it
        # first.
        probe = socket.socket(family, kind)
        try:
            _bind_socket(probe, family, address, kind, only_v6)
        finally:
            probe.close()
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.reuse_port and hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind_socket(sock, family, address, kind, only_v6)
        _finish(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_socket(sock: socket.socket, family: int, address: tuple[str | int, ...], kind: int, only_v6: bool) -> None:
    if only_v6 and family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:  # for UDP it would let two servers share a port
        _reuse_address(sock)
    sock.bind(address)


def _reuse_address(sock: socket.socket) -> None:
    if sys.platform == "win32":
        # There SO_REUSEADDR would let any other process take the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _finish(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.set_inheritable(True)


def _from_fd(fd: int, kind: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    actual = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    if actual != kind:
        sock.detach()
        raise SocketTypeError(kind, actual)
    _reuse_address(sock)
    _finish(sock)
    return sock


def _unix(path: str, kind: int, options: SocketOptions, unix_paths: list[UnixPath]) -> socket.socket:
    abstract = path.startswith("@")
    if not abstract:
        _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        if abstract:  # it has no file, so no mode, no owner, and nothing to remove
            sock.bind(unix_address(path))
            _finish(sock)
            return sock
        _reuse_address(sock)
        # The process's mask is changed for the bind alone: no moment in which the file is open to others.
        before = os.umask(options.umask) if options.umask is not None else None
        try:
            sock.bind(path)
        finally:
            if before is not None:
                os.umask(before)
        _own(path, options, unix_paths)
        _finish(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _own(path: str, options: SocketOptions, unix_paths: list[UnixPath]) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    mine = UnixPath(os.path.abspath(path), os.getpid(), (status.st_dev, status.st_ino))
    if options.user is not None or options.group is not None:
        try:
            os.chown(
                path,
                -1 if options.user is None else options.user,
                -1 if options.group is None else options.group,
                follow_symlinks=False,  # the folder is perhaps writable for others
            )
        except OSError:
            mine.unlink()
            raise
    unix_paths.append(mine)


def _remove_stale(path: str) -> None:
    """Removes a socket file behind which nobody answers.

    Anything else that stands there is kept, and refused.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(errno.EADDRINUSE, f"unix:{path}", "the path exists", "it is not a socket, so it is kept")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError as error:
            raise bind_error(error, f"unix:{path}") from error
        else:
            problem, hint = _WORDS[errno.EADDRINUSE]
            raise BindError(errno.EADDRINUSE, f"unix:{path}", problem, hint)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
