"""Memory of a server process for each idle keep-alive connection.

    python -m bench.memory [--connections N] [--server NAME ...] [--peers DIR]

Opens N connections, makes one request on each and leaves them open. What the server's processes have grown by,
divided by N, is the cost of one. The kernel's own buffers are in no process and do not count.
"""

from __future__ import annotations

import argparse
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench.apps import HELLO
from bench.cases import PLAIN_APP
from bench.catalogue import Server, add_choice, asgi_servers
from bench.processes import ServerError, ServerProcess, end_on_termination, free_port, raise_file_limit

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WARM = 16  # connections before anything is measured: code is loaded, buffers are made
SPARE_FILES = 64


class Growth(NamedTuple):
    """What the connections cost a server."""

    before: int  # KiB of all its processes
    after: int
    connections: int

    @property
    def each(self) -> float:
        """Bytes of one connection."""
        return (self.after - self.before) * 1024 / self.connections


def request(connection: socket.socket) -> None:
    """One request and its whole response. Raises ServerError."""
    connection.sendall(REQUEST)
    received = b""
    while not received.endswith(HELLO):
        data = connection.recv(65536)
        if not data:
            raise ServerError(f"closed a connection after {received[:60]!r}")
        received += data
    if not received.startswith(b"HTTP/1.1 200"):
        raise ServerError(f"answered {received[:60]!r}")


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, each of which has had its response. Raises ServerError."""
    with ExitStack() as stack:
        opened = []
        try:
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                request(connection)
                opened.append(connection)
        except OSError as error:
            raise ServerError(f"connection {len(opened) + 1}: {error}") from error
        yield opened


def closed_by_peer(connections: list[socket.socket]) -> int:
    """How many of them the server has ended meanwhile."""
    closed = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            closed += connection.recv(1) == b""
        except BlockingIOError:
            pass
        except OSError:
            closed += 1
    return closed


def settled(process: ServerProcess) -> int:
    """The memory once it no longer changes, at most a second later."""
    last = process.memory_kib("Pss_Anon:")
    for _ in range(5):
        time.sleep(0.2)
        now = process.memory_kib("Pss_Anon:")
        if now == last:
            break
        last = now
    return last


def measure(server: Server, count: int) -> Growth:
    """Starts a server and opens the connections. Raises ServerError."""
    with server.start(PLAIN_APP, free_port()) as process:
        with idle_connections(process.port, WARM):
            pass
        before = settled(process)
        with idle_connections(process.port, count) as connections:
            after = settled(process)
            closed = closed_by_peer(connections)
        if closed:
            raise ServerError(f"closed {closed} of {count} connections while they were counted")
        return Growth(before, after, count)


def line(label: str, growth: Growth) -> str:
    """A line of the table."""
    return f"{label:28}{growth.before / 1024:10.1f}{growth.after / 1024:10.1f}{growth.each / 1024:15.2f}"


def limit(count: int) -> int:
    """As many of `count` connections as this process may open."""
    return min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, 1 when a server did not serve, 2 when nothing could be measured."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser("python -m bench.memory", description=about)
    parser.add_argument("--connections", type=int, default=1000, metavar="N")
    add_choice(parser)
    options = parser.parse_args(arguments)
    if options.connections < 1:
        parser.error("--connections must be 1 or more")
    try:
        servers = asgi_servers(options)
    except ServerError as error:
        print(f"bench.memory: {error}", file=sys.stderr)
        return 2
    end_on_termination()
    raise_file_limit()
    count = limit(options.connections)
    print(f"{count} idle keep-alive connections, memory as anonymous PSS")
    print(f"{'server':28}{'MiB before':>10}{'after':>10}{'KiB each':>15}")
    failed = False
    for server in servers:
        try:
            print(line(server.label, measure(server, count)), flush=True)
        except ServerError as error:
            failed = True
            print(f"{server.label:28}{error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
