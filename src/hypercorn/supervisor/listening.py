"""The listening sockets of a server: who serves on which, and how a reload changes them.

Each worker has a worker slot, a number from 0. All slots share the sockets, but with `reuse_port` each has a set of its
own, and where the kernel distributes datagrams each has UDP sockets of its own. A worker gets the sockets of its slot
from the worker that had the slot before, and with them the connections that wait there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Set
from dataclasses import replace

from hypercorn.config import Config
from hypercorn.net.closing import hold_off
from hypercorn.net.sockets import Sockets, steers_datagrams, unix_path

STREAM_GROUPS = ("secure_sockets", "insecure_sockets")


class ListeningSockets:
    """The sockets of all worker slots."""

    def __init__(self, config: Config) -> None:
        self.sockets = Sockets([], [], [])  # of slot 0, and of all slots where they are shared
        self.before: Sockets | None = None  # in a reload: those of the workers that leave
        self.gives_up_sockets = False  # the reload gives up some of those
        self.duplicates: dict[
            int, dict[socket.socket, socket.socket]
        ] = {}  # by slot: its own socket for each of slot 0
        own = config.reuse_port and hasattr(socket, "SO_REUSEPORT")
        self.own = (*STREAM_GROUPS, "quic_sockets") if own else ("quic_sockets",) if steers_datagrams() else ()

    @property
    def replaces_together(self) -> bool:
        """True where the workers of before have to leave at the same time: each accepts on sockets of its own that are
        given up, on which nobody would serve what comes until the last one has left."""
        return self.before is not None and self.gives_up_sockets and STREAM_GROUPS[0] in self.own

    def open(self, config: Config, sockets: Sockets | None) -> None:
        """Opens what the configuration wants, where another process has not done so. Raises as `create_sockets`."""
        if sockets is None:
            self.sockets = config.create_sockets()
        elif sockets.fixed:
            self.sockets = sockets
        else:  # of the program before this one, whose configuration was perhaps another
            self.sockets = sockets
            self.prepare(config)
            self.commit()

    def sockets_of(self, worker_slot: int) -> Sockets:
        """The sockets of a worker slot. Raises OSError."""
        if worker_slot == 0:
            return self.sockets
        sockets = replace(self.sockets)
        for name in self.own:
            setattr(sockets, name, [self.duplicate_of(worker_slot, sock) for sock in getattr(sockets, name)])
        return sockets

    def duplicate_of(self, worker_slot: int, sock: socket.socket) -> socket.socket:
        """The socket of a worker slot on the address of one of slot 0."""
        duplicates = self.duplicates.setdefault(worker_slot, {})
        if sock not in duplicates:
            duplicates[sock] = duplicate(sock)
        return duplicates[sock]

    def close_unused(self, target: int, taken: Set[int]) -> None:
        """Closes the sockets of worker slots that no worker has or gets any more."""
        for unused in [one for one in self.duplicates if one >= target and one not in taken]:
            for sock in self.duplicates.pop(unused).values():
                sock.close()

    def close_others(self, kept: Sockets) -> None:
        """In a forked worker: closes all but its own, and leaves the files of unix sockets alone."""
        keep = set(kept)
        for sock in self.all():
            if sock not in keep:
                sock.close()
        kept.unix_paths.clear()

    def all(self) -> set[socket.socket]:
        """Every socket that is open."""
        found = {*self.sockets, *(self.before or ())}
        for duplicates in self.duplicates.values():
            found.update(duplicates.values())
        return found

    # -- a reload

    def prepare(self, config: Config) -> None:
        """Opens what another configuration wants and is not open yet. Raises as `create_sockets`: then nothing has
        changed."""
        if not self.sockets.fixed:
            self.before = self.sockets
            try:
                self.sockets = config.renew_sockets(self.sockets)
            except BaseException:
                self.before = None
                raise
            self.gives_up_sockets = not set(self.before) <= set(self.sockets)

    def commit(self) -> None:
        """The reload has succeeded: from here on only workers that leave accept on what is not wanted any more."""
        if self.before is not None:
            self.drop(self.before, self.sockets)
            self.before = None

    def roll_back(self) -> None:
        """The reload has failed."""
        if self.before is not None:
            self.drop(self.sockets, self.before)
            self.sockets, self.before, self.gives_up_sockets = self.before, None, False

    def drop(self, those: Sockets, kept: Sockets) -> None:
        """Closes the sockets that are not among the others, and removes the files of unix sockets that are not."""
        keep = set(kept)
        for sock in [one for one in those if one not in keep]:
            for dropped in (
                sock,
                *(duplicates.pop(sock) for duplicates in self.duplicates.values() if sock in duplicates),
            ):
                hold_off(dropped)
                dropped.close()
        paths = {os.path.abspath(path) for sock in kept if (path := unix_path(sock)) is not None}
        for made in those.unix_paths:
            if made.path not in paths:
                made.unlink()

    def close(self) -> None:
        """Closes everything."""
        for sock in self.all():
            sock.close()
        if self.before is not None:
            self.before.close()
        self.sockets.close()


def duplicate(sock: socket.socket) -> socket.socket:
    """Opens another socket on the same address. A unix socket has no other, so it is shared."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock.dup()
    other = socket.socket(sock.family, sock.type)
    try:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        other.bind(sock.getsockname())
        other.setblocking(False)
    except BaseException:
        other.close()
        raise
    return other
