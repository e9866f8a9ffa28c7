"""A TCP proxy that harms what goes through it, in both directions: it delays, splits, truncates, cuts and resets.

What befalls a connection is drawn from the seed, the connection's number and its direction, so that a run can be
repeated as far as the kernel cuts the bytes in the same way.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

PIECE = 65536
ACTIONS = ("pass", "delay", "split", "truncate", "cut", "reset")
WEIGHTS = (60, 12, 12, 5, 6, 5)


class ChaosProxy:
    """Listens on a port of its own, in front of another."""

    def __init__(self, port: int, seed: int) -> None:
        self.target = port
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = int(self.listener.getsockname()[1])
        self.using: dict[tuple[socket.socket, socket.socket], int] = {}  # threads of each pair
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self) -> None:
        """Takes connections until the listener is closed."""
        number = 0
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            pair = (client, server)
            self.using[pair] = 2
            for direction, (source, sink) in enumerate((pair, (server, client))):
                random = Random(f"{self.seed} {number} {direction}")
                thread = threading.Thread(target=self.run, args=(pair, source, sink, random), daemon=True)
                self.threads.append(thread)
                thread.start()
            number += 1

    def run(self, pair: tuple[socket.socket, socket.socket], *way: Any) -> None:
        """A thread. The last of a pair closes its sockets: earlier, their numbers might be another's already."""
        self.carry(*way)
        with self.lock:
            self.using[pair] -= 1
            if self.using[pair]:
                return
            del self.using[pair]
        for sock in pair:
            sock.close()

    def carry(self, source: socket.socket, sink: socket.socket, random: Random) -> None:
        """One direction of one connection."""
        with suppress(OSError):
            while data := source.recv(PIECE):
                action = random.choices(ACTIONS, WEIGHTS)[0]
                self.done[action] += 1
                if action == "delay":
                    time.sleep(random.uniform(0.001, 0.01))
                elif action == "split":
                    for _ in range(random.randint(1, 4)):
                        at = random.randint(0, len(data))
                        sink.sendall(data[:at])
                        data = data[at:]
                        time.sleep(0.0005)
                elif action == "truncate":
                    sink.sendall(data[: random.randint(0, len(data))])
                if action in ("truncate", "cut", "reset"):
                    self.end(source, sink, action == "reset")
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
            return
        self.end(source, sink, False)

    def end(self, source: socket.socket, sink: socket.socket, reset: bool) -> None:
        """Ends both connections."""
        for sock in (source, sink):
            with suppress(OSError):
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)  # which wakes whoever reads it, too

    def close(self) -> None:
        """Ends all that is left."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join(10)
        with self.lock:
            for client, server in self.using:
                self.end(client, server, False)
        for thread in self.threads:
            thread.join(10)
