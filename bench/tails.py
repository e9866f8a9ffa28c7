"""How long the slowest requests take by themselves, beside idle connections, and beside a download as well.

    python -m bench.tails --peers DIR [--idle 10000] [--seconds 3] [--rounds 3] [--server NAME ...]

Each server answers `hello` on 8 connections: first alone, then beside so many idle keep-alive connections, and at last
with a client that downloads 1 MiB again and again on one connection. The servers take turns; figures are medians of the
rounds, in microseconds.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from bench import wrk
from bench.cases import CASES, PLAIN_APP
from bench.catalogue import Server, add_choice, asgi_servers
from bench.memory import idle_connections, limit
from bench.processes import ServerError, end_on_termination, free_port, raise_file_limit

CASE = CASES["hello"]._replace(connections=8)
MIB = 1 << 20
REQUEST = b"GET /1m HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Tails(NamedTuple):
    """One round: (p50, p99) in microseconds, each time."""

    alone: tuple[float, float]
    idle: tuple[float, float]
    download: tuple[float, float]
    mib: int  # that were downloaded meanwhile


class Downloader(threading.Thread):
    """Downloads 1 MiB after the other, until it is told to end."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.sock = socket.create_connection(("127.0.0.1", port), 5)
        self.ended = threading.Event()
        self.received = 0

    def run(self) -> None:
        buffer = bytearray(262144)
        with suppress(OSError):
            while not self.ended.is_set():
                self.sock.sendall(REQUEST)
                left = MIB  # and the head of the response
                while left > 0:
                    size = self.sock.recv_into(buffer)
                    if not size:
                        return
                    left -= size
                    self.received += size


@contextmanager
def download(port: int) -> Iterator[Downloader]:
    """A download beside what is measured. Raises ServerError where it stopped before."""
    downloader = Downloader(port)
    downloader.start()
    try:
        yield downloader
        if not downloader.is_alive():
            raise ServerError("the download ended")
    finally:
        downloader.ended.set()
        downloader.join(5)
        downloader.sock.close()


def measure(server: Server, idle: int, seconds: int) -> Tails:
    """One round of a server. Raises ServerError."""

    def load() -> tuple[float, float]:
        result = wrk.run(CASE, process.port, seconds)
        if result.errors:
            raise ServerError(result.errors)
        return result.p50, result.p99

    with server.start(PLAIN_APP, free_port()) as process:
        wrk.run(CASE, process.port, 1)
        alone = load()
        with idle_connections(process.port, idle):
            beside = load()
            with download(process.port) as downloader:
                both = load()
                mib = downloader.received // MIB
        return Tails(alone, beside, both, mib)


def line(label: str, rounds: list[Tails]) -> str:
    """A line of the table: medians."""
    figures = []
    for place in ("alone", "idle", "download"):
        for which in (0, 1):
            figures.append(statistics.median(getattr(one, place)[which] for one in rounds))
    columns = "".join(f"{figure:9.0f}" for figure in figures)
    return f"{label:28}{columns}{statistics.median(one.mib for one in rounds):9.0f}"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, 1 when a server did not serve, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser("python -m bench.tails", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--idle", type=int, default=10000, metavar="N")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    add_choice(parser)
    options = parser.parse_args(arguments)
    try:
        servers = asgi_servers(options)
        wrk.find_wrk()
    except ServerError as error:
        print(f"bench.tails: {error}", file=sys.stderr)
        return 2
    end_on_termination()
    raise_file_limit()
    idle = limit(options.idle)
    results: dict[str, list[Tails]] = {server.label: [] for server in servers}
    status = 0
    for _ in range(options.rounds):
        for server in servers:
            try:
                results[server.label].append(measure(server, idle, options.seconds))
            except ServerError as error:
                print(f"{server.label}: {error}", file=sys.stderr)
                status = 1
    print(f"{'':28}{'alone':>18}{f'{idle} idle':>18}{'and a download':>18}")
    print(f"{'us':28}" + f"{'p50':>9}{'p99':>9}" * 3 + f"{'MiB':>9}")
    for label, rounds in results.items():
        if rounds:
            print(line(label, rounds))
    return status


if __name__ == "__main__":
    sys.exit(main())
